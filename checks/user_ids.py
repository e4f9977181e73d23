"""User and group ids that a policy bounds."""

from collections.abc import Iterator, Mapping
from typing import Any

from iocaudit.core.check import Parameter, Params, check
from iocaudit.core.hit import Hit
from iocaudit.core.kinds import PODS
from iocaudit.core.severity import IoC, Severity
from iocaudit.core.shape import integer, items, mappings
from iocaudit.knowledge.pods.pod import PodSpec
from iocaudit.knowledge.pods.pss import has_own_users

_CONTROLS = {"attack": "T1611", "cis-1.12": "5.2.7", "owasp": "K01", "nsa": "Non-root containers"}
_ID = {"type": "integer", "minimum": 0, "maximum": 2**32 - 1}
_FIELDS = ("runAsUser", "runAsGroup", "supplementalGroups", "fsGroup")


def _bound(field: str) -> Parameter:
    """The rule of a PodSecurityPolicy for one field: ``{rule, ranges: [{min, max}]}``."""
    schema = {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "rule": {"enum": ["MustRunAs", "MustRunAsNonRoot", "MayRunAs", "RunAsAny"]},
            "ranges": {
                "type": "array",
                "maxItems": 100,
                "items": {
                    "type": "object",
                    "additionalProperties": False,
                    "required": ["min", "max"],
                    "properties": {"min": _ID, "max": _ID},
                },
            },
        },
    }
    others = tuple(other for other in _FIELDS if other != field)
    return Parameter(
        field,
        schema,
        f"the rule for {field}: MustRunAs (set, and in the ranges), MayRunAs (in the ranges where set), "
        "MustRunAsNonRoot (set, and not 0), RunAsAny",
        required=True,
        unless=others,
    )


@check(
    "id-out-of-range",
    severity=Severity.MEDIUM,
    iocs=(IoC.CLUSTER_ADMIN,),
    group="pods",
    looks_at=PODS,
    controls=_CONTROLS,
    parameters=tuple(_bound(field) for field in _FIELDS),
)
def id_out_of_range(pod: PodSpec, params: Params) -> Iterator[Hit]:
    """A user or group id is outside the ranges of the policy.

    Where each team has ids of its own, files on shared volumes stay apart even if a container is broken out of.
    The rules are those of PodSecurityPolicy: `MustRunAs` wants an id set and within the ranges, `MayRunAs`
    within them where one is set, `MustRunAsNonRoot` any but 0. What counts is the container's own field, else
    the pod's. Without a rule for any field the check is not configured.

    Bad:

        apiVersion: v1
        kind: Pod
        metadata: {name: web, namespace: shop}
        spec:
          securityContext: {runAsUser: 500}
          containers: [{name: app, image: "hooli.com/shop/web:1.4"}]

    Good:

        apiVersion: v1
        kind: Pod
        metadata: {name: web, namespace: shop}
        spec:
          securityContext: {runAsUser: 20001}
          containers: [{name: app, image: "hooli.com/shop/web:1.4"}]

    Policy:

        runAsUser: {rule: MustRunAs, ranges: [{min: 20000, max: 29999}]}

    Fix: Take an id from the ranges, or widen them in the policy.

    Sources: Kubernetes documentation, PodSecurityPolicy, Users and groups.
    """
    for field in ("runAsUser", "runAsGroup"):
        bound = params.get(field)
        if bound is None:
            continue
        for container in pod.containers:
            value = container.effective(field)
            if why := _violation(bound, integer(value)):
                path = container.effective_path(field)
                yield Hit(path, f"{container.title} has {field} {why}", _shown(value))
    if bound := params.get("fsGroup"):
        value = pod.security_context.get("fsGroup")
        if why := _violation(bound, integer(value)):
            yield pod.hit("securityContext.fsGroup", f"has fsGroup {why}", _shown(value))
    if bound := params.get("supplementalGroups"):
        groups = [integer(group) for group in items(pod.security_context.get("supplementalGroups"))]
        for group in groups or [None]:
            if why := _violation(bound, group):
                yield pod.hit("securityContext.supplementalGroups", f"has a supplemental group {why}", _shown(group))


def _shown(value: object) -> str:
    return "unset" if value is None else str(value)


def _violation(bound: Mapping[str, Any], value: int | None) -> str | None:
    """In what way an id breaks a rule; None where it does not."""
    rule = bound.get("rule", "RunAsAny")
    if rule == "RunAsAny":
        return None
    if value is None:
        return None if rule == "MayRunAs" else f"unset, which {rule} does not allow"
    if rule == "MustRunAsNonRoot":
        return "0, which MustRunAsNonRoot does not allow" if value == 0 else None
    ranges = mappings(bound.get("ranges"))
    if any(entry["min"] <= value <= entry["max"] for entry in ranges):
        return None
    shown = ", ".join(f"{entry['min']}-{entry['max']}" for entry in ranges) or "none"
    return f"{value}, outside the allowed ranges ({shown})"


@check(
    "low-uid",
    severity=Severity.LOW,
    iocs=(IoC.CLUSTER_ADMIN,),
    group="pods",
    looks_at=PODS,
    profile="strict",
    controls=_CONTROLS,
    parameters=(Parameter("minimum", _ID, "the lowest id that is not flagged", default=10_000),),
)
def low_uid(pod: PodSpec, params: Params) -> Iterator[Hit]:
    """A container's user id may be one that the node uses too.

    Ids below 10000 belong to users of the node in many distributions: a process that leaves its container has
    their files. An unset `runAsUser` leaves the id to the image. `runAsGroup` is judged where it is set.
    Windows pods are left out, and so are pods in a user namespace of their own (`hostUsers: false`), each of whose
    ids is one of the node that nobody else has.

    Bad:

        apiVersion: v1
        kind: Pod
        metadata: {name: web, namespace: shop}
        spec:
          securityContext: {runAsUser: 1000}
          containers: [{name: app, image: "hooli.com/shop/web:1.4"}]

    Good:

        apiVersion: v1
        kind: Pod
        metadata: {name: web, namespace: shop}
        spec:
          securityContext: {runAsUser: 10001, runAsGroup: 10001}
          containers: [{name: app, image: "hooli.com/shop/web:1.4"}]

    Fix: Set `runAsUser` and `runAsGroup` to 10000 or more.

    Sources: kube-score and kubesec, run as a high user id; Kubernetes documentation, User Namespaces.
    """
    if pod.is_windows or has_own_users(pod, params):
        return
    minimum = params["minimum"]
    for container in pod.containers:
        user = integer(container.effective("runAsUser"))
        if user is None:
            path = container.effective_path("runAsUser")
            yield Hit(path, f"{container.title} leaves its user id to the image (runAsUser is not set)", "unset")
        elif user < minimum:
            path = container.effective_path("runAsUser")
            yield Hit(path, f"{container.title} runs as user {user}, below {minimum}", str(user))
        group = integer(container.effective("runAsGroup"))
        if group is not None and group < minimum:
            path = container.effective_path("runAsGroup")
            yield Hit(path, f"{container.title} runs as group {group}, below {minimum}", str(group))
