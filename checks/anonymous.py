"""Bindings that give something to nobody in particular."""

from collections.abc import Iterator

from checks._rbac import CONTROLS, LOOKED_UP, PARTS, bound_in, subject_hit
from iocaudit.core.check import Parameter, Params, check, string_list
from iocaudit.core.hit import Hit, Skip
from iocaudit.core.place import Place
from iocaudit.core.resource import Resource
from iocaudit.core.severity import IoC, Severity
from iocaudit.core.world import World
from iocaudit.knowledge.rbac.bindings import BINDINGS, bindings_in
from iocaudit.knowledge.rbac.powers import is_dangerous
from iocaudit.knowledge.rbac.subjects import ANONYMOUS


@check(
    "anonymous-binding",
    severity=Severity.HIGH,
    worst=Severity.CRITICAL,
    denied_by_guard=True,
    iocs=(IoC.USER_ACTIVITY,),
    group="rbac",
    looks_at=BINDINGS,
    uses=LOOKED_UP,
    controls=CONTROLS
    | {"attack": "T1078, T1098.006", "owasp": "K02, K09", "nsa": "Authentication, Role-based access control"},
    parameters=(
        string_list("allowedRoles", "roles that may be bound to anonymous users and to everybody", exempts=True),
        Parameter("everybody", {"type": "boolean"}, "flag any grant to everybody, a harmless one too", default=False),
    ),
    implies={Place.SAME: PARTS},
)
def anonymous_binding(resource: Resource, world: World, params: Params) -> Iterator[Hit | Skip]:
    """A binding gives rights to anonymous users, or dangerous ones to everybody.

    `system:anonymous` and `system:unauthenticated`, written as a user or as a group, are anyone who reaches the API
    server; any grant to them is flagged, as critical where it changes something, reads Secrets, uses wildcards,
    impersonates, escalates or opens another way to more. `system:authenticated` and `system:serviceaccounts` (also
    those of another namespace) are everybody inside: only such dangerous grants to them are flagged, as high, unless
    the policy says otherwise. What the ServiceAccounts of a namespace are given in it the checks on such grants judge.
    The cluster's own bindings are known by exact name, role and subjects.

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
    for binding, bound in bound_in(resource, world):
        suspects = [named for named in binding.named if named.subject.is_everyone_in(binding.namespace)]
        if not suspects or binding.role_name in params["allowedRoles"]:
            continue
        dangerous = any(is_dangerous(rule, clusterwide=binding.is_clusterwide) for rule in bound.rules)
        for named in suspects:
            message = f"gives {named.subject.everyone} ({named.subject.title}) {bound.role}{binding.where}"
            if named.subject.text in ANONYMOUS:
                yield subject_hit(named, message, bound, Severity.CRITICAL if dangerous else Severity.HIGH)
            elif dangerous:
                more = f"{message}, which does more than read plain objects"
                yield subject_hit(named, more, bound, Severity.HIGH)
            elif params["everybody"]:
                yield subject_hit(named, message, bound, Severity.MEDIUM)
            elif bound.problem is not None:
                yield Skip(bound.problem)


_CATCH_ALL = (
    "admins",
    "administrators",
    "all",
    "all-users",
    "developers",
    "devs",
    "everybody",
    "everyone",
    "employees",
    "ops",
    "shared",
    "staff",
    "team",
    "users",
)


@check(
    "user-shares-identity",
    severity=Severity.LOW,
    iocs=(IoC.USER_ACTIVITY,),
    group="rbac",
    looks_at=BINDINGS,
    profile="strict",
    controls=CONTROLS | {"attack": "T1078"},
    parameters=(string_list("groups", "group names that say nothing about who is in them", default=_CATCH_ALL),),
)
def user_shares_identity(resource: Resource, world: World, params: Params) -> Iterator[Hit]:
    """A binding names a catch-all group.

    A group such as `users` or `everyone` grows by itself: nobody who adds a member thinks of the rights that come
    with it, and in the audit log its members are hard to tell by what they are for. Names are compared without
    case and without what stands before the last colon (the prefix of an identity provider).

    Bad:

        apiVersion: rbac.authorization.k8s.io/v1
        kind: RoleBinding
        metadata: {name: readers, namespace: shop}
        roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
        subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: "oidc:Everyone"}]

    Good:

        apiVersion: rbac.authorization.k8s.io/v1
        kind: RoleBinding
        metadata: {name: readers, namespace: shop}
        roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
        subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: "oidc:shop-support"}]

    Fix: Bind a group that is made for this task.

    Sources: Kubernetes documentation, RBAC good practices (least privilege); MITRE ATT&CK T1078.
    """
    shared = {name.casefold() for name in params["groups"]}
    for binding in bindings_in(resource, world):
        for named in binding.named:
            subject = named.subject
            if subject.kind == "Group" and subject.name.rpartition(":")[2].casefold() in shared:
                if subject.name.startswith("system:"):
                    continue
                message = f"gives {binding.role} to {subject.title}, a group of no particular people"
                yield Hit(named.path, message, f"{subject.text} to {binding.role}", None, named.at)
