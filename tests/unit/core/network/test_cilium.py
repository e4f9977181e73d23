"""Cilium's policies, whose empty rules mean the opposite of Kubernetes'."""

import pytest

from iocaudit.core.network.model import EGRESS, INGRESS, Breadth
from tests.unit.core.network.worlds import POD, coverage, isolated

_NAMESPACE = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {team: a}}\n---\n"
_CNP = "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: p, namespace: shop}\n"
_CCNP = "apiVersion: cilium.io/v2\nkind: CiliumClusterwideNetworkPolicy\nmetadata: {name: p}\n"


@pytest.mark.parametrize("head", [_CNP, _CCNP])
@pytest.mark.parametrize(
    ("spec", "directions"),
    [
        ("{endpointSelector: {}}", ""),
        ("{endpointSelector: {}, ingress: []}", ""),
        ("{endpointSelector: {}, ingress: [{}]}", "in"),
        ("{endpointSelector: {}, ingress: [{}], egress: [{}]}", "in out"),
        ("{endpointSelector: {}, egressDeny: [{toEntities: [world]}]}", "out"),
        ("{endpointSelector: {}, ingress: [{}], enableDefaultDeny: {ingress: false}}", ""),
        ("{endpointSelector: {}, enableDefaultDeny: {egress: true}}", "out"),
        ("{endpointSelector: {}, ingressDeny: [{fromEntities: [all]}], enableDefaultDeny: {ingress: false}}", "in"),
        ("{endpointSelector: {matchLabels: {app: web}}, ingress: [{}]}", "in"),
        ("{endpointSelector: {matchLabels: {'k8s:app': web}}, ingress: [{}]}", "in"),
        ("{endpointSelector: {matchLabels: {'any:app': web}}, ingress: [{}]}", "in"),
        ("{endpointSelector: {matchLabels: {'reserved:host': ''}}, ingress: [{}]}", ""),
        ("{endpointSelector: {matchLabels: {app: db}}, ingress: [{}]}", ""),
        (
            "{endpointSelector: {matchLabels: {io.cilium.k8s.policy.serviceaccount: default}}, ingress: [{}]}",
            "in",
        ),
        ("{endpointSelector: {matchLabels: {io.cilium.k8s.namespace.labels.team: a}}, ingress: [{}]}", "in"),
        ("{endpointSelector: {matchLabels: {io.cilium.k8s.namespace.labels.team: b}}, ingress: [{}]}", ""),
        ("{nodeSelector: {}, ingress: [{}]}", ""),
        ("{ingress: [{}]}", ""),
    ],
)
def test_isolation_by_spec(head: str, spec: str, directions: str) -> None:
    assert isolated(f"{_NAMESPACE}{head}spec: {spec}\n") == directions


def test_several_specs_add_up() -> None:
    specs = "specs: [{endpointSelector: {}, ingress: [{}]}, {endpointSelector: {}, egress: [{}]}, null]\n"
    assert isolated(_CNP + specs) == "in out"


def test_a_namespaced_policy_never_leaves_its_namespace() -> None:
    spec = "spec: {endpointSelector: {matchLabels: {'k8s:io.kubernetes.pod.namespace': other}}, ingress: [{}]}\n"
    assert isolated(_CNP + spec) == "in"
    assert isolated(_CCNP + spec) == ""
    assert isolated(_CCNP + spec.replace("other", "shop")) == "in"


def test_what_is_allowed_without_isolating_opens_nothing_that_another_isolates() -> None:
    allows = (
        _CCNP + "spec: {endpointSelector: {}, enableDefaultDeny: {ingress: false}, ingress: [{fromEntities: [all]}]}\n"
    )
    assert isolated(allows) == ""
    assert isolated(f"{allows}---\n{_CNP}spec: {{endpointSelector: {{}}, ingress: [{{}}]}}\n") == "in"


@pytest.mark.parametrize(
    ("rule", "breadth"),
    [
        ("{}", None),
        ("{toEntities: [all]}", Breadth.EVERYONE),
        ("{toEntities: [world]}", Breadth.EVERY_ADDRESS),
        ("{toEntities: [cluster]}", Breadth.EVERY_POD),
        ("{toEntities: [kube-apiserver]}", None),
        ("{toEntities: [none]}", None),
        ("{toCIDR: [0.0.0.0/0]}", Breadth.EVERY_ADDRESS),
        ("{toCIDRSet: [{cidr: 0.0.0.0/0, except: [0.0.0.0/1]}]}", None),
        ("{toCIDRSet: [{cidrGroupRef: x}]}", None),
        ("{toFQDNs: [{matchPattern: '*'}]}", Breadth.EVERY_ADDRESS),
        ("{toFQDNs: [{matchName: hooli.com}]}", None),
        ("{toEndpoints: [{}]}", None),
        ("{toEndpoints: []}", None),
        (
            "{toEndpoints: [{matchExpressions: [{key: io.kubernetes.pod.namespace, operator: Exists}]}]}",
            Breadth.EVERY_POD,
        ),
        ("{toPorts: [{ports: [{port: '443', protocol: TCP}]}]}", None),
        ("{toPorts: [{ports: [{port: '0'}]}]}", Breadth.EVERYONE),
        ("{toPorts: [{ports: [{port: '1', endPort: 65535, protocol: TCP}]}]}", Breadth.EVERYONE),
        ("{toPorts: [{ports: [{port: '0'}], rules: {http: [{path: /x}]}}]}", None),
        ("{toEntities: [all], icmps: [{fields: [{type: 8}]}]}", None),
    ],
)
def test_how_much_a_rule_opens(rule: str, breadth: Breadth | None) -> None:
    (policy,) = coverage(f"{POD}{_CNP}spec: {{endpointSelector: {{}}, egress: [{rule}]}}\n").policies
    assert policy.sides[EGRESS].rules[0].breadth is breadth


def test_all_endpoints_mean_the_namespace_or_the_cluster() -> None:
    spec = "spec: {endpointSelector: {}, ingress: [{fromEndpoints: [{}]}]}\n"
    for head, breadth in ((_CNP, None), (_CCNP, Breadth.EVERY_POD)):
        (policy,) = coverage(POD + head + spec).policies
        assert policy.sides[INGRESS].rules[0].breadth is breadth
