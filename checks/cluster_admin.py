"""Bindings that give away the cluster, or give something to everybody."""

from collections.abc import Iterator

from iocaudit.core import paths
from iocaudit.core.check import Params, check, string_list
from iocaudit.core.hit import Hit, Skip
from iocaudit.core.kinds import CLUSTER_ROLE, CLUSTER_ROLE_BINDING, ROLE, ROLE_BINDING
from iocaudit.core.rbac import WRITES, Bound, Subject, is_bootstrap, resolve, subjects_of
from iocaudit.core.resource import Resource
from iocaudit.core.severity import IoC, Severity
from iocaudit.core.shape import lookup, text
from iocaudit.core.world import World

_BINDINGS = (CLUSTER_ROLE_BINDING, ROLE_BINDING)
_CONTROLS = {"cis-1.12": "5.1.1", "attack": "T1098.006", "ms": "MS-TA9019", "owasp": "K02"}
_ANONYMOUS = frozenset({"User:system:anonymous", "Group:system:unauthenticated"})
_EVERYBODY = frozenset({"Group:system:authenticated", "Group:system:serviceaccounts"})


def _subject_hit(index: int, subject: Subject, message: str, bound: Bound, severity: Severity) -> Hit:
    return Hit(
        f"subjects{paths.key(subject.name)}",
        message,
        f"{subject.text} to {bound.role}",
        severity,
        f"subjects[{index}]",
    )


@check(
    "cluster-admin-binding",
    severity=Severity.CRITICAL,
    iocs=(IoC.CLUSTER_ADMIN,),
    group="rbac",
    looks_at=_BINDINGS,
    uses=(CLUSTER_ROLE, ROLE),
    controls=_CONTROLS,
)
def cluster_admin_binding(resource: Resource, world: World) -> Iterator[Hit | Skip]:
    """A binding gives somebody the power of cluster-admin.

    The subject can read every Secret, change every object and make itself at home for good. A role of another
    name with every verb on every resource is the same thing, aggregated roles included. A RoleBinding gives
    that power in one namespace: high, and critical in kube-system. The cluster's own bindings are known by
    exact name, role and subjects.

    Bad:

        apiVersion: rbac.authorization.k8s.io/v1
        kind: ClusterRoleBinding
        metadata: {name: ops}
        roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
        subjects: [{kind: ServiceAccount, name: deployer, namespace: shop}]

    Good:

        apiVersion: rbac.authorization.k8s.io/v1
        kind: ClusterRoleBinding
        metadata: {name: ops}
        roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
        subjects: [{kind: ServiceAccount, name: deployer, namespace: shop}]

    Fix: Bind a role that holds what the subject does, best in one namespace.

    Sources: CIS Kubernetes Benchmark 1.12, 5.1.1; Kubernetes documentation, Using RBAC Authorization.
    """
    if is_bootstrap(resource):
        return
    bound = resolve(resource, world)
    if bound.problem is not None:
        yield Skip(bound.problem)
        return
    if not any(rule.is_everything for rule in bound.rules):
        return
    if resource.kind is ROLE_BINDING:
        namespace = world.namespace_of(resource)
        severity = Severity.CRITICAL if namespace == "kube-system" else Severity.HIGH
        where = f" in namespace {namespace}"
    else:
        severity, where = Severity.CRITICAL, ""
    for index, subject in subjects_of(resource):
        message = f"gives {subject.title} every right{where} through {bound.role}"
        yield _subject_hit(index, subject, message, bound, severity)


@check(
    "anonymous-binding",
    severity=Severity.HIGH,
    worst=Severity.CRITICAL,
    iocs=(IoC.USER_ACTIVITY,),
    group="rbac",
    looks_at=_BINDINGS,
    uses=(CLUSTER_ROLE, ROLE),
    controls={**_CONTROLS, "attack": "T1078"},
    parameters=(string_list("allowedRoles", "roles that may be bound to anonymous users and to everybody"),),
)
def anonymous_binding(resource: Resource, world: World, params: Params) -> Iterator[Hit | Skip]:
    """A binding gives rights to anonymous users, or dangerous ones to everybody.

    `system:anonymous` and `system:unauthenticated` are whoever reaches the API server; any grant to them is
    flagged, as critical where it writes, reads Secrets or uses wildcards. `system:authenticated` and
    `system:serviceaccounts` are everybody inside: only such dangerous grants to them are flagged, as high. The
    cluster's own bindings are known by exact name, role and subjects.

    Bad:

        apiVersion: rbac.authorization.k8s.io/v1
        kind: ClusterRoleBinding
        metadata: {name: public}
        roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
        subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: "system:unauthenticated"}]

    Good:

        apiVersion: rbac.authorization.k8s.io/v1
        kind: ClusterRoleBinding
        metadata: {name: public}
        roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
        subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: auditors}]

    Fix: Name the users, groups or ServiceAccounts that need the role.

    Sources: Kubernetes documentation, Using RBAC Authorization, default roles; CIS 1.12, 5.1.1.
    """
    if is_bootstrap(resource):
        return
    if text(lookup(resource.raw, "roleRef", "name")) in params["allowedRoles"]:
        return
    suspects = [(i, s) for i, s in subjects_of(resource) if s.text in _ANONYMOUS or s.text in _EVERYBODY]
    if not suspects:
        return
    bound = resolve(resource, world)
    dangerous = any(
        "*" in rule.verbs
        or ("*" in rule.resources and rule.groups)
        or (rule.verbs & WRITES and rule.resources - _HARMLESS_WRITES)
        or rule.covers("", "secrets")
        for rule in bound.rules
    )
    for index, subject in suspects:
        if subject.text in _ANONYMOUS:
            severity = Severity.CRITICAL if dangerous else Severity.HIGH
            message = f"gives anonymous users ({subject.title}) {bound.role}"
        elif bound.problem is not None:
            yield Skip(bound.problem)
            continue
        elif dangerous:
            severity = Severity.HIGH
            message = f"gives everybody ({subject.title}) {bound.role}, which writes, reads Secrets or has wildcards"
        else:
            continue
        yield _subject_hit(index, subject, message, bound, severity)


# Creating one of these asks the API server about oneself and changes nothing.
_HARMLESS_WRITES = frozenset(
    {"selfsubjectaccessreviews", "selfsubjectrulesreviews", "selfsubjectreviews", "localsubjectaccessreviews"}
)
