"""Kernel parameters that a pod sets."""

from collections.abc import Iterator
from typing import NamedTuple

from iocaudit.core.check import Parameter, Params, check, string_list
from iocaudit.core.hit import Hit
from iocaudit.core.kinds import PODS
from iocaudit.core.paths import key
from iocaudit.core.repair import remove
from iocaudit.core.severity import IoC, Severity
from iocaudit.core.shape import mappings, text
from iocaudit.knowledge.clipping import clip
from iocaudit.knowledge.image import glob
from iocaudit.knowledge.pods.pod import PodSpec
from iocaudit.knowledge.pods.pss import PSS_VERSION, minor_version

# The Pod Security Standards' safe list, each name with the minor version that added it.
SAFE = {
    "kernel.shm_rmid_forced": 0,
    "net.ipv4.ip_local_port_range": 0,
    "net.ipv4.tcp_syncookies": 0,
    "net.ipv4.ping_group_range": 0,
    "net.ipv4.ip_unprivileged_port_start": 0,
    "net.ipv4.ip_local_reserved_ports": 27,
    "net.ipv4.tcp_keepalive_time": 29,
    "net.ipv4.tcp_fin_timeout": 29,
    "net.ipv4.tcp_keepalive_intvl": 29,
    "net.ipv4.tcp_keepalive_probes": 29,
    "net.ipv4.tcp_rmem": 32,
    "net.ipv4.tcp_wmem": 32,
    "net.ipv4.tcp_slow_start_after_idle": 37,
    "net.ipv4.tcp_notsent_lowat": 37,
}
ANNOTATIONS = ("security.alpha.kubernetes.io/sysctls", "security.alpha.kubernetes.io/unsafe-sysctls")
_SWAP = str.maketrans("./", "/.")


class _Sysctl(NamedTuple):
    path: str
    name: str
    value: str

    def hit(self, message: str, evidence: str, severity: Severity | None = None) -> Hit:
        """A hit on it; one of several in an annotation is not taken out of there."""
        return Hit(self.path, message, evidence, severity, repair=None if ".annotations[" in self.path else remove())


def _normal(name: str) -> str:
    """One spelling: dots between the parts. As for sysctl(8), whichever of ``.`` and ``/`` comes first separates."""
    dot, slash = name.find("."), name.find("/")
    return name.translate(_SWAP) if slash >= 0 and (dot < 0 or slash < dot) else name


def _sysctls(pod: PodSpec) -> Iterator[_Sysctl]:
    for entry in mappings(pod.security_context.get("sysctls")):
        name = text(entry.get("name"))
        yield _Sysctl(f"{pod.path}.securityContext.sysctls{key(name)}", name, text(entry.get("value")))
    for annotation in ANNOTATIONS:
        for assignment in text(pod.annotations.get(annotation)).split(","):
            name, _, value = assignment.partition("=")
            if name.strip():
                yield _Sysctl(f"{pod.metadata_path}.annotations{key(annotation)}", name.strip(), value)


@check(
    "unsafe-sysctl",
    severity=Severity.MEDIUM,
    worst=Severity.CRITICAL,
    iocs=(IoC.CLUSTER_ADMIN,),
    group="pods",
    looks_at=PODS,
    fields=("annotations", "sysctls"),
    controls={"pss": "baseline/sysctls", "attack": "T1611", "owasp": "K01", "nsa": "Pod security enforcement"},
    parameters=(
        Parameter(
            "allowed",
            {"type": ["array", "null"], "items": {"type": "string", "minLength": 1}, "maxItems": 1000},
            "names that may be set, `*` for any run, in place of the safe list",
            exempts=True,
        ),
        string_list("forbidden", "names that are refused even if allowed; alone it allows every other name"),
        PSS_VERSION,
    ),
)
def unsafe_sysctl(pod: PodSpec, params: Params) -> Iterator[Hit]:
    """A pod sets a kernel parameter outside the safe list.

    Many parameters are shared with the node and all of its pods, so one pod can starve or weaken the rest.
    A value that carries `+` or `=` is critical: CRI-O passed it on as further parameters, among them
    `kernel.core_pattern`, which runs a program as root on the node (CVE-2022-0811).

    Bad:

        apiVersion: v1
        kind: Pod
        metadata: {name: web, namespace: shop}
        spec:
          securityContext: {sysctls: [{name: kernel.msgmax, value: "65536"}]}
          containers: [{name: app, image: "hooli.com/shop/web:1.4"}]

    Good:

        apiVersion: v1
        kind: Pod
        metadata: {name: web, namespace: shop}
        spec:
          securityContext: {sysctls: [{name: net.ipv4.tcp_syncookies, value: "1"}]}
          containers: [{name: app, image: "hooli.com/shop/web:1.4"}]

    Fix: Remove the parameter, or set it on nodes of their own and allow it in the policy for the namespace.

    Sources: Kubernetes Pod Security Standards, baseline, Sysctls; CVE-2022-0811.
    """
    allowed, forbidden, version = params["allowed"], params["forbidden"], minor_version(params)
    for sysctl in _sysctls(pod):
        name, shown = _normal(sysctl.name), clip(sysctl.name)
        if "+" in sysctl.value or "=" in sysctl.value:
            message = f"sets sysctl {shown} to a value that carries further parameters: {clip(sysctl.value)}"
            yield sysctl.hit(message, f"{name}={sysctl.value}", Severity.CRITICAL)
            continue
        if any(glob(pattern, name) for pattern in forbidden):
            yield sysctl.hit(f"sets sysctl {shown}, which is forbidden", name)
        elif allowed is not None:
            if not any(glob(pattern, name) for pattern in allowed):
                yield sysctl.hit(f"sets sysctl {shown}, which is not in the allowed list", name)
        elif not forbidden and SAFE.get(name, version + 1) > version:
            yield sysctl.hit(f"sets sysctl {shown}, which is not in the safe list", name)
