"""policy-allows-everything in each API's spelling, and policy-selects-nothing."""

import pytest

from iocaudit.core.kinds import POD as POD_KIND
from iocaudit.core.kinds import SERVICE_ACCOUNT
from iocaudit.engine.catalogue import builtin_catalogue
from tests.support.auditing import audited, messages

OPEN, NOTHING = "policy-allows-everything", "policy-selects-nothing"

POD = """
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
spec: {containers: [{name: app, image: hooli.com/web}]}
---
"""
_APIS = {
    "NetworkPolicy": "networking.k8s.io/v1",
    "GlobalNetworkPolicy": "projectcalico.org/v3",
    "CiliumNetworkPolicy": "cilium.io/v2",
    "CiliumClusterwideNetworkPolicy": "cilium.io/v2",
    "AdminNetworkPolicy": "policy.networking.k8s.io/v1alpha1",
    "BaselineAdminNetworkPolicy": "policy.networking.k8s.io/v1alpha1",
    "ClusterNetworkPolicy": "policy.networking.k8s.io/v1alpha2",
}


def _policy(kind: str, spec: str, api: str | None = None, name: str = "p") -> str:
    head = f"apiVersion: {api or _APIS[kind]}\nkind: {kind}\nmetadata: {{name: {name}, namespace: shop}}\n"
    return f"{head}spec: {spec}\n---\n"


@pytest.mark.parametrize(
    ("kind", "spec", "evidence"),
    [
        ("NetworkPolicy", "{ingress: [{}]}", "Ingress: everyone"),
        ("NetworkPolicy", "{policyTypes: [Ingress], ingress: [{from: []}]}", "Ingress: everyone"),
        ("NetworkPolicy", "{ingress: [{from: [{namespaceSelector: {}}]}]}", "Ingress: all pods of the cluster"),
        ("NetworkPolicy", "{ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0}}]}]}", "Ingress: every address"),
        (
            "NetworkPolicy",
            "{policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: '::/0'}}]}]}",
            "Egress: every address",
        ),
        (
            "NetworkPolicy",
            "{policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 0.0.0.0/1}}, {ipBlock: {cidr: 128.0.0.0/1}}]}]}",
            "Egress: every address",
        ),
        (
            "NetworkPolicy",
            "{ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/1}}]}, {from: [{ipBlock: {cidr: 128.0.0.0/1}}]}]}",
            "Ingress: every address",
        ),
        (
            "NetworkPolicy",
            "{ingress: [{ports: [{port: 1, endPort: 30000}, {port: 30001, endPort: 65535}]}]}",
            "Ingress: everyone",
        ),
        ("GlobalNetworkPolicy", "{ingress: [{action: Allow}]}", "Ingress: everyone"),
        ("GlobalNetworkPolicy", "{ingress: [{action: Allow, ipVersion: 6}]}", "Ingress: every address"),
        (
            "GlobalNetworkPolicy",
            "{egress: [{action: Allow, destination: {nets: [0.0.0.0/0]}}]}",
            "Egress: every address",
        ),
        (
            "GlobalNetworkPolicy",
            "{ingress: [{action: Allow, source: {namespaceSelector: all()}}]}",
            "Ingress: all pods of the cluster",
        ),
        ("CiliumNetworkPolicy", "{endpointSelector: {}, egress: [{toEntities: [all]}]}", "Egress: everyone"),
        ("CiliumNetworkPolicy", "{endpointSelector: {}, ingress: [{fromEntities: [world]}]}", "Ingress: every address"),
        (
            "CiliumClusterwideNetworkPolicy",
            "{endpointSelector: {}, ingress: [{fromEndpoints: [{}]}]}",
            "Ingress: all pods of the cluster",
        ),
        (
            "AdminNetworkPolicy",
            "{priority: 1, subject: {namespaces: {}}, ingress: [{action: Allow, from: [{namespaces: {}}]}]}",
            "Ingress: all pods of the cluster",
        ),
        (
            "BaselineAdminNetworkPolicy",
            "{subject: {namespaces: {}}, egress: [{action: Allow, to: [{networks: [0.0.0.0/0]}]}]}",
            "Egress: every address",
        ),
        (
            "ClusterNetworkPolicy",
            "{tier: Admin, priority: 1, subject: {namespaces: {}},"
            " egress: [{action: Accept, to: [{networks: ['::/0']}]}]}",
            "Egress: every address",
        ),
    ],
)
def test_what_opens_a_direction(kind: str, spec: str, evidence: str) -> None:
    (found,) = audited(OPEN, _policy(kind, spec)).found
    assert found.hit.evidence == evidence
    assert found.hit.place.endswith("[0]")


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        ("NetworkPolicy", "{}"),
        ("NetworkPolicy", "{ingress: [{ports: [{port: 80}]}]}"),
        ("NetworkPolicy", "{policyTypes: [Egress], ingress: [{}]}"),
        ("NetworkPolicy", "{ingress: [{from: [{podSelector: {}}]}]}"),
        (
            "NetworkPolicy",
            "{ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/1}}]},"
            " {from: [{ipBlock: {cidr: 128.0.0.0/1}}], ports: [{port: 80}]}]}",
        ),
        (
            "NetworkPolicy",
            "{policyTypes: [Egress], egress: [{to: [{ipBlock:"
            " {cidr: 0.0.0.0/0, except: [10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16]}}]}]}",
        ),
        ("GlobalNetworkPolicy", "{ingress: [{action: Deny}]}"),
        ("GlobalNetworkPolicy", "{ingress: [{action: Pass}]}"),
        ("GlobalNetworkPolicy", "{ingress: [{action: Deny}, {action: Allow}]}"),
        (
            "GlobalNetworkPolicy",
            "{ingress: [{action: Allow, source: {nets: [0.0.0.0/1]}}, {action: Deny},"
            " {action: Allow, source: {nets: [128.0.0.0/1]}}]}",
        ),
        ("GlobalNetworkPolicy", "{preDNAT: true, ingress: [{action: Allow}]}"),
        ("CiliumNetworkPolicy", "{endpointSelector: {}, ingress: [{}]}"),
        ("CiliumNetworkPolicy", "{endpointSelector: {}, ingress: [{fromEndpoints: [{}]}]}"),
        ("CiliumNetworkPolicy", "{endpointSelector: {}, ingressDeny: [{fromEntities: [all]}]}"),
        (
            "AdminNetworkPolicy",
            "{priority: 1, subject: {namespaces: {}}, ingress: [{action: Pass, from: [{namespaces: {}}]}]}",
        ),
    ],
)
def test_what_does_not(kind: str, spec: str) -> None:
    assert messages(OPEN, _policy(kind, spec)) == []


def test_a_second_open_rule_is_the_same_hit_and_a_new_direction_another() -> None:
    spec = "{policyTypes: [Ingress, Egress], ingress: [{}, {}], egress: [{}]}"
    assert [one.hit.evidence for one in audited(OPEN, _policy("NetworkPolicy", spec)).found] == [
        "Egress: everyone",
        "Ingress: everyone",
    ]


def test_a_policy_that_calico_serves_and_stores_is_spoken_of_once() -> None:
    spec = "{ingress: [{action: Allow}]}"
    served = _policy("GlobalNetworkPolicy", spec)
    for name in ("p", "default.p"):
        stored = _policy("GlobalNetworkPolicy", spec, "crd.projectcalico.org/v1", name)
        assert len(messages(OPEN, stored)) == 1
        assert len(messages(OPEN, served + stored)) == 1


@pytest.mark.parametrize(
    ("kind", "right", "wrong"),
    [
        ("NetworkPolicy", "{podSelector: {matchLabels: {app: web}}}", "{podSelector: {matchLabels: {app: wbe}}}"),
        (
            "NetworkPolicy",
            "{podSelector: {}}",
            "{podSelector: {matchExpressions: [{key: app, operator: DoesNotExist}]}}",
        ),
        ("GlobalNetworkPolicy", "{selector: app == 'web'}", "{selector: app == 'wbe'}"),
        ("GlobalNetworkPolicy", "{serviceAccountSelector: all()}", "{serviceAccountSelector: has(role)}"),
        ("GlobalNetworkPolicy", "{namespaceSelector: all()}", "{namespaceSelector: has(team)}"),
        ("GlobalNetworkPolicy", "{}", "{selector: app = 'web'}"),
        (
            "CiliumNetworkPolicy",
            "{endpointSelector: {matchLabels: {'k8s:app': web}}, ingress: [{}]}",
            "{endpointSelector: {matchLabels: {'k8s:app': wbe}}, ingress: [{}]}",
        ),
        (
            "AdminNetworkPolicy",
            "{priority: 1, subject: {namespaces: {}}}",
            "{priority: 1, subject: {namespaces: {matchLabels: {team: x}}}}",
        ),
        ("AdminNetworkPolicy", "{priority: 1, subject: {pods: {podSelector: {}}}}", "{priority: 1, subject: {}}"),
    ],
)
def test_a_selector_that_matches_no_workload(kind: str, right: str, wrong: str) -> None:
    on_node = POD.replace("spec: {", "spec: {hostNetwork: true, ")
    assert messages(NOTHING, POD + _policy(kind, right)) == []
    if right not in ("{}", "{podSelector: {}}"):
        (said,) = messages(NOTHING, on_node + _policy(kind, right))
        assert "has no effect: it selects only pods on the node's network (Pod web)" in said
        assert messages(NOTHING, on_node + POD.replace("name: web", "name: other") + _policy(kind, right)) == []
    for pods in (POD, on_node):
        (said,) = messages(NOTHING, pods + _policy(kind, wrong))
        assert "selects no" in said


def test_workloads_of_other_namespaces_do_not_count() -> None:
    policy = _policy("NetworkPolicy", "{podSelector: {matchLabels: {app: web}}}")
    (said,) = messages(NOTHING, POD.replace("shop", "other") + policy)
    assert "selects no workload in namespace shop" in said


def test_a_template_counts_and_a_pod_on_the_nodes_network_does_not() -> None:
    policy = _policy("NetworkPolicy", "{podSelector: {matchLabels: {app: web}}}")
    deployment = (
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: shop}\n"
        "spec: {template: {metadata: {labels: {app: web}}, spec: {containers: []}}}\n---\n"
    )
    assert messages(NOTHING, deployment + policy) == []
    assert (
        "(Deployment web)"
        in messages(NOTHING, deployment.replace("spec: {c", "spec: {hostNetwork: true, c") + policy)[0]
    )


def test_files_that_name_no_namespace_get_the_benefit_of_the_doubt() -> None:
    policy = _policy("NetworkPolicy", "{podSelector: {matchLabels: {app: web}}}")
    assert messages(NOTHING, POD.replace("namespace: shop, ", "") + policy) == []
    assert messages(NOTHING, POD + policy.replace(", namespace: shop", "")) == []


def test_policies_for_nodes_and_host_endpoints_are_left_out() -> None:
    assert messages(NOTHING, _policy("CiliumClusterwideNetworkPolicy", "{nodeSelector: {}, ingress: [{}]}")) == []
    assert messages(NOTHING, _policy("GlobalNetworkPolicy", "{doNotTrack: true}")) == []


def test_what_is_not_known_is_skipped() -> None:
    policy = _policy("NetworkPolicy", "{podSelector: {matchLabels: {app: wbe}}}")
    assert messages(NOTHING, policy, incomplete={POD_KIND: "forbidden"}) == [
        "skipped: needs all pods of the cluster: forbidden"
    ]
    accounts = _policy("GlobalNetworkPolicy", "{serviceAccountSelector: has(role)}")
    (said,) = messages(NOTHING, POD + accounts, incomplete={SERVICE_ACCOUNT: "forbidden"})
    assert said.startswith("skipped: it selects by labels of ServiceAccounts")


def test_a_policy_that_cilium_refuses_selects_nothing() -> None:
    policy = _policy("CiliumNetworkPolicy", "{endpointSelector: {}, ingress: [], enableDefaultDeny: {ingress: true}}")
    (said,) = messages(NOTHING, POD + policy)
    assert "Cilium refuses it: spec has none of ingress, ingressDeny, egress, egressDeny" in said
    assert messages("no-ingress-policy", POD + policy)


def test_selects_nothing_never_runs_at_admission() -> None:
    check = builtin_catalogue().find(NOTHING)
    assert check is not None
    assert check.audit_only


@pytest.mark.parametrize(
    ("kind", "spec"), [("NetworkPolicy", "podSelector: {}"), ("CiliumNetworkPolicy", "endpointSelector: {}")]
)
def test_a_default_deny_may_wait_for_the_first_pod(kind: str, spec: str) -> None:
    assert messages(NOTHING, _policy(kind, f"{{{spec}, ingress: [{{}}]}}")) == []
