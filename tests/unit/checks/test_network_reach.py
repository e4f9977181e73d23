"""dns-egress-blocked and metadata-service-reachable."""

import pytest

from tests.support.auditing import audited, messages

DNS, METADATA = "dns-egress-blocked", "metadata-service-reachable"

POD = """
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
spec: {containers: [{name: app, image: hooli.com/web}]}
---
"""
_SYSTEM = "apiVersion: v1\nkind: Namespace\nmetadata: {name: kube-system}\n---\n"
_BOTH = "ports: [{protocol: UDP, port: 53}, {protocol: TCP, port: 53}]"


def _policy(egress: str) -> str:
    head = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p, namespace: shop}\n"
    return f"{head}spec: {{podSelector: {{}}, policyTypes: [Egress], egress: {egress}}}\n---\n"


def _calico(egress: str) -> str:
    head = "apiVersion: projectcalico.org/v3\nkind: GlobalNetworkPolicy\nmetadata: {name: g}\n"
    return f"{head}spec: {{types: [Egress], egress: {egress}}}\n---\n"


def _cilium(spec: str) -> str:
    head = "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: c, namespace: shop}\n"
    return f"{head}spec: {{endpointSelector: {{}}, {spec}}}\n---\n"


@pytest.mark.parametrize(
    ("policy", "blocked"),
    [
        (_policy("[]"), "UDP,TCP"),
        (_policy("[{to: [{podSelector: {matchLabels: {app: db}}}]}]"), "UDP,TCP"),
        (_policy(f"[{{{_BOTH}}}]"), ""),
        (_policy("[{ports: [{protocol: UDP, port: 53}]}]"), "TCP"),
        (_policy("[{ports: [{port: 53}]}]"), "UDP"),
        (_policy("[{ports: [{protocol: UDP, port: dns}, {protocol: TCP, port: dns-tcp}]}]"), ""),
        (_policy("[{to: [{namespaceSelector: {}}]}]"), ""),
        (
            _policy(
                "[{to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}}],"
                f" {_BOTH}}}]"
            ),
            "",
        ),
        (
            _policy(
                f"[{{to: [{{namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: other}}}}}}], {_BOTH}}}]"
            ),
            "UDP,TCP",
        ),
        # A label that nobody knows may be there; one that is known to be absent is not.
        (_policy(f"[{{to: [{{namespaceSelector: {{matchLabels: {{name: kube-system}}}}}}], {_BOTH}}}]"), ""),
        (
            _SYSTEM + _policy(f"[{{to: [{{namespaceSelector: {{matchLabels: {{name: kube-system}}}}}}], {_BOTH}}}]"),
            "UDP,TCP",
        ),
        (
            _policy(
                f"[{{to: [{{namespaceSelector: {{}}, podSelector: {{matchLabels: {{k8s-app: other}}}}}}], {_BOTH}}}]"
            ),
            "UDP,TCP",
        ),
        (_policy(f"[{{to: [{{ipBlock: {{cidr: 10.96.0.10/32}}}}], {_BOTH}}}]"), ""),
        (_calico("[{action: Allow, destination: {selector: k8s-app == 'kube-dns', ports: [53]}}]"), ""),
        (
            _calico("[{action: Allow, protocol: UDP, destination: {selector: k8s-app == 'kube-dns', ports: [53]}}]"),
            "TCP",
        ),
        (_calico("[{action: Deny, destination: {ports: [53]}}, {action: Allow}]"), "UDP,TCP"),
        (_cilium("egress: [{toEntities: [cluster]}]"), ""),
        (_cilium("egress: [{toEndpoints: [{}]}]"), "UDP,TCP"),
        (
            _cilium(
                "egress: [{toEndpoints: [{matchLabels:"
                " {'k8s:io.kubernetes.pod.namespace': kube-system, k8s-app: kube-dns}}],"
                " toPorts: [{ports: [{port: '53', protocol: ANY}], rules: {dns: [{matchPattern: '*'}]}}]}]"
            ),
            "",
        ),
        (_cilium("egress: [{toEntities: [all]}], egressDeny: [{toEntities: [cluster]}]"), "UDP,TCP"),
    ],
)
def test_whether_dns_is_allowed(policy: str, blocked: str) -> None:
    found = audited(DNS, POD + policy).found
    assert ",".join(one.hit.evidence for one in found) == blocked


def test_dns_is_not_spoken_of_where_egress_is_open_or_dns_is_elsewhere() -> None:
    assert messages(DNS, POD) == []
    for own in ("None", "Default"):
        assert messages(DNS, POD.replace("spec: {", f"spec: {{dnsPolicy: {own}, ") + _policy("[]")) == []
    assert messages(DNS, POD.replace("spec: {", "spec: {dnsPolicy: ClusterFirst, ") + _policy("[]"))
    assert messages(DNS, POD.replace("spec: {", "spec: {hostNetwork: true, ") + _policy("[]")) == []


V4, V6, WHOLE = "169.254.169.254", "fd00:ec2::254", "169.254.169.254,fd00:ec2::254"


@pytest.mark.parametrize(
    ("policy", "reachable"),
    [
        ("", ""),
        (_policy("[]"), ""),
        (_policy("[{}]"), WHOLE),
        (_policy("[{ports: [{port: 443}]}]"), ""),
        (_policy("[{ports: [{port: 80}]}]"), WHOLE),
        (_policy("[{to: [{namespaceSelector: {}}]}]"), ""),
        (_policy("[{to: [{ipBlock: {cidr: 0.0.0.0/0}}]}]"), V4),
        (_policy("[{to: [{ipBlock: {cidr: '::/0'}}]}]"), V6),
        (_policy("[{to: [{ipBlock: {cidr: 169.254.0.0/16}}]}]"), V4),
        (_policy("[{to: [{ipBlock: {cidr: 10.0.0.0/8}}]}]"), ""),
        (_policy("[{to: [{ipBlock: {cidr: 0.0.0.0/0, except: [169.254.169.254/32]}}]}]"), ""),
        (_policy("[{to: [{ipBlock: {cidr: 0.0.0.0/0, except: [169.254.0.0/16]}}]}]"), ""),
        (_policy("[{to: [{ipBlock: {cidr: 0.0.0.0/0, except: [169.254.169.253/32]}}]}]"), V4),
        (_calico("[{action: Deny, destination: {nets: [169.254.169.254/32]}}, {action: Allow}]"), V6),
        (
            _calico(
                "[{action: Allow}, {action: Deny, destination: {nets: [169.254.169.254/32, 'fd00:ec2::254/128']}}]"
            ),
            WHOLE,
        ),
        (_calico("[{action: Allow, destination: {notNets: [169.254.169.254/32, 'fd00:ec2::/32']}}]"), ""),
        (_calico("[{action: Allow, destination: {domains: ['*.hooli.com']}}]"), ""),
        (_cilium("egress: [{toEntities: [world]}]"), WHOLE),
        (
            _cilium(
                "egress: [{toEntities: [world]}], egressDeny: [{toCIDR: [169.254.169.254/32, 'fd00:ec2::254/128']}]"
            ),
            "",
        ),
        (_cilium("egress: [{toEntities: [cluster]}]"), ""),
    ],
)
def test_whether_the_metadata_service_is_reachable(policy: str, reachable: str) -> None:
    found = audited(METADATA, POD + policy).found
    assert ",".join(one.hit.evidence for one in found) == reachable


def test_the_rule_that_allows_it_is_named() -> None:
    (said,) = messages(METADATA, POD + _policy("[{to: []}]"))
    assert "NetworkPolicy shop/p allows it (spec.egress[0])" in said


def test_policies_that_deny_a_part_only_leave_it_open() -> None:
    admin = (
        "apiVersion: policy.networking.k8s.io/v1alpha1\nkind: AdminNetworkPolicy\nmetadata: {name: a}\n"
        "spec: {priority: 1, subject: {namespaces: {}}, egress: [{action: Deny, to: [{networks: [10.0.0.0/8]}]}]}\n"
    )
    (said,) = messages(METADATA, POD + admin)
    assert "its egress policies deny only a part" in said
    assert messages(METADATA, POD + admin.replace("10.0.0.0/8", "169.254.169.254/32, fd00:ec2::254/128")) == []
