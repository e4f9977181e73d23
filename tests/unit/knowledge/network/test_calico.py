"""Calico's policies: selectors, tiers, order and Pass."""

import pytest

from iocaudit.knowledge.network.model import EGRESS, INGRESS
from tests.unit.knowledge.network.worlds import POD, coverage, isolated

_NAMESPACE = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {team: a}}\n---\n"


def _policy(spec: str, kind: str = "GlobalNetworkPolicy", group: str = "projectcalico.org/v3", name: str = "p") -> str:
    where = "" if kind.startswith("Global") else ", namespace: shop"
    return f"apiVersion: {group}\nkind: {kind}\nmetadata: {{name: {name}{where}}}\nspec: {spec}\n---\n"


def _tier(name: str, order: str, action: str = "Deny") -> str:
    spec = f"{{order: {order}, defaultAction: {action}}}"
    return f"apiVersion: projectcalico.org/v3\nkind: Tier\nmetadata: {{name: {name}}}\nspec: {spec}\n---\n"


@pytest.mark.parametrize("group", ["projectcalico.org/v3", "crd.projectcalico.org/v1"])
@pytest.mark.parametrize("kind", ["NetworkPolicy", "GlobalNetworkPolicy"])
@pytest.mark.parametrize(
    ("spec", "directions"),
    [
        ("{}", "in"),
        ("{selector: all()}", "in"),
        ("{ingress: [{action: Allow}]}", "in"),
        ("{egress: [{action: Allow}]}", "out"),
        ("{ingress: [{action: Allow}], egress: [{action: Allow}]}", "in out"),
        ("{types: [Egress]}", "out"),
        ("{types: [Ingress, Egress]}", "in out"),
        ("{types: [], egress: [{action: Deny}]}", "out"),
        ("{selector: app == 'web'}", "in"),
        ("{selector: app == 'db'}", ""),
        ("{selector: \"projectcalico.org/namespace == 'shop'\"}", "in"),
        ("{selector: \"projectcalico.org/namespace == 'other'\"}", ""),
        ("{selector: \"projectcalico.org/orchestrator == 'k8s'\"}", "in"),
        ("{selector: \"pcns.team == 'a'\"}", "in"),
        ("{selector: \"pcns.kubernetes.io/metadata.name == 'shop'\"}", "in"),
        ("{selector: global()}", "in"),
        ("{selector: app = 'web'}", ""),
        ("{serviceAccountSelector: \"role == 'x'\"}", ""),
        ("{serviceAccountSelector: \"projectcalico.org/name == 'default'\"}", "in"),
        ("{serviceAccountSelector: all()}", "in"),
    ],
)
def test_isolation_by_spec(group: str, kind: str, spec: str, directions: str) -> None:
    assert isolated(_NAMESPACE + _policy(spec, kind, group)) == directions


@pytest.mark.parametrize(
    ("selector", "selected"),
    [
        ("all()", True),
        ("team == 'a'", True),
        ("team == 'b'", False),
        ("has(team) && projectcalico.org/name == 'shop'", True),
        ("projectcalico.org/name not in {'kube-system', 'shop'}", False),
        ("kubernetes.io/metadata.name != 'kube-system'", True),
        ("not a selector", False),
    ],
)
def test_a_global_policy_selects_namespaces_by_their_labels(selector: str, selected: bool) -> None:
    assert isolated(_NAMESPACE + _policy(f'{{namespaceSelector: "{selector}"}}')) == ("in" if selected else "")


def test_a_namespace_that_was_not_read_has_its_name_alone() -> None:
    assert isolated(_policy("{namespaceSelector: has(team)}")) == ""
    assert isolated(_policy("{namespaceSelector: \"kubernetes.io/metadata.name == 'shop'\"}")) == "in"


def test_the_labels_of_service_accounts_are_looked_up() -> None:
    account = (
        "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: default, namespace: shop, labels: {role: x}}\n---\n"
    )
    assert isolated(account + _policy("{serviceAccountSelector: \"role == 'x'\"}")) == "in"
    assert isolated(account + _policy("{serviceAccountSelector: \"role == 'y'\"}")) == ""


def test_staged_policies_and_those_for_host_endpoints_hold_nobody() -> None:
    assert isolated(_policy("{}", "StagedGlobalNetworkPolicy")) == ""
    assert isolated(_policy("{}", "StagedNetworkPolicy")) == ""
    assert isolated(_policy("{preDNAT: true, applyOnForward: true}")) == ""
    assert isolated(_policy("{doNotTrack: true, applyOnForward: true}")) == ""


def test_tiers_go_by_order_and_pass_hands_on() -> None:
    passes = _policy("{tier: security, ingress: [{action: Pass}]}")
    assert isolated(_tier("security", "100") + passes) == ""
    assert isolated(_tier("security", "100") + passes + _policy("{}", name="q")) == "in"
    # A Pass of some traffic leaves the rest to the tier's default action.
    some = _policy("{tier: security, ingress: [{action: Pass, protocol: UDP}]}")
    assert isolated(_tier("security", "100") + some) == "in"


def test_a_tier_may_pass_by_default() -> None:
    tier = _tier("security", "100", "Pass")
    assert isolated(tier + _policy("{tier: security}")) == ""
    assert isolated(tier + _policy("{tier: security, ingress: [{action: Deny}]}")) == "in"
    assert isolated(tier + _policy("{tier: security, ingress: [{action: Deny, source: {nets: [10.0.0.0/8]}}]}")) == ""
    opens = tier + _policy("{tier: security, ingress: [{action: Allow}]}") + _policy("{}", name="q")
    assert isolated(opens) == ""
    assert coverage(POD + opens).isolation(INGRESS).by == "GlobalNetworkPolicy p"
    late = _tier("late", "2000000", "Pass") + _policy("{tier: late, ingress: [{action: Allow}]}")
    assert isolated(late + _policy("{}", name="q")) == "in"


def test_policies_of_a_tier_go_by_order_and_log_goes_on() -> None:
    first = _policy("{order: 10, ingress: [{action: Log}, {action: Pass}]}", name="first")
    kubernetes = (
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: k, namespace: shop}\n"
        "spec: {podSelector: {}}\n---\n"
    )
    # What Kubernetes' policies don't allow is denied at the end of the tier, but all was passed on before.
    assert isolated(first + kubernetes) == ""
    last = _policy("{ingress: [{action: Pass}]}", name="last")
    assert isolated(last + _policy("{order: 10, ingress: [{action: Deny}]}")) == "in"


def test_a_tier_that_is_not_declared_denies() -> None:
    assert isolated(_policy("{tier: unheard-of}")) == "in"


@pytest.mark.parametrize(
    ("rule", "total"),
    [
        ("{action: Allow}", True),
        ("{action: Allow, destination: {nets: [0.0.0.0/0]}}", True),
        ("{action: Allow, destination: {nets: [0.0.0.0/0], notNets: [0.0.0.0/1]}}", False),
        ("{action: Allow, destination: {notNets: [169.254.169.254/32]}}", True),
        ("{action: Allow, destination: {selector: all()}}", False),
        ("{action: Allow, destination: {namespaceSelector: all()}}", False),
        ("{action: Allow, destination: {namespaceSelector: global()}}", False),
        ("{action: Allow, destination: {ports: [443]}}", False),
        ("{action: Allow, protocol: TCP, destination: {ports: ['1:65535']}}", True),
        ("{action: Allow, protocol: TCP}", True),
        ("{action: Allow, protocol: 6}", True),
        ("{action: Allow, protocol: UDP}", False),
        ("{action: Allow, notProtocol: UDP}", False),
        ("{action: Allow, source: {ports: [1]}}", False),
        ("{action: Allow, destination: {notPorts: [1]}}", False),
        ("{action: Allow, destination: {domains: ['*.hooli.com']}}", False),
        ("{action: Allow, destination: {services: {name: web}}}", False),
        ("{action: Allow, destination: {notSelector: has(a)}}", False),
        ("{action: Allow, destination: {serviceAccounts: {names: [x]}}}", False),
        ("{action: Deny}", True),
        ("{action: Deny, ipVersion: 4}", True),
        ("{action: Deny, ipVersion: 6}", False),
        ("{action: Allow, ipVersion: 6, destination: {nets: ['::/0']}}", False),
        ("{action: Allow, ipVersion: 6, destination: {namespaceSelector: all()}}", False),
    ],
)
def test_when_a_rule_decides_for_all_that_goes_out(rule: str, total: bool) -> None:
    (policy,) = coverage(POD + _policy(f"{{egress: [{rule}]}}")).policies
    assert policy.sides[EGRESS].rules[0].is_total(EGRESS) is total
