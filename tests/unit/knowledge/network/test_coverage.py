"""Coverage of a whole world: namespaces, changes, and what cannot be known."""

from iocaudit.core.kinds import SERVICE_ACCOUNT
from iocaudit.core.resource import CLUSTER, Resource
from iocaudit.core.world import World
from iocaudit.knowledge.network import coverage as module
from iocaudit.knowledge.network.coverage import coverage_of, dns_target, space_of
from iocaudit.knowledge.network.isolation import Coverage
from iocaudit.knowledge.network.model import EGRESS, INGRESS, Traffic
from iocaudit.knowledge.pods.places import pods_of
from tests.unit.knowledge.network.worlds import POD, coverage, world_of

_POLICY = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "NetworkPolicy",
    "metadata": {"name": "p", "namespace": "shop"},
    "spec": {"podSelector": {}},
}
_GLOBAL = {
    "apiVersion": "projectcalico.org/v3",
    "kind": "GlobalNetworkPolicy",
    "metadata": {"name": "g"},
    "spec": {"namespaceSelector": "kubernetes.io/metadata.name == 'shop'"},
}


def _isolated(world: World, pod: Resource) -> bool:
    found = coverage_of(pods_of(pod)[0], world)
    assert isinstance(found, Coverage)
    return found.isolation(INGRESS).isolated


def test_changes_are_seen_at_once() -> None:
    world, (pod,) = world_of(POD)
    assert not _isolated(world, pod)
    for raw in (_POLICY, _GLOBAL):
        policy = Resource(raw, CLUSTER)
        world.put(policy)
        assert _isolated(world, pod)
        assert policy.kind is not None
        world.remove(policy.kind, world.namespace_of(policy), policy.name)
        assert not _isolated(world, pod)


def test_a_change_leaves_other_namespaces_and_parsed_policies_alone() -> None:
    world, _ = world_of(POD)
    policies = [Resource({**_POLICY, "metadata": {"name": f"p{n}", "namespace": "shop"}}, CLUSTER) for n in range(3)]
    for policy in policies:
        world.put(policy)
    world.put(Resource(_GLOBAL, CLUSTER))
    shop, other = space_of("shop", world), space_of("other", world)
    world.put(Resource({**_POLICY, "metadata": {"name": "q", "namespace": "other"}}, CLUSTER))
    assert space_of("shop", world) is shop
    assert space_of("other", world) is not other
    other = space_of("other", world)
    world.put(Resource({**_GLOBAL, "metadata": {"name": "g2"}}, CLUSTER))
    assert space_of("other", world) is other, "a policy that does not select a namespace must not touch it"
    changed = space_of("shop", world)
    assert changed is not shop
    assert {id(p) for p in shop.policies} <= {id(p) for p in changed.policies}, "policies were read again"
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "other", "labels": {"a": "b"}}}
    world.put(Resource(namespace, CLUSTER))
    assert space_of("shop", world) is changed
    assert space_of("other", world).labels["a"] == "b"


def test_what_is_kept_is_bounded() -> None:
    world, _ = world_of("")
    space = space_of("shop", world)
    for number in range(module._MOST_KEPT + 10):
        space.coverage({"pod": str(number)}, "default", lambda _: {})
    assert len(space._kept) <= module._MOST_KEPT


def test_pods_beyond_policies_have_no_coverage() -> None:
    for part in ("spec: {hostNetwork: true}", "status: {phase: Succeeded}", "status: {phase: Failed}"):
        world, (pod,) = world_of(f"apiVersion: v1\nkind: Pod\nmetadata: {{name: a}}\nspec: {{}}\n{part}\n")
        assert coverage_of(pods_of(pod)[0], world) is None


def test_unknown_service_accounts_matter_only_where_a_policy_asks_for_them() -> None:
    world, resources = world_of(POD)
    world.mark_incomplete(SERVICE_ACCOUNT, "forbidden")
    pod = pods_of(resources[0])[0]
    assert isinstance(coverage_of(pod, world), Coverage)
    raw = {**_GLOBAL, "spec": {"serviceAccountSelector": "role == 'x'"}}
    world.put(Resource(raw, CLUSTER))
    assert "GlobalNetworkPolicy g selects by labels of ServiceAccounts" in str(coverage_of(pod, world))


def test_labels_that_are_no_strings_are_no_labels() -> None:
    found = coverage(POD.replace("{app: web}", "{app: [1], tier: 2}"))
    assert found.policies == ()


def test_a_pod_cannot_claim_the_labels_that_engines_add() -> None:
    policy = (
        "apiVersion: projectcalico.org/v3\nkind: GlobalNetworkPolicy\nmetadata: {name: g}\n"
        "spec: {selector: \"projectcalico.org/namespace != 'kube-system'\"}\n"
    )
    liar = POD.replace("{app: web}", "{projectcalico.org/namespace: kube-system}")
    assert coverage(liar + policy).isolation(INGRESS).isolated


def test_default_deny_has_to_select_every_pod() -> None:
    calico = "apiVersion: projectcalico.org/v3\nkind: GlobalNetworkPolicy\nmetadata: {name: g}\nspec: "
    for spec, whole in (
        ("{}", True),
        ("{selector: all()}", True),
        ("{selector: has(projectcalico.org/namespace)}", True),
        ("{selector: \"projectcalico.org/namespace == 'other'\"}", False),
        ("{selector: '!has(exempt)'}", False),
        ("{serviceAccountSelector: all()}", False),
    ):
        world, _ = world_of(calico + spec)
        assert space_of("shop", world).default().isolation(INGRESS).isolated is whole, spec


def test_a_verdict_walks_tiers_and_falls_open_at_the_end() -> None:
    dns = Traffic(dns_target(World()), "UDP", (53,))
    assert coverage(POD).verdict(dns, EGRESS, generous=False).allowed
    denied = coverage(POD + "\n" + _yaml("policyTypes: [Egress]"))
    assert not denied.verdict(dns, EGRESS, generous=True).allowed
    allowed = coverage(POD + "\n" + _yaml("policyTypes: [Egress], egress: [{ports: [{protocol: UDP, port: 53}]}]"))
    assert allowed.verdict(dns, EGRESS, generous=False).allowed


def _yaml(spec: str) -> str:
    head = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p, namespace: shop}\n"
    return f"{head}spec: {{podSelector: {{}}, {spec}}}\n"
