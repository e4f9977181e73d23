"""Policies of policy.networking.k8s.io, of which only an explicit Deny isolates."""

import pytest

from iocaudit.knowledge.network.model import EGRESS, INGRESS
from tests.unit.knowledge.network.worlds import POD, coverage, isolated

_NAMESPACE = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {team: a}}\n---\n"
_KUBERNETES = (
    "---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: k, namespace: shop}\n"
    "spec: {podSelector: {}}\n"
)
_ALL = "subject: {namespaces: {}}"


def _policy(spec: str, kind: str = "AdminNetworkPolicy", name: str = "p") -> str:
    version = "v1alpha2" if kind == "ClusterNetworkPolicy" else "v1alpha1"
    return (
        f"---\napiVersion: policy.networking.k8s.io/{version}\nkind: {kind}\nmetadata: {{name: {name}}}\nspec: {spec}\n"
    )


_DENY_IN = "ingress: [{action: Deny, from: [{namespaces: {}}]}]"
_DENY_OUT = "egress: [{action: Deny, to: [{networks: [0.0.0.0/0]}]}]"


@pytest.mark.parametrize(
    ("spec", "directions"),
    [
        (f"{{priority: 5, {_ALL}}}", ""),
        (f"{{priority: 5, {_ALL}, ingress: [{{action: Allow, from: [{{namespaces: {{}}}}]}}]}}", ""),
        (f"{{priority: 5, {_ALL}, {_DENY_IN}}}", "in"),
        (f"{{priority: 5, {_ALL}, {_DENY_OUT}}}", "out"),
        (
            f"{{priority: 5, {_ALL}, egress: [{{action: Deny, to: [{{networks: [0.0.0.0/1]}}]}},"
            " {action: Deny, to: [{networks: [128.0.0.0/1]}]}]}",
            "out",
        ),
        (
            f"{{priority: 5, {_ALL}, egress: [{{action: Deny, to: [{{networks: [0.0.0.0/1]}}]}},"
            " {action: Deny, to: [{networks: [128.0.0.0/1]}], ports: [{portNumber: {protocol: TCP, port: 80}}]}]}",
            "",
        ),
        # The cluster's own pods are not all that a pod can send to.
        (f"{{priority: 5, {_ALL}, egress: [{{action: Deny, to: [{{namespaces: {{}}}}]}}]}}", ""),
        (f"{{priority: 5, {_ALL}, ingress: [{{action: Deny, from: [{{pods: {{podSelector: {{}}}}}}]}}]}}", "in"),
        (
            f"{{{_ALL}, ingress: [{{action: Deny, from: [{{namespaces: {{matchLabels: {{a: b}}}}}}]}}]}}",
            "",
        ),
        (f"{{priority: 5, {_ALL}, ingress: [{{action: Deny, from: [{{unheardOf: {{}}}}]}}]}}", "in"),
        (f"{{priority: 5, {_ALL}, ingress: [{{action: Pass, from: [{{unheardOf: {{}}}}]}}]}}", "in"),
        (f"{{priority: 5, subject: {{namespaces: {{matchLabels: {{team: a}}}}}}, {_DENY_IN}}}", "in"),
        (f"{{priority: 5, subject: {{namespaces: {{matchLabels: {{team: b}}}}}}, {_DENY_IN}}}", ""),
        (f"{{priority: 5, subject: {{pods: {{podSelector: {{matchLabels: {{app: web}}}}}}}}, {_DENY_IN}}}", "in"),
        (f"{{priority: 5, subject: {{pods: {{podSelector: {{matchLabels: {{app: db}}}}}}}}, {_DENY_IN}}}", ""),
        (f"{{priority: 5, subject: {{}}, {_DENY_IN}}}", ""),
        (f"{{priority: 5, {_ALL}, ingress: [{{action: Bogus, from: [{{namespaces: {{}}}}]}}]}}", ""),
    ],
)
def test_isolation_by_spec(spec: str, directions: str) -> None:
    assert isolated(_NAMESPACE + _policy(spec)) == directions


@pytest.mark.parametrize(
    ("ports", "directions"),
    [
        ("ports: [{portNumber: {protocol: TCP, port: 80}}]", ""),
        ("ports: [{portRange: {protocol: TCP, start: 1, end: 65535}}]", "in"),
        ("ports: [{namedPort: http}]", ""),
        ("ports: []", "in"),
    ],
)
def test_a_deny_for_some_ports_isolates_nobody(ports: str, directions: str) -> None:
    rule = f"ingress: [{{action: Deny, from: [{{namespaces: {{}}}}], {ports}}}]"
    assert isolated(_policy(f"{{priority: 5, {_ALL}, {rule}}}")) == directions


def test_allow_before_all_others_opens_what_network_policies_isolate() -> None:
    allow = _policy(f"{{priority: 5, {_ALL}, ingress: [{{action: Allow, from: [{{namespaces: {{}}}}]}}]}}")
    assert isolated(_KUBERNETES) == "in"
    assert isolated(_KUBERNETES + allow) == ""
    assert coverage(POD + _KUBERNETES + allow).isolation(INGRESS).by == "AdminNetworkPolicy p"


def test_what_is_not_known_allows_nothing_and_denies_no_more_than_it_may() -> None:
    unknown = _policy(
        f"{{priority: 5, {_ALL}, ingress: [{{action: Allow, from: [{{namespaces: {{}}}}, {{new: {{}}}}]}}]}}"
    )
    assert isolated(_KUBERNETES + unknown) == "in"
    rule = "ingress: [{action: Deny, from: [{namespaces: {}}], protocols: [{new: {}}]}]"
    assert isolated(_policy(f"{{tier: Admin, priority: 5, {_ALL}, {rule}}}", "ClusterNetworkPolicy")) == ""
    rule = rule.replace("Deny", "Accept")
    opens = _policy(f"{{tier: Admin, priority: 5, {_ALL}, {rule}}}", "ClusterNetworkPolicy")
    assert isolated(_KUBERNETES + opens) == "in"


def test_lower_priority_goes_first_and_pass_hands_on() -> None:
    deny = _policy(f"{{priority: 20, {_ALL}, {_DENY_IN}}}", name="deny")
    passes = f"{_ALL}, ingress: [{{action: Pass, from: [{{namespaces: {{}}}}]}}]"
    assert isolated(deny + _policy(f"{{priority: 10, {passes}}}")) == ""
    assert isolated(deny + _policy(f"{{priority: 30, {passes}}}")) == "in"
    assert isolated(deny + _policy(f"{{priority: 10, {passes}}}") + _KUBERNETES) == "in"


@pytest.mark.parametrize(
    ("rules", "alone", "isolated_behind"),
    [
        ("Deny 0.0.0.0/1, Deny 128.0.0.0/1", "out", "out"),
        ("Allow 0.0.0.0/1, Deny 128.0.0.0/1", "out", "out"),
        ("Deny 0.0.0.0/1, Allow 128.0.0.0/1", "", ""),
        ("Pass 0.0.0.0/1, Deny 128.0.0.0/1", "", "out"),
        ("Deny 0.0.0.0/1, Pass 128.0.0.0/1, Allow 0.0.0.0/0", "", "out"),
        ("Pass 0.0.0.0/1, Allow 128.0.0.0/1", "", "out"),
    ],
)
def test_blocks_of_several_rules_add_up(rules: str, alone: str, isolated_behind: str) -> None:
    written = [f"{{action: {r.split()[0]}, to: [{{networks: [{r.split()[1]}]}}]}}" for r in rules.split(", ")]
    policy = _policy(f"{{priority: 5, {_ALL}, egress: [{', '.join(written)}]}}")
    assert isolated(policy) == alone
    egress = _KUBERNETES.replace("{podSelector: {}}", "{podSelector: {}, policyTypes: [Egress]}")
    assert isolated(policy + egress) == isolated_behind


def test_the_baseline_comes_last() -> None:
    baseline = _policy(f"{{{_ALL}, {_DENY_IN}}}", "BaselineAdminNetworkPolicy", "default")
    assert isolated(baseline) == "in"
    passes = _policy(f"{{priority: 1, {_ALL}, ingress: [{{action: Pass, from: [{{namespaces: {{}}}}]}}]}}")
    assert isolated(baseline + passes) == "in"


@pytest.mark.parametrize(
    ("spec", "directions"),
    [
        (f"{{tier: Admin, priority: 1, {_ALL}, {_DENY_IN}}}", "in"),
        (f"{{tier: Baseline, priority: 1, {_ALL}, {_DENY_OUT}}}", "out"),
        (f"{{tier: Admin, priority: 1, {_ALL}, ingress: [{{action: Accept, from: [{{namespaces: {{}}}}]}}]}}", ""),
        (
            f"{{tier: Admin, priority: 1, {_ALL}, ingress: [{{action: Deny, from: [{{namespaces: {{}}}}],"
            " protocols: [{tcp: {destinationPort: {number: 80}}}]}]}",
            "",
        ),
        (
            f"{{tier: Admin, priority: 1, {_ALL}, ingress: [{{action: Deny, from: [{{namespaces: {{}}}}],"
            " protocols: [{tcp: {}}]}]}",
            "in",
        ),
    ],
)
def test_cluster_network_policies(spec: str, directions: str) -> None:
    assert isolated(_policy(spec, "ClusterNetworkPolicy")) == directions


def test_a_policy_without_rules_in_a_direction_says_nothing_of_it() -> None:
    found = coverage(POD + _policy(f"{{priority: 5, {_ALL}, {_DENY_IN}}}"))
    assert len(found.concerning(INGRESS)) == 1
    assert found.concerning(EGRESS) == []
