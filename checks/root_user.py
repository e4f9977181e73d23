"""Containers that run as root, or may."""

from collections.abc import Iterator

from iocaudit.core.check import Parameter, Params, check
from iocaudit.core.hit import Hit
from iocaudit.core.kinds import PODS
from iocaudit.core.pod import Container, PodSpec
from iocaudit.core.severity import IoC, Severity
from iocaudit.core.shape import integer, items, lookup, text

_CONTROLS = {"attack": "T1611", "cis-1.12": "5.2.7", "owasp": "K01"}
_WINDOWS_ADMINISTRATORS = frozenset({"containeradministrator", "nt authority\\system"})


@check(
    "runs-as-root",
    severity=Severity.HIGH,
    iocs=(IoC.CLUSTER_ADMIN,),
    group="pods",
    looks_at=PODS,
    controls={**_CONTROLS, "pss": "restricted/runAsUser"},
    parameters=(
        Parameter(
            "groups",
            {"type": "boolean"},
            "also flag 0 in runAsGroup, fsGroup and supplementalGroups",
            default=False,
        ),
    ),
)
def runs_as_root(pod: PodSpec, params: Params) -> Iterator[Hit]:
    """A container runs as user 0.

    Root in a container is root on every file it can reach: one kernel or runtime flaw, or one writable mount,
    and it is root on the node. The value that counts is the container's own, else the pod's. A pod in a user
    namespace of its own (`hostUsers: false`) maps user 0 to an unprivileged one and is not flagged.

    Bad:

        apiVersion: v1
        kind: Pod
        metadata: {name: web, namespace: shop}
        spec:
          securityContext: {runAsUser: 0}
          containers: [{name: app, image: "hooli.com/shop/web:1.4"}]

    Good:

        apiVersion: v1
        kind: Pod
        metadata: {name: web, namespace: shop}
        spec:
          securityContext: {runAsUser: 0}
          containers:
          - name: app
            image: hooli.com/shop/web:1.4
            securityContext: {runAsUser: 10001}

    Fix: Set `runAsUser` to a user of the image other than 0, and `runAsNonRoot: true`.

    Sources: Kubernetes Pod Security Standards, restricted, Running as Non-root user.
    """
    if pod.spec.get("hostUsers") is False:
        return
    explicit = integer(pod.security_context.get("runAsUser")) == 0
    inherits = False
    for container in pod.containers:
        own = container.security_context.get("runAsUser")
        if own is None:
            inherits = True
        elif integer(own) == 0:
            yield container.hit("securityContext.runAsUser", "runs as root (runAsUser: 0)", "0")
        administrator = _administrator(container)
        if administrator:
            yield container.hit(
                "securityContext.windowsOptions.runAsUserName",
                f"runs as the Windows administrator {administrator}",
                administrator.lower(),
            )
    if explicit and (inherits or not pod.containers):
        yield pod.hit("securityContext.runAsUser", "runs its containers as root (runAsUser: 0)", "0")
    if params["groups"]:
        yield from _groups(pod)


def _administrator(container: Container) -> str:
    name = text(lookup(container.effective("windowsOptions"), "runAsUserName"))
    return name if name.lower() in _WINDOWS_ADMINISTRATORS else ""


def _groups(pod: PodSpec) -> Iterator[Hit]:
    for field in ("runAsGroup", "fsGroup"):
        if integer(pod.security_context.get(field)) == 0:
            yield pod.hit(f"securityContext.{field}", f"runs with the root group ({field}: 0)", "0")
    if any(integer(group) == 0 for group in items(pod.security_context.get("supplementalGroups"))):
        yield pod.hit("securityContext.supplementalGroups", "has the root group as a supplemental group", "0")
    for container in pod.containers:
        if integer(container.security_context.get("runAsGroup")) == 0:
            yield container.hit("securityContext.runAsGroup", "runs with the root group (runAsGroup: 0)", "0")


@check(
    "may-run-as-root",
    severity=Severity.MEDIUM,
    iocs=(IoC.CLUSTER_ADMIN,),
    group="pods",
    looks_at=PODS,
    controls={**_CONTROLS, "pss": "restricted/runAsNonRoot"},
)
def may_run_as_root(pod: PodSpec) -> Iterator[Hit]:
    """Nothing keeps a container from running as root.

    Without `runAsNonRoot: true` or a user other than 0 the image decides, and most images say root. What
    counts is the container's own field, else the pod's. Windows pods have no user 0; a pod in a user namespace
    of its own (`hostUsers: false`) is not flagged.

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
          securityContext: {runAsNonRoot: true}
          containers: [{name: app, image: "hooli.com/shop/web:1.4"}]

    Fix: Set `securityContext.runAsNonRoot: true` on the pod, and a numeric `runAsUser` where the image has none.

    Sources: Kubernetes Pod Security Standards, restricted, Running as Non-root.
    """
    if pod.is_windows or pod.spec.get("hostUsers") is False:
        return
    for container in pod.containers:
        non_root = container.effective("runAsNonRoot")
        user = integer(container.effective("runAsUser"))
        if non_root is True or (user is not None and user != 0):
            continue
        if user == 0:
            why = "nothing forbids root: runAsUser is 0"
        elif non_root is False:
            why = "may run as root (runAsNonRoot: false)"
        else:
            why = "may run as root (neither runAsNonRoot nor runAsUser is set)"
        yield container.hit("securityContext.runAsNonRoot", why, "unset" if non_root is None else "false")
