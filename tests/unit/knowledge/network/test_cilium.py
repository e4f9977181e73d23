"""Cilium's policies, whose empty rules mean the opposite of Kubernetes'."""

import ipaddress

import pytest

from iocaudit.core.world import World
from iocaudit.knowledge.network.cilium import read_policy
from iocaudit.knowledge.network.coverage import dns_target, space_of
from iocaudit.knowledge.network.model import EGRESS, INGRESS, Breadth, Traffic
from tests.unit.knowledge.network.worlds import POD, coverage, isolated, world_of

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
        ("{endpointSelector: {}, ingress: [{}], enableDefaultDeny: {egress: true}}", "in out"),
        ("{endpointSelector: {}, ingress: [{}], enableDefaultDeny: {ingress: false, egress: true}}", "out"),
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


@pytest.mark.parametrize(
    ("selector", "directions"),
    [
        ("{matchLabels: {io.kubernetes.pod.namespace: shop}}", "in"),
        ("{matchLabels: {io.kubernetes.pod.namespace: other}}", ""),
        ("{matchLabels: {'any:io.kubernetes.pod.namespace': other}}", ""),
        ("{matchExpressions: [{key: 'k8s:io.kubernetes.pod.namespace', operator: In, values: [other]}]}", ""),
        ("{matchExpressions: [{key: 'k8s:io.kubernetes.pod.namespace', operator: In, values: [other, shop]}]}", "in"),
    ],
)
def test_another_namespace_in_any_other_spelling_selects_nothing(selector: str, directions: str) -> None:
    assert isolated(_CNP + f"spec: {{endpointSelector: {selector}, ingress: [{{}}]}}\n") == directions


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ("{endpointSelector: {}}", "has none of ingress, ingressDeny, egress, egressDeny"),
        ("{endpointSelector: {}, ingress: [], enableDefaultDeny: {ingress: true}}", "has none of ingress"),
        ("{ingress: [{}]}", "needs an endpointSelector or a nodeSelector, not both"),
        ("{endpointSelector: {}, nodeSelector: {}, ingress: [{}]}", "needs an endpointSelector or a nodeSelector"),
        ("{nodeSelector: {}, ingress: [{}]}", "has a nodeSelector, which only clusterwide policies may have"),
        (
            "{endpointSelector: {}, egress: [{}, {toCIDR: [10.0.0.0/8], toEntities: [world]}]}",
            "combines toCIDR and toEntities in egress[1]",
        ),
        (
            "{endpointSelector: {}, ingressDeny: [{icmps: [{fields: [{type: 8}]}], toPorts: [{}]}]}",
            "combines icmps and toPorts in ingressDeny[0]",
        ),
    ],
)
def test_what_cilium_refuses_isolates_nobody(spec: str, reason: str) -> None:
    world, resources = world_of(_CNP + f"spec: {spec}\nspecs: [{{endpointSelector: {{}}, ingress: [{{}}]}}]\n")
    (policy,) = read_policy(resources[0])
    assert f"Cilium refuses it: spec {reason}" in policy.problem
    assert isolated(_CNP + f"specs: [{{endpointSelector: {{}}, ingress: [{{}}]}}, {spec}]\n") == ""
    assert not space_of("shop", world).default().policies


def test_kubernetes_policies_and_ciliums_are_one_set() -> None:
    kubernetes = (
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: k, namespace: shop}\n"
        "spec: {podSelector: {}, policyTypes: [Egress]EGRESS}\n---\n"
    )
    dns = Traffic(dns_target(World()), "UDP", (53,))
    denied = kubernetes.replace("EGRESS", "")
    allows = _CNP + "spec: {endpointSelector: {}, egress: [{toEntities: [cluster]}]}\n"
    assert not coverage(POD + denied).verdict(dns, EGRESS, generous=True).allowed
    assert coverage(POD + denied + allows).verdict(dns, EGRESS, generous=False).allowed
    opens = kubernetes.replace("EGRESS", ", egress: [{}]")
    metadata = Traffic(ipaddress.ip_address("169.254.169.254"), "TCP", (80,))
    denies = _CNP + "spec: {endpointSelector: {}, egressDeny: [{toCIDR: [169.254.169.254/32]}]}\n"
    assert coverage(POD + opens).verdict(metadata, EGRESS, generous=False).allowed
    assert not coverage(POD + opens + denies).verdict(metadata, EGRESS, generous=False).allowed
    assert isolated(denied + denies) == "out"


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
        ("{toEntities: [world-ipv6]}", Breadth.EVERY_ADDRESS),
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
