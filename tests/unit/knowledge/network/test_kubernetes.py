"""NetworkPolicy of networking.k8s.io: whom it isolates in which direction."""

import pytest

from iocaudit.knowledge.network.model import EGRESS, INGRESS
from tests.unit.knowledge.network.worlds import POD, coverage, isolated

_HEAD = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p, namespace: shop}\n"


@pytest.mark.parametrize(
    ("spec", "directions"),
    [
        ("{}", "in"),
        ("{podSelector: {}}", "in"),
        ("{podSelector: {}, policyTypes: []}", "in"),
        ("{podSelector: {}, policyTypes: [Egress]}", "out"),
        ("{podSelector: {}, policyTypes: [Ingress, Egress]}", "in out"),
        ("{podSelector: {}, egress: [{}]}", "in out"),
        ("{podSelector: {}, egress: []}", "in"),
        ("{podSelector: {}, ingress: [{}]}", "in"),
        ("{podSelector: {}, policyTypes: [Ingress], egress: [{}]}", "in"),
        ("{podSelector: {matchLabels: {app: web}}}", "in"),
        ("{podSelector: {matchLabels: {app: db}}}", ""),
        ("{podSelector: {matchExpressions: [{key: app, operator: NotIn, values: [db]}]}}", "in"),
        ("{podSelector: {matchExpressions: [{key: app, operator: Bogus}]}}", ""),
        ("null", "in"),
        ("[]", "in"),
    ],
)
def test_isolation_by_spec(spec: str, directions: str) -> None:
    assert isolated(f"{_HEAD}spec: {spec}\n") == directions


def test_a_policy_holds_in_its_own_namespace_only() -> None:
    assert isolated(_HEAD.replace("shop", "other") + "spec: {podSelector: {}}\n") == ""


def test_a_policy_without_a_namespace_stands_in_the_default_one() -> None:
    policy = _HEAD.replace(", namespace: shop", "") + "spec: {podSelector: {}}\n"
    assert isolated(policy) == ""
    assert isolated(policy, POD.replace("namespace: shop, ", "")) == "in"


@pytest.mark.parametrize(
    ("rule", "total"),
    [
        ("{}", True),
        ("{from: []}", True),
        ("{from: [{namespaceSelector: {}}]}", True),
        ("{from: [{podSelector: {}}]}", False),
        ("{from: [{podSelector: {}, namespaceSelector: {}}]}", True),
        ("{from: [{ipBlock: {cidr: 0.0.0.0/0}}]}", True),
        ("{from: [{ipBlock: {cidr: 0.0.0.0/0, except: [0.0.0.0/1]}}]}", False),
        ("{from: [{ipBlock: {cidr: nonsense}}]}", False),
        ("{from: [{}]}", False),
        ("{ports: [{port: 80}]}", False),
        ("{ports: [{protocol: TCP}]}", True),
        ("{ports: [{protocol: UDP}]}", False),
        ("{ports: [{port: 1, endPort: 65535}]}", True),
        ("{ports: [{port: http}]}", False),
    ],
)
def test_when_a_rule_lets_everything_in(rule: str, total: bool) -> None:
    found = coverage(f"{POD}{_HEAD}spec: {{podSelector: {{}}, ingress: [{rule}]}}\n")
    (policy,) = found.policies
    assert policy.sides[INGRESS].rules[0].is_total(INGRESS) is total
    assert EGRESS not in policy.sides
