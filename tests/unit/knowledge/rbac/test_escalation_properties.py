"""Whatever is bound to whom: a way is a chain, more bindings never close one, and resourceNames never open one."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from iocaudit.core.resource import Resource
from iocaudit.core.world import World
from iocaudit.knowledge.rbac.escalation import EscalationPath, way_to_cluster_admin
from iocaudit.knowledge.rbac.subjects import Subject
from tests.support.rbac_objects import Json, binding, role, rule

RBAC = "rbac.authorization.k8s.io"
ALICE = Subject("User", "alice")
RULES: list[Json] = [
    rule("create", "pods"),
    rule("create", "pods/exec"),
    rule("create,get", "secrets"),
    rule("impersonate", "serviceaccounts"),
    rule("impersonate", "users", names="bob"),
    rule("impersonate", "groups", names="team"),
    rule("create", "serviceaccounts/token"),
    rule("create", "serviceaccounts/token", names="bot"),
    rule("bind", "clusterroles", RBAC, "r0,r1"),
    rule("bind", "roles", RBAC),
    rule("create", "rolebindings", RBAC),
    rule("create", "clusterrolebindings", RBAC),
    rule("escalate", "roles", RBAC),
    rule("patch", "roles", RBAC),
    rule("get", "nodes/proxy"),
    rule("get,list", "*", "*"),
    rule("create,update,patch,delete", "*", "*"),
]
NAMES = ("r0", "r1", "r2")
SPACES = (None, "shop", "kube-system")
WHO = ("User:alice", "User:bob", "Group:team", "ServiceAccount:shop/bot", "Group:system:serviceaccounts:shop")


@st.composite
def objects(draw: st.DrawFn) -> list[Resource]:
    """A few roles, Roles and bindings of them."""
    found = [
        role(name, *draw(st.lists(st.sampled_from(RULES), max_size=3)), namespace=space)
        for name in NAMES
        for space in SPACES
    ]
    for number in range(draw(st.integers(1, 5))):
        space = draw(st.sampled_from(SPACES))
        kind = draw(st.sampled_from(("ClusterRole", "Role"))) if space else "ClusterRole"
        to, who = draw(st.sampled_from(NAMES)), draw(st.sampled_from(WHO))
        found.append(binding(f"b{number}", to, who, namespace=space, role_kind=kind))
    return found


def way(resources: list[Resource]) -> EscalationPath:
    world = World()
    for resource in resources:
        world.put(resource)
    return way_to_cluster_admin(ALICE, world)


def is_binding(resource: Resource) -> bool:
    return resource.kind_name.endswith("Binding")


@given(objects())
def test_a_way_is_a_chain_that_begins_here_and_ends_at_cluster_admin(resources: list[Resource]) -> None:
    steps = way(resources).steps
    if steps:
        assert steps[0].subject == ALICE
        assert [step.to for step in steps] == [*(step.subject for step in steps[1:]), None]
        assert len({step.subject for step in steps}) == len(steps)
        assert all(step.binding is not None for step in steps)


@given(objects())
def test_what_fewer_bindings_give_more_of_them_give(resources: list[Resource]) -> None:
    last = next(resource for resource in reversed(resources) if is_binding(resource))
    fewer = way([resource for resource in resources if resource is not last])
    if fewer.steps:
        assert 0 < len(way(resources).steps) <= len(fewer.steps)


@given(objects())
def test_names_that_nothing_has_only_close_ways(resources: list[Resource]) -> None:
    narrowed = []
    for resource in resources:
        rules = [one | {"resourceNames": ["nothing-has-this-name"]} for one in resource.raw.get("rules", [])]
        narrowed.append(Resource(resource.raw | ({"rules": rules} if rules else {}), resource.origin))
    if way(narrowed).steps:
        assert way(resources).steps


@given(objects())
def test_nothing_bound_to_oneself_is_no_way(resources: list[Resource]) -> None:
    others = [r for r in resources if not is_binding(r) or r.raw["subjects"][0]["name"] != "alice"]
    assert not way(others).steps


@given(objects(), st.randoms(use_true_random=False), st.data())
def test_the_order_of_arrival_makes_no_difference(
    resources: list[Resource], random: Random, data: st.DataObject
) -> None:
    """Roles after bindings, taken away and put back: what was kept between the questions is never stale."""
    world = World()
    arriving = list(resources)
    random.shuffle(arriving)
    asked = data.draw(st.sets(st.integers(0, len(arriving) - 1), max_size=4))
    for number, resource in enumerate(arriving):
        world.put(resource)
        if number in asked:
            present = arriving[: number + 1]
            assert len(way_to_cluster_admin(ALICE, world).steps) == len(way(present).steps)
    gone = data.draw(st.sampled_from(arriving))
    assert gone.kind is not None
    world.remove(gone.kind, gone.namespace, gone.name)
    left = [resource for resource in resources if resource is not gone]
    assert len(way_to_cluster_admin(ALICE, world).steps) == len(way(left).steps)
    world.put(gone)
    assert len(way_to_cluster_admin(ALICE, world).steps) == len(way(resources).steps)
