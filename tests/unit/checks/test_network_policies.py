"""no-ingress-policy, no-egress-policy and namespace-without-default-deny over all policy APIs."""

import pytest

from iocaudit.core.kinds import Kind
from iocaudit.knowledge.network.coverage import NEEDS
from tests.support.auditing import audited, messages

INGRESS, EGRESS, DEFAULT = "no-ingress-policy", "no-egress-policy", "namespace-without-default-deny"

POD = """
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
spec: {containers: [{name: app, image: hooli.com/web}]}
---
"""

# What a cluster on Calico is told to begin with: default deny but for system namespaces, and DNS.
MISSION = """
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: deny-app-policy}
spec:
  namespaceSelector: has(projectcalico.org/name) && projectcalico.org/name not in {"kube-system", "calico-system"}
  types: [Ingress, Egress]
  egress:
  - action: Allow
    protocol: UDP
    destination: {selector: k8s-app == "kube-dns", ports: [53]}
  - action: Allow
    protocol: TCP
    destination: {selector: k8s-app == "kube-dns", ports: [53]}
---
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Namespace
metadata: {name: kube-system}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec: {template: {metadata: {labels: {app: web}}, spec: {containers: [{name: app, image: hooli.com/web}]}}}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent, namespace: kube-system}
spec: {template: {metadata: {labels: {app: agent}}, spec: {containers: [{name: app, image: hooli.com/agent}]}}}
"""


@pytest.mark.parametrize("group", ["projectcalico.org/v3", "crd.projectcalico.org/v1"])
def test_mission_calico_default_deny_that_excludes_system_namespaces(group: str) -> None:
    text = MISSION.replace("projectcalico.org/v3", group)
    for check in (INGRESS, EGRESS):
        found = audited(check, text).found
        assert [(one.subject.kind, one.subject.namespace) for one in found] == [("DaemonSet", "kube-system")]
    assert {one.subject.name for one in audited(DEFAULT, text).found} == {"kube-system"}
    assert not audited("dns-egress-blocked", text).found
    assert not audited("metadata-service-reachable", text).found
    assert not audited("policy-allows-everything", text).found


@pytest.mark.parametrize("check", [INGRESS, EGRESS])
@pytest.mark.parametrize(
    ("api", "kind", "spec"),
    [
        ("networking.k8s.io/v1", "NetworkPolicy", "{podSelector: {}, policyTypes: [Ingress, Egress]}"),
        ("extensions/v1beta1", "NetworkPolicy", "{podSelector: {}, policyTypes: [Ingress, Egress]}"),
        ("projectcalico.org/v3", "NetworkPolicy", "{selector: all(), types: [Ingress, Egress]}"),
        ("projectcalico.org/v3", "GlobalNetworkPolicy", "{types: [Ingress, Egress]}"),
        ("cilium.io/v2", "CiliumNetworkPolicy", "{endpointSelector: {}, ingress: [{}], egress: [{}]}"),
        ("cilium.io/v2", "CiliumClusterwideNetworkPolicy", "{endpointSelector: {}, ingress: [{}], egress: [{}]}"),
        (
            "policy.networking.k8s.io/v1alpha1",
            "AdminNetworkPolicy",
            "{priority: 1, subject: {namespaces: {}}, ingress: [{action: Deny, from: [{namespaces: {}}]}],"
            " egress: [{action: Deny, to: [{networks: [0.0.0.0/0]}]}]}",
        ),
        (
            "policy.networking.k8s.io/v1alpha2",
            "ClusterNetworkPolicy",
            "{tier: Baseline, priority: 1, subject: {namespaces: {}},"
            " ingress: [{action: Deny, from: [{namespaces: {}}]}],"
            " egress: [{action: Deny, to: [{networks: [0.0.0.0/0]}]}]}",
        ),
    ],
)
def test_each_api_isolates_a_pod_and_its_namespace(check: str, api: str, kind: str, spec: str) -> None:
    policy = f"apiVersion: {api}\nkind: {kind}\nmetadata: {{name: p, namespace: shop}}\nspec: {spec}\n---\n"
    assert messages(check, POD) == [
        f"Pod shop/web: no network policy isolates it for {'incoming' if check == INGRESS else 'outgoing'} traffic"
        " (metadata.labels)"
    ]
    assert messages(check, policy + POD) == []
    assert messages(DEFAULT, policy + "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n") == []


def test_both_directions_of_a_namespace_are_told_apart() -> None:
    found = audited(DEFAULT, "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n").found
    assert [(one.hit.evidence, one.severity.label) for one in found] == [("Ingress", "medium"), ("Egress", "low")]


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        ("Pod", "{containers: [{name: a, image: b}]}"),
        ("ReplicationController", "{template: {metadata: {labels: {app: web}}, spec: {}}}"),
        ("CronJob", "{jobTemplate: {spec: {template: {metadata: {labels: {app: web}}, spec: {}}}}}"),
    ],
)
def test_the_labels_of_the_template_decide(kind: str, spec: str) -> None:
    api = "batch/v1" if kind == "CronJob" else "v1"
    labels = "labels: {app: web}" if kind == "Pod" else "labels: {app: other}"
    subject = f"apiVersion: {api}\nkind: {kind}\nmetadata: {{name: a, namespace: shop, {labels}}}\nspec: {spec}\n---\n"
    policy = (
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p, namespace: shop}\n"
        "spec: {podSelector: {matchLabels: {app: web}}}\n"
    )
    assert messages(INGRESS, subject)
    assert messages(INGRESS, subject + policy) == []


_OPEN = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n"
_HELD = _OPEN + (
    "---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p, namespace: shop}\n"
    "spec: {podSelector: {}, policyTypes: [Ingress, Egress]}\n"
)


@pytest.mark.parametrize("kind", NEEDS, ids=str)
@pytest.mark.parametrize("check", [INGRESS, EGRESS, DEFAULT, "dns-egress-blocked", "metadata-service-reachable"])
@pytest.mark.parametrize("rest", [_OPEN, _HELD], ids=["open", "held"])
def test_a_kind_that_cannot_be_read_leaves_it_open(check: str, kind: Kind, rest: str) -> None:
    said = messages(check, POD + rest, incomplete={kind: "forbidden"})
    assert said == [f"skipped: needs all {kind.plural} of the cluster: forbidden"]


def test_a_kind_that_is_not_installed_is_simply_absent() -> None:
    report = audited(INGRESS, POD)
    assert len(report.found) == 1
    assert not report.skipped


def test_messages_name_the_policy_that_falls_short() -> None:
    policy = (
        "apiVersion: policy.networking.k8s.io/v1alpha1\nkind: AdminNetworkPolicy\nmetadata: {name: part}\n"
        "spec: {priority: 1, subject: {namespaces: {}},"
        " egress: [{action: Deny, to: [{namespaces: {}}]}], ingress: [{action: Allow, from: [{namespaces: {}}]}]}\n"
    )
    (egress,) = messages(EGRESS, POD + policy)
    assert "AdminNetworkPolicy part denies only a part" in egress
    (ingress,) = messages(INGRESS, POD + policy)
    assert "AdminNetworkPolicy part allows everything before any other policy is applied" in ingress


def test_a_namespace_that_was_not_read_is_spoken_of() -> None:
    policy = (
        "apiVersion: projectcalico.org/v3\nkind: GlobalNetworkPolicy\nmetadata: {name: g}\n"
        "spec: {namespaceSelector: '!has(exempt)', types: [Ingress]}\n"
    )
    (said,) = messages(EGRESS, POD + policy)
    assert "Namespace shop is not among what was read" in said
    known = "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n"
    assert "not among" not in messages(EGRESS, POD + policy + known)[0]


def test_pods_beyond_policies_are_left_to_other_checks() -> None:
    assert messages(INGRESS, POD.replace("spec: {", "spec: {hostNetwork: true, ")) == []
    assert messages(INGRESS, POD.replace("---", "status: {phase: Succeeded}")) == []


def test_a_label_on_the_pod_cannot_claim_coverage() -> None:
    policy = (
        "apiVersion: cilium.io/v2\nkind: CiliumClusterwideNetworkPolicy\nmetadata: {name: p}\n"
        "spec: {endpointSelector: {matchLabels: {io.kubernetes.pod.namespace: guarded}}, ingress: [{}]}\n"
    )
    liar = POD.replace("{app: web}", "{io.kubernetes.pod.namespace: guarded}")
    assert messages(INGRESS, liar + policy)
