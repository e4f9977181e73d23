"""Bindings that give away the cluster."""

from collections.abc import Iterator

from checks._rbac import CONTROLS, LOOKED_UP, PARTS, bound_in, subject_hit
from iocaudit.core.check import check
from iocaudit.core.hit import Hit, Skip
from iocaudit.core.place import Place
from iocaudit.core.resource import Resource
from iocaudit.core.severity import IoC, Severity
from iocaudit.core.world import World
from iocaudit.knowledge.rbac.bindings import ADMIN_NAMESPACE, BINDINGS, bindings_in
from iocaudit.knowledge.rbac.defaults import bootstrap_subjects
from iocaudit.knowledge.rbac.rules import is_everything
from iocaudit.knowledge.rbac.subjects import MASTERS

_CONTROLS = CONTROLS | {"cis-1.12": "5.1.1"}


@check(
    "cluster-admin-binding",
    severity=Severity.CRITICAL,
    denied_by_guard=True,
    iocs=(IoC.CLUSTER_ADMIN,),
    group="rbac",
    looks_at=BINDINGS,
    uses=LOOKED_UP,
    controls=_CONTROLS,
    implies={Place.SAME: (*PARTS, "admin-role-bound-widely")},
)
def cluster_admin_binding(resource: Resource, world: World) -> Iterator[Hit | Skip]:
    """A binding gives someone the power of cluster-admin.

    The subject can read every Secret, change every object and make itself at home for good. A role of another
    name with every verb on every resource is the same thing, be it by one rule, by several together or by
    aggregation. A RoleBinding gives that power in one namespace: high, and critical in kube-system. The cluster's
    own bindings are known by exact name, role and subjects: a subject added to one is flagged. An RBACDefinition of
    rbac-manager is read as the bindings it makes.

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
    for binding, bound in bound_in(resource, world):
        if is_everything(bound.rules):
            wide = binding.is_clusterwide or binding.holds_in(ADMIN_NAMESPACE, world)
            severity = Severity.CRITICAL if wide else Severity.HIGH
            for named in binding.named:
                message = f"gives {named.subject.title} every right{binding.where} through {bound.role}"
                yield subject_hit(named, message, bound, severity)
        elif bound.problem is not None:
            yield Skip(bound.problem)


@check(
    "admin-role-bound-widely",
    severity=Severity.HIGH,
    iocs=(IoC.CLUSTER_ADMIN,),
    group="rbac",
    looks_at=BINDINGS,
    uses=LOOKED_UP,
    controls=_CONTROLS,
    implies={Place.SAME: PARTS},
)
def admin_role_bound_widely(resource: Resource, world: World) -> Iterator[Hit]:
    """The role admin or edit is bound in the whole cluster, or to everybody.

    Both hold Secrets, sessions into pods and impersonation of ServiceAccounts. They are made for the people of one
    namespace; in the whole cluster they reach kube-system, and with it everything. A group of everybody
    (`system:authenticated`, `system:serviceaccounts` and those of a namespace, anonymous users) has no people.

    Bad:

        apiVersion: rbac.authorization.k8s.io/v1
        kind: ClusterRoleBinding
        metadata: {name: developers}
        roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: edit}
        subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: developers}]

    Good:

        apiVersion: rbac.authorization.k8s.io/v1
        kind: RoleBinding
        metadata: {name: developers, namespace: shop}
        roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: edit}
        subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: shop-developers}]

    Fix: Bind the role by a RoleBinding in the namespaces of those people.

    Sources: Kubernetes documentation, Using RBAC Authorization, user-facing roles; RBAC good practices.
    """
    for binding, bound in bound_in(resource, world):
        if binding.role_kind != "ClusterRole" or binding.role_name not in ("admin", "edit"):
            continue
        for named in binding.named:
            if binding.is_clusterwide:
                yield subject_hit(
                    named, f"gives {named.subject.title} {bound.role} in the whole cluster", bound, Severity.HIGH
                )
            elif named.subject.is_everyone:
                message = f"gives {named.subject.everyone} ({named.subject.title}) {bound.role}{binding.where}"
                yield subject_hit(named, message, bound, Severity.HIGH)


@check(
    "masters-group-binding",
    severity=Severity.CRITICAL,
    denied_by_guard=True,
    iocs=(IoC.CLUSTER_ADMIN,),
    group="rbac",
    looks_at=BINDINGS,
    controls=CONTROLS | {"cis-1.12": "5.1.7"},
)
def masters_group_binding(resource: Resource, world: World) -> Iterator[Hit]:
    """A binding names the group system:masters.

    Anyone who is in it holds every right whatever the bindings say, and it cannot be taken away short of new
    certificates. A binding that names it gives nothing, and shows that someone is meant to be in it. The
    cluster's own binding to cluster-admin is known.

    Bad:

        apiVersion: rbac.authorization.k8s.io/v1
        kind: RoleBinding
        metadata: {name: ops, namespace: shop}
        roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
        subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: "system:masters"}]

    Good:

        apiVersion: rbac.authorization.k8s.io/v1
        kind: RoleBinding
        metadata: {name: ops, namespace: shop}
        roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
        subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: operators}]

    Fix: Bind a group of your own, and issue no certificates with the organisation system:masters.

    Sources: Kubernetes documentation, RBAC good practices; CIS Kubernetes Benchmark 1.12, 5.1.7.
    """
    own = bootstrap_subjects(resource)
    for binding in bindings_in(resource, world):
        for named in binding.named:
            if named.subject.text == MASTERS and MASTERS not in own:
                evidence = f"{named.subject.text} to {binding.role}"
                message = f"names Group system:masters, which bypasses RBAC, as a subject of {binding.role}"
                yield Hit(named.path, message, evidence, None, named.at)
