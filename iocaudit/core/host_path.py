"""Paths of the node: one spelling, what lies below what, and which of them are dangerous.

Judged is the source of a mount, never where it is mounted. The severities follow what a path gives away:
critical leads to the node or the cluster at once, high to other tenants' data or to the node in a few steps.
"""

import posixpath
import re
from typing import NamedTuple

from iocaudit.core.severity import Severity

# Links every current distribution has (merged /usr, /run), so that both spellings are one place.
_LINKS: dict[tuple[str, ...], list[str]] = {
    ("var", "run"): ["run"],
    ("var", "lock"): ["run", "lock"],
    ("bin",): ["usr", "bin"],
    ("sbin",): ["usr", "sbin"],
    ("lib",): ["usr", "lib"],
    ("lib64",): ["usr", "lib64"],
}
_PROCESS = re.compile(r"\d+|self|thread-self")
_DRIVE = re.compile(r"[A-Za-z]:")
_DEVICE = re.compile(r"//[.?]/")
# With slashes only what can mean nothing but Windows: to Linux `//./etc` is /etc.
_SLASHED_DEVICE = re.compile(r"//[.?]/(?:pipe(?:/|$)|[A-Za-z]:)", re.IGNORECASE)
_PIPE = "//./pipe/"


def normalise(path: str) -> str:
    """One spelling: no ``//``, ``/./``, ``..`` or trailing slash; ``/var/run`` is ``/run``, ``/bin`` ``/usr/bin``.

    Walked segment by segment as the kernel does, so that ``..`` behind a link means the link's target's parent.
    A Windows path comes out in lower case with ``/`` and a drive (``c:`` where it names none), a pipe as
    ``//./pipe/name``. Any other path that begins with ``/`` is a POSIX path, in which a backslash is a letter.
    """
    text = path.strip()
    if _SLASHED_DEVICE.match(text) or _DRIVE.match(text) or text.startswith("\\"):
        return _windows(text)
    walked: list[str] = []
    for segment in text.split("/"):
        if segment == "..":
            if walked:
                walked.pop()
        elif segment and segment != ".":
            walked.append(segment)
            if len(walked) <= _DEEPEST_LINK:
                _follow(walked)
    return "/" + "/".join(walked)


_DEEPEST_LINK = len(("proc", "1", "task", "1", "root"))


def _follow(walked: list[str]) -> None:
    """Replace what was walked by the target, where it is a link every node has."""
    if walked[0] == "proc":
        # The file system as that process sees it; for the node's own processes that is the node's.
        leads_back = walked[-1] == "root" and (len(walked) == 3 or (len(walked) == 5 and walked[2] == "task"))
        if leads_back and _PROCESS.fullmatch(walked[1]):
            walked.clear()
        return
    target = _LINKS.get(tuple(walked))
    if target is not None:
        walked[:] = target


def _windows(text: str) -> str:
    slashed = text.replace("\\", "/").lower()
    if _DEVICE.match(slashed):
        rest = slashed[len("//./") :]
        if rest == "pipe" or rest.startswith("pipe/"):
            return _PIPE + rest[len("pipe") :].strip("/")
        slashed = rest
    drive = slashed[:2] if _DRIVE.match(slashed) else "c:"
    return drive + posixpath.normpath("/" + slashed.removeprefix(drive).lstrip("/"))


def is_below(path: str, parent: str) -> bool:
    """Whether a normalised path is ``parent`` or lies below it, segment by segment."""
    return path == parent or path.startswith(parent if parent.endswith("/") else parent + "/")


class Danger(NamedTuple):
    """Why a path is dangerous. ``place`` is the sensitive path it is, lies below or contains."""

    severity: Severity
    place: str
    relation: str


_C, _H = Severity.CRITICAL, Severity.HIGH

RUNTIME_SOCKETS = (
    "/run/docker.sock",
    "/run/containerd/containerd.sock",
    "/run/crio/crio.sock",
    "/run/podman/podman.sock",
    "/run/cri-dockerd.sock",
    "/run/dockershim.sock",
    "/run/k3s/containerd/containerd.sock",
    "/run/k0s/containerd.sock",
    "/run/dockerd.sock",
)
RUNTIME_PIPES = (
    "//./pipe/docker_engine",
    "//./pipe/containerd-containerd",
    "//./pipe/cri-dockerd",
    "//./pipe/dockershim",
)

# Path to the severity of itself and, second, of what lies below it and is not listed on its own.
_SENSITIVE: dict[str, tuple[Severity, Severity]] = {
    "/": (_C, Severity.MEDIUM),
    "/etc": (_C, _H),
    "/etc/kubernetes": (_C, _C),
    "/etc/shadow": (_C, _C),
    "/etc/gshadow": (_C, _C),
    "/etc/sudoers": (_C, _C),
    "/etc/sudoers.d": (_C, _C),
    "/etc/passwd": (_C, _C),
    "/etc/ssh": (_C, _C),
    "/etc/cron.d": (_C, _C),
    "/etc/crontab": (_C, _C),
    "/etc/systemd": (_C, _C),
    "/etc/ld.so.preload": (_C, _C),
    "/etc/rancher": (_C, _C),
    "/etc/cni": (_H, _H),
    "/root": (_C, _C),
    "/proc": (_C, _C),
    "/dev": (_C, _H),
    "/dev/mem": (_C, _C),
    "/dev/kmem": (_C, _C),
    "/dev/mapper": (_C, _C),
    "/dev/disk": (_C, _C),
    "/var/lib/kubelet": (_C, _C),
    "/var/lib/etcd": (_C, _C),
    "/var/lib/rancher": (_C, _C),
    "/var/lib/k0s": (_C, _C),
    "/var/lib/minikube": (_C, _C),
    "/var/snap/microk8s": (_C, _C),
    "/sys": (_H, _H),
    "/boot": (_H, _H),
    "/usr": (_H, _H),
    "/usr/bin": (_H, _H),
    "/usr/sbin": (_H, _H),
    "/usr/lib": (_H, _H),
    "/usr/lib/modules": (_H, _H),
    "/var/lib/docker": (_H, _H),
    "/var/lib/containerd": (_H, _H),
    "/var/lib/containers": (_H, _H),
    "/var/log": (_H, _H),
    "/home": (_H, _H),
    "/var/spool/cron": (_H, _H),
    "/opt/cni": (_H, _H),
    **dict.fromkeys(RUNTIME_SOCKETS, (_C, _C)),
    **dict.fromkeys(RUNTIME_PIPES, (_C, _C)),
    "c:/": (_C, Severity.MEDIUM),
    "c:/windows": (_C, _H),
    "c:/var/lib/kubelet": (_C, _C),
    "c:/etc/kubernetes": (_C, _C),
    "c:/programdata/docker": (_H, _H),
    "c:/users": (_H, _H),
}
_RAW_DISK = re.compile(r"/dev/(?:[shv]d[a-z]+\d*|xvd[a-z]+\d*|nvme\d+n\d+(?:p\d+)?|dm-\d+|md\d+)")
_CREDENTIALS = re.compile(r"/(?:\.aws|\.azure|\.config/gcloud|\.kube|\.ssh)(?:/|$)")
_TRAVERSED = tuple(sorted((path for path in _SENSITIVE if path not in ("/", "c:/")), key=len, reverse=True))


def danger(path: str) -> Danger | None:
    """What makes a path sensitive: being, lying below or containing a sensitive one; None where nothing does."""
    where = normalise(path)
    known = _SENSITIVE.get(where)
    if known is not None:
        return Danger(known[0], where, "is")
    if _RAW_DISK.fullmatch(where):
        return Danger(_C, where, "is")
    if _CREDENTIALS.search(where):
        return Danger(_H, where, "is")
    worst: Danger | None = None
    for place in _TRAVERSED:
        if is_below(where, place):
            worst = Danger(_SENSITIVE[place][1], place, "is below")
            break
    for place in _TRAVERSED:
        if is_below(place, where) and (worst is None or _SENSITIVE[place][0] > worst.severity):
            worst = Danger(_SENSITIVE[place][0], place, "contains")
    return worst


_SOCKET_NAMES = frozenset({"docker.sock", "containerd.sock", "crio.sock", "podman.sock", "cri-dockerd.sock"})


def runtime_socket(path: str) -> str | None:
    """The container runtime's socket or pipe that a path is or contains."""
    where = normalise(path)
    for socket in (*RUNTIME_SOCKETS, *RUNTIME_PIPES):
        if is_below(socket, where):
            return socket
    return where if posixpath.basename(where) in _SOCKET_NAMES else None


_CLOUDS = (
    (re.compile(r"/\.aws(?:/|$)"), "AWS"),
    (re.compile(r"/\.azure(?:/|$)|^/etc/kubernetes/azure\.json$|^/var/lib/waagent(?:/|$)"), "Azure"),
    (re.compile(r"/\.config/gcloud(?:/|$)|^/etc/gce\.conf$|^/etc/google(?:/|$)"), "Google Cloud"),
    (re.compile(r"/\.oci(?:/|$)"), "Oracle Cloud"),
    (re.compile(r"/\.aliyun(?:/|$)"), "Alibaba Cloud"),
    (re.compile(r"^/etc/kubernetes/(?:cloud-config|cloud\.conf|cloud-provider)(?:/|$)"), "the cloud provider"),
)


def cloud_credentials(path: str) -> str | None:
    """The cloud whose credentials lie at a path of the node, or below it; None where none are known to."""
    where = normalise(path)
    return next((cloud for pattern, cloud in _CLOUDS if pattern.search(where)), None)
