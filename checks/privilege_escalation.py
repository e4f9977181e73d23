"""Containers whose processes may gain more rights than they started with."""

from collections.abc import Iterator

from iocaudit.core.check import Params, check
from iocaudit.core.hit import Hit
from iocaudit.core.kinds import PODS
from iocaudit.core.repair import put
from iocaudit.core.severity import IoC, Severity
from iocaudit.core.shape import lookup, strings
from iocaudit.knowledge.pods.pod import Container, PodSpec
from iocaudit.knowledge.pods.pss import PSS_VERSION, minor_version

_FIELD = "securityContext.allowPrivilegeEscalation"
_SINCE = 8
_SYS_ADMIN = frozenset({"SYS_ADMIN", "CAP_SYS_ADMIN"})


@check(
    "privilege-escalation-allowed",
    severity=Severity.MEDIUM,
    iocs=(IoC.CLUSTER_ADMIN,),
    group="pods",
    looks_at=PODS,
    controls={
        "pss": "restricted/allowPrivilegeEscalation",
        "cis-1.12": "5.2.6",
        "attack": "T1068",
        "owasp": "K01",
        "nsa": "Pod security enforcement",
    },
    parameters=(PSS_VERSION,),
)
def privilege_escalation_allowed(pod: PodSpec, params: Params) -> Iterator[Hit]:
    """A container does not forbid privilege escalation.

    Unless `allowPrivilegeEscalation` is false, a process may become root through a setuid program or file
    capabilities, whatever user it started as. The field exists on containers only and defaults to true.

    Bad:

        apiVersion: v1
        kind: Pod
        metadata: {name: web, namespace: shop}
        spec:
          containers: [{name: app, image: "hooli.com/shop/web:1.4"}]

    Good:

        apiVersion: v1
        kind: Pod
        metadata: {name: web, namespace: shop}
        spec:
          containers:
          - name: app
            image: hooli.com/shop/web:1.4
            securityContext: {allowPrivilegeEscalation: false}

    Fix: Set `securityContext.allowPrivilegeEscalation: false` on the container.

    Sources: Kubernetes Pod Security Standards, restricted, Privilege Escalation.
    """
    if pod.is_windows or minor_version(params) < _SINCE:
        return
    for container in pod.containers:
        value = container.security_context.get("allowPrivilegeEscalation")
        if value is not False:
            said = "true" if value is True else "not set"
            first = _first(container)
            fix = f"Remove {first}, beside which the API server refuses it; then set `{_FIELD}: false`."
            yield container.hit(
                _FIELD,
                f"may gain privileges (allowPrivilegeEscalation is {said})",
                "true" if value is True else "unset",
                fix=fix if first else None,
                repair=None if first else put(False),
            )


def _first(container: Container) -> str:
    """What lets the container gain privileges in any case, so the API server refuses to deny it."""
    if container.security_context.get("privileged") is True:
        return "`privileged: true`"
    added = strings(lookup(container.security_context, "capabilities", "add"))
    return next((f"capability `{name}`" for name in added if name in _SYS_ADMIN), "")
