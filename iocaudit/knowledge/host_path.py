"""Paths of the node: one spelling, what lies below what, and how dangerous each is (`host_places` lists them).

Judged is the source of a mount, never where it is mounted. The severities follow what a path gives away:
critical leads to the node or the cluster at once, high to other tenants' data or to the node in a few steps.
"""

import posixpath
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from iocaudit.core.severity import Severity
from iocaudit.knowledge.host_places import CONTROL_SOCKETS, PUBLIC_FILES, RUNTIME_PIPES, RUNTIME_SOCKETS, SENSITIVE

# Links every current distribution has (merged /usr, /run), so both spellings are one place.
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

    Walked segment by segment as the kernel does, so ``..`` behind a link means the link's target's parent.
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


RAW_DISK = re.compile(
    r"/dev/(?:[shv]d[a-z]+\d*|xvd[a-z]+\d*|nvme\d+n\d+(?:p\d+)?|ng\d+n\d+|sg\d+|mmcblk\d+(?:p\d+)?|dasd[a-z]+\d*|pmem\d+"
    r"|dm-\d+|md\d+)"
)
CREDENTIALS = re.compile(r"/(?:\.aws|\.azure|\.config/gcloud|\.kube|\.ssh)(?:/|$)")


def _parents(path: str) -> Iterator[str]:
    """What a normalised path lies below, the nearest first."""
    end = path.rfind("/")
    while end >= 0:
        parent = path[:end]
        is_root = not parent or parent == _PIPE[:-1] or _DRIVE.fullmatch(parent) is not None
        yield f"{parent}/" if is_root else parent
        if is_root:
            return
        end = path.rfind("/", 0, end)


def _containing() -> dict[str, str]:
    """The worst place that each parent of one contains, the first of several."""
    found: dict[str, str] = {}
    for place, (severity, _) in SENSITIVE.items():
        for parent in _parents(place):
            if parent not in found or severity > SENSITIVE[found[parent]][0]:
                found[parent] = place
    return found


CONTAINING = _containing()
"""By a path that contains sensitive ones, the worst of them."""


def danger(path: str) -> Danger | None:
    """What makes a path sensitive: being, lying below or containing a sensitive one; None where nothing does."""
    where = normalise(path)
    known = SENSITIVE.get(where)
    if known is not None:
        return Danger(known[0], where, "is")
    if RAW_DISK.fullmatch(where):
        return Danger(Severity.CRITICAL, where, "is")
    worst: Danger | None = None
    above = next((parent for parent in _parents(where) if parent in SENSITIVE), None)
    if above is not None and (below := SENSITIVE[above][1]) is not None:
        worst = Danger(below, above, "is below")
    if CREDENTIALS.search(where) and (worst is None or worst.severity <= Severity.HIGH):
        worst = Danger(Severity.HIGH, where, "is")
    inside = CONTAINING.get(where)
    if inside is not None and (worst is None or SENSITIVE[inside][0] > worst.severity):
        return Danger(SENSITIVE[inside][0], inside, "contains")
    return worst


def is_public(path: str) -> bool:
    """Whether a path is a single file that nobody learns anything from: only who writes to it does harm."""
    return normalise(path) in PUBLIC_FILES


SOCKET_NAMES = frozenset(
    {"docker.sock", "containerd.sock", "crio.sock", "podman.sock", "cri-dockerd.sock", "isulad.sock"}
)


def _holding(sockets: Iterable[str]) -> dict[str, str]:
    """Each socket by its own path and by each of its parents, the first where there are several."""
    found: dict[str, str] = {}
    for socket in sockets:
        for path in (socket, *_parents(socket)):
            found.setdefault(path, socket)
    return found


HOLDING = _holding((*RUNTIME_SOCKETS, *RUNTIME_PIPES, *CONTROL_SOCKETS))
"""By a control socket or what contains one, the socket."""


def control_socket(path: str) -> str | None:
    """The socket or pipe of a container runtime, or of what else runs commands, that a path is or contains."""
    where = normalise(path)
    socket = HOLDING.get(where)
    return where if socket is None and posixpath.basename(where) in SOCKET_NAMES else socket


def is_socket(path: str) -> bool:
    """Whether a path of the node is itself a socket: a known one, or one by its name's end."""
    where = normalise(path)
    return where.endswith((".sock", ".socket")) or control_socket(where) == where


def is_runtime(socket: str) -> bool:
    """Whether a socket that `control_socket` found is a container runtime's."""
    return socket not in CONTROL_SOCKETS


CLOUDS = (
    (re.compile(r"/\.aws(?:/|$)"), "AWS"),
    (re.compile(r"/\.azure(?:/|$)|^/etc/kubernetes/azure\.json$|^/var/lib/waagent(?:/|$)"), "Azure"),
    (re.compile(r"/\.config/gcloud(?:/|$)|^/etc/gce\.conf$|^/etc/google(?:/|$)"), "Google Cloud"),
    (re.compile(r"/\.oci(?:/|$)"), "Oracle Cloud"),
    (re.compile(r"/\.aliyun(?:/|$)"), "Alibaba Cloud"),
    (re.compile(r"^/etc/kubernetes/(?:cloud-config|cloud\.conf|cloud-provider)(?:/|$)"), "the cloud provider"),
)
"""What a path holds or lies below, as it is searched for, and whose credentials these are."""


def cloud_credentials(path: str) -> str | None:
    """The cloud whose credentials lie at a path of the node, or below it; None where none are known to."""
    where = normalise(path)
    return next((cloud for pattern, cloud in CLOUDS if pattern.search(where)), None)
