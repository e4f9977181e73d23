"""Whatever stands in the fields of RBAC objects, no check and no question about them fails."""

from hypothesis import given
from hypothesis import strategies as st

from iocaudit.core.resource import CLUSTER, Resource
from iocaudit.core.world import World
from iocaudit.engine.audit import Auditor
from iocaudit.engine.policy_set import PolicySet
from iocaudit.knowledge.rbac.escalation import way_to_cluster_admin
from iocaudit.knowledge.rbac.graph import Verb, who_can
from iocaudit.knowledge.rbac.subjects import Subject
from tests.support.rbac_objects import CATALOGUE

CHECKS = CATALOGUE.select(check.id for check in CATALOGUE if check.group in ("rbac", "self"))
WORDS = st.sampled_from(
    (
        *("*", "", "get", "bind", "escalate", "impersonate", "secrets", "clusterroles", "rbac.authorization.k8s.io"),
        *("User", "Group", "ServiceAccount", "Role", "ClusterRole", "cluster-admin", "a", "b", "deny.iocaudit.io"),
    )
)
KEYS = st.sampled_from(
    (
        *("kind", "name", "namespace", "verbs", "resources", "apiGroups", "resourceNames", "nonResourceURLs"),
        *("matchLabels", "matchExpressions", "key", "operator", "values", "clusterRoleSelectors", "subjects"),
        *("clusterRole", "role", "roleBindings", "clusterRoleBindings", "namespaceSelector", "rules", "clientConfig"),
    )
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=20,
)
KINDS = st.sampled_from(
    (
        *(
            ("rbac.authorization.k8s.io/v1", kind)
            for kind in ("Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding")
        ),
        ("rbacmanager.reactiveops.io/v1beta1", "RBACDefinition"),
        ("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration"),
    )
)
REFERENCES = st.fixed_dictionaries(
    {"kind": st.sampled_from(("Role", "ClusterRole")), "name": st.sampled_from(("a", "b", "cluster-admin"))}
)
OBJECTS = st.builds(
    lambda kind, name, fields, labels: {
        "apiVersion": kind[0],
        "kind": kind[1],
        "metadata": {"name": name, "namespace": "shop", "labels": labels},
        **fields,
    },
    KINDS,
    st.sampled_from(("a", "b")),
    st.fixed_dictionaries(
        {},
        optional={
            "rules": ANYTHING,
            "subjects": ANYTHING,
            "roleRef": REFERENCES | ANYTHING,
            "aggregationRule": ANYTHING,
            "rbacBindings": ANYTHING,
            "webhooks": ANYTHING,
        },
    ),
    ANYTHING,
)


@given(st.lists(OBJECTS, min_size=1, max_size=5))
def test_no_shape_is_a_fault(raws: list[dict[str, object]]) -> None:
    world, resources = World(), [Resource(raw, CLUSTER) for raw in raws]
    for resource in resources:
        world.put(resource)
    auditor = Auditor(CHECKS, PolicySet(CHECKS, profile="strict"), world)
    for resource in resources:
        assert not auditor.audit(resource).faults
    for subject in (Subject("User", "a"), Subject("ServiceAccount", "a", "shop")):
        assert all(step.subject for step in way_to_cluster_admin(subject, world).steps)
    grants, problems = who_can(world, Verb("get", "", "secrets"))
    assert all(grant.subject.name and grant.role for grant in grants)
    assert all(problems)
