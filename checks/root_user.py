"""Containers that run as root, or may."""

from collections.abc import Iterator, Mapping
from typing import Any

from iocaudit.core.check import Parameter, Params, check
from iocaudit.core.hit import Hit
from iocaudit.core.kinds import PODS
from iocaudit.core.place import Place
from iocaudit.core.repair import put
from iocaudit.core.severity import IoC, Severity
from iocaudit.core.shape import integer, items, mapping, text
from iocaudit.knowledge.pods.pod import PodSpec
from iocaudit.knowledge.pods.pss import PSS_VERSION, has_own_users

_CONTROLS = {"attack": "T1611", "cis-1.12": "5.2.7", "owasp": "K01", "nsa": "Non-root containers"}
WINDOWS_ADMINISTRATORS = frozenset(
    {"containeradministrator", "user manager\\containeradministrator", "nt authority\\system"}
)


@check(
    "runs-as-root",
    severity=Severity.HIGH,
    iocs=(IoC.CLUSTER_ADMIN,),
    group="pods",
    looks_at=PODS,
    fields=("runAsUser", "runAsGroup", "fsGroup", "supplementalGroups", "windowsOptions"),
    controls={**_CONTROLS, "pss": "restricted/runAsUser"},
    parameters=(
        Parameter(
            "groups",
            {"type": "boolean"},
            "also flag 0 in runAsGroup, fsGroup and supplementalGroups (profile strict does)",
            default=False,
            strict=True,
        ),
        PSS_VERSION,
    ),
    implies={Place.CONTAINERS: ("low-uid", "may-run-as-root")},
)
def runs_as_root(pod: PodSpec, params: Params) -> Iterator[Hit]:
    """A container runs as user 0.

    Root in a container is root on every file it can reach: one kernel or runtime flaw, or one writable mount,
    and it is root on the node. The value that counts is the container's own, else the pod's. It is flagged
    beside `runAsNonRoot: true` too: such a container cannot start, and dropping the one field would let it. The
    Windows counterparts ContainerAdministrator and NT AUTHORITY\\SYSTEM count as root. A pod in a user namespace
    of its own (`hostUsers: false`) maps user 0 to an unprivileged one and is not flagged.

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
    if has_own_users(pod, params):
        return
    inherits_user = inherits_name = not pod.containers
    for container in pod.containers:
        own = container.security_context.get("runAsUser")
        if own is None:
            inherits_user = True
        elif integer(own) == 0:
            yield container.hit("securityContext.runAsUser", "runs as root (runAsUser: 0)", "0")
        name = _windows_user(container.security_context)
        if not name:
            inherits_name = True
        elif _is_administrator(name):
            yield container.hit(_WINDOWS_USER, f"runs as the Windows administrator {name}", name.lower())
    if inherits_user and integer(pod.security_context.get("runAsUser")) == 0:
        yield pod.hit("securityContext.runAsUser", "runs its containers as root (runAsUser: 0)", "0")
    if inherits_name and _is_administrator(name := _windows_user(pod.security_context)):
        yield pod.hit(_WINDOWS_USER, f"runs its containers as the Windows administrator {name}", name.lower())
    if params["groups"]:
        yield from _groups(pod)


_WINDOWS_USER = "securityContext.windowsOptions.runAsUserName"


def _windows_user(context: Mapping[str, Any]) -> str:
    """``runAsUserName`` of one level; the kubelet merges windowsOptions field by field."""
    return text(mapping(context.get("windowsOptions")).get("runAsUserName")).strip()


def _is_administrator(name: str) -> bool:
    """Whether a Windows user name, in any case, is one with the rights of an administrator."""
    return name.lower() in WINDOWS_ADMINISTRATORS


def _groups(pod: PodSpec) -> Iterator[Hit]:
    """The root group is not the root user: what is wrong with the user is reported beside it."""
    return (hit._replace(alone=True) for hit in _root_groups(pod))


def _root_groups(pod: PodSpec) -> Iterator[Hit]:
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
    parameters=(PSS_VERSION,),
)
def may_run_as_root(pod: PodSpec, params: Params) -> Iterator[Hit]:
    """Nothing keeps a container from running as root.

    Without `runAsNonRoot: true` or a user other than 0 the image decides, and most images say root. What
    counts is the container's own field, else the pod's. On Windows a `runAsUserName` other than an
    administrator's will do in place of `runAsUser`, as many images there say ContainerAdministrator. A pod in a
    user namespace of its own (`hostUsers: false`) is not flagged.

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
    if has_own_users(pod, params):
        return
    for container in pod.containers:
        non_root = container.effective("runAsNonRoot")
        user = integer(container.effective("runAsUser"))
        if non_root is True or (user is not None and user != 0):
            continue
        if pod.is_windows:
            name = _windows_user(container.security_context) or _windows_user(pod.security_context)
            if name and not _is_administrator(name):
                continue
        if user == 0:
            why = "may run as root: runAsUser is 0, and runAsNonRoot does not forbid it"
        elif non_root is False:
            why = "may run as root (runAsNonRoot: false)"
        else:
            why = "may run as root (neither runAsNonRoot nor runAsUser is set)"
        undo = None if user == 0 else put(True)  # as root it could not start
        yield container.hit("securityContext.runAsNonRoot", why, "unset" if non_root is None else "false", repair=undo)
