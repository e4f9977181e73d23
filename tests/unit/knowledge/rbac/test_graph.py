"""The graph indexes bindings by whom they name, resolves roles when asked, and stays right as both change."""

from iocaudit.core.kinds import CLUSTER_ROLE, NAMESPACE
from iocaudit.core.resource import Origin, Resource
from iocaudit.core.world import World
from iocaudit.knowledge.rbac.bindings import bindings_in, resolve
from iocaudit.knowledge.rbac.graph import Verb, graph_of, who_can
from iocaudit.knowledge.rbac.subjects import Subject
from tests.support.rbac_objects import aggregate, binding, objects, role, rule

WEB = Subject("ServiceAccount", "web", "shop")


def world_of(*resources: Resource) -> World:
    world = World()
    for resource in resources:
        world.put(resource)
    return world


def held(world: World, subject: Subject = WEB) -> set[str]:
    found = graph_of(world).held(subject, world)
    return {one.binding.resource.name for one in found if one.binding.resource.origin.source != "default"}


def test_itself_and_the_groups_it_is_in() -> None:
    world = world_of(
        binding("itself", "view", "ServiceAccount:shop/web"),
        binding("as-user", "view", "User:system:serviceaccount:shop:web"),
        binding("namespace", "view", "Group:system:serviceaccounts:shop"),
        binding("accounts", "view", "Group:system:serviceaccounts"),
        binding("everybody", "view", "Group:system:authenticated"),
        binding("other", "view", "ServiceAccount:else/web", "Group:system:serviceaccounts:else", "User:web"),
    )
    assert held(world) == {"itself", "as-user", "namespace", "accounts", "everybody"}
    assert held(world, Subject("User", "web")) == {"everybody", "other"}
    assert held(world, Subject("User", "system:anonymous")) == set()


def test_a_changed_role_keeps_the_graph_and_every_other_resolution() -> None:
    bindings = [binding(f"b{number}", f"r{number}", "User:a") for number in range(3)]
    roles = [role(f"r{number}", rule("get", "pods")) for number in range(3)]
    world = world_of(*bindings, *roles)
    graph = graph_of(world)
    before = [resolve(bindings_in(one, world)[0], world).rules for one in bindings]
    world.put(role("r1", rule("get", "secrets")))
    after = [resolve(bindings_in(one, world)[0], world).rules for one in bindings]
    assert graph_of(world) is graph
    assert after[0] is before[0]
    assert after[2] is before[2]
    assert after[1] != before[1]


def test_a_changed_part_changes_the_aggregate() -> None:
    bound = binding("b", "top", "User:a")
    world = world_of(bound, aggregate("top", {"to": "top"}), role("part", rule("get", "pods"), labels={"to": "top"}))
    (one,) = bindings_in(bound, world)
    assert resolve(one, world).rules == resolve(one, world).rules
    world.put(role("part", rule("get", "secrets"), labels={"to": "top"}))
    assert [sorted(found.resources) for found in resolve(one, world).rules] == [["secrets"]]
    world.remove(CLUSTER_ROLE, None, "part")
    assert resolve(one, world).rules == ()


def test_a_changed_binding_changes_the_graph() -> None:
    world = world_of(binding("b", "view", "ServiceAccount:shop/web"))
    assert held(world) == {"b"}
    world.put(binding("b", "view", "User:alice"))
    assert held(world) == set()


def test_namespaces_by_label() -> None:
    (definition,) = objects(
        """
apiVersion: rbacmanager.reactiveops.io/v1beta1
kind: RBACDefinition
metadata: {name: d}
rbacBindings:
- name: ci
  subjects: [{kind: User, name: ci}]
  roleBindings: [{clusterRole: edit, namespaceSelector: {matchLabels: {team: a}}}]
"""
    )
    space = "{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {team: a}}}"
    world = world_of(definition, *objects(space))
    (one,) = bindings_in(definition, world)
    assert one.holds_in("shop", world)
    assert not one.holds_in("else", world)
    world.remove(NAMESPACE, None, "shop")
    assert not one.holds_in("shop", world)


def names(world: World, asked: Verb, namespace: str | None = None, *, scoped: bool = True) -> list[str]:
    return sorted(grant.subject.name for grant in who_can(world, asked, namespace, scoped=scoped)[0])


def test_who_can() -> None:
    world = world_of(
        role(
            "reader", rule("get", "secrets"), rule("get", "nodes"), {"nonResourceURLs": ["/metrics"], "verbs": ["get"]}
        ),
        role("one", rule("get", "secrets", names="one"), namespace="shop"),
        binding("wide", "reader", "User:wide"),
        binding("narrow", "reader", "User:narrow", namespace="shop"),
        binding("named", "one", "User:named", namespace="shop", role_kind="Role"),
        binding("else", "reader", "User:else", namespace="else"),
        binding("gone", "gone", "User:gone"),
    )
    get = Verb("get", "", "secrets")
    assert names(world, get) == ["else", "named", "narrow", "wide"]
    assert names(world, get, "shop") == ["named", "narrow", "wide"]
    assert names(world, Verb("get", "", "secrets", name="two"), "shop") == ["narrow", "wide"]
    assert names(world, Verb("get", "", "nodes"), scoped=False) == ["wide"]
    assert names(world, Verb("get", url="/metrics"), scoped=False) == ["wide"]
    assert names(world, Verb("list", "", "secrets")) == []
    grants, problems = who_can(world, get, "shop")
    assert len(problems) == 1
    assert next(grant for grant in grants if grant.subject.name == "named").names == {"one"}


def test_of_variants_the_nearest_counts() -> None:
    def at(file: str, resource: Resource) -> Resource:
        return Resource(resource.raw, Origin("file", file))

    world = World()
    world.add(at("base/b.yaml", binding("b", "view", "ServiceAccount:shop/web")))
    world.add(at("prod/b.yaml", binding("b", "edit", "ServiceAccount:shop/web")))
    for folder, expected in (("base", ["ClusterRole view"]), ("prod", ["ClusterRole edit"])):
        (pod,) = objects("{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: shop}, spec: {}}")
        found = graph_of(world).held(WEB, world, near=at(f"{folder}/pod.yaml", pod))
        assert [one.bound.role for one in found if one.binding.resource.origin.source == "file"] == expected
    both = [one.bound.role for one in graph_of(world).held(WEB, world)]
    assert {"ClusterRole view", "ClusterRole edit"} <= set(both)
