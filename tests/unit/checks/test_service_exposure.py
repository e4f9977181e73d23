"""Services that open the cluster: node ports, load balancers, external IPs."""

import json
from typing import Any

import pytest

from tests.support.auditing import audited, messages


def service(spec: str, annotations: str = "{}", name: str = "web", labels: str = "{}") -> str:
    return f"""
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: shop, annotations: {annotations}, labels: {labels}}}
spec: {spec}
"""


@pytest.mark.parametrize(
    ("ips", "allowed", "hits"),
    [
        (["1.1.1.1"], [], 1),
        (["203.0.113.0"], ["203.0.113.0"], 0),
        (["203.0.113.7", "1.1.1.1"], ["203.0.113.0/24"], 1),
        (["2001:db8::1"], ["2001:DB8:0::/48"], 0),
        (["2001:db8::1"], ["0.0.0.0/0"], 1),
        (["203.0.113.70"], ["203.0.113.7"], 1),
        (["not an address", 7], ["0.0.0.0/0", "::/0"], 2),
        ([], [], 0),
    ],
)
def test_external_ips(ips: list[Any], allowed: list[str], hits: int) -> None:
    text = service(f"{{externalIPs: {json.dumps(ips)}}}")
    found = messages("service-external-ip", text, parameters={"allowed": allowed})
    assert len(found) == hits
    assert all("spec.externalIPs[" in one for one in found)


@pytest.mark.parametrize(
    ("kind", "hits"), [("NodePort", 1), ("ClusterIP", 0), ("LoadBalancer", 0), ("ExternalName", 0)]
)
def test_node_ports(kind: str, hits: int) -> None:
    assert len(messages("node-port-service", service(f"{{type: {kind}}}"))) == hits


@pytest.mark.parametrize(
    ("spec", "annotations", "severity"),
    [
        ("{type: LoadBalancer}", "{}", "medium"),
        ("{type: LoadBalancer, loadBalancerSourceRanges: [10.0.0.0/8]}", "{}", None),
        ("{type: LoadBalancer, loadBalancerSourceRanges: [10.0.0.0/8, 0.0.0.0/0]}", "{}", "medium"),
        ("{type: LoadBalancer, loadBalancerSourceRanges: ['::/0']}", "{}", "medium"),
        ("{type: LoadBalancer, loadBalancerSourceRanges: [128.0.0.0/1, ' 0.0.0.0/1 ']}", "{}", "medium"),
        ("{type: LoadBalancer, loadBalancerSourceRanges: [128.0.0.0/1]}", "{}", None),
        ("{type: LoadBalancer, loadBalancerSourceRanges: [0.0.0.0/1, 128.0.0.0/1]}", "{}", "medium"),
        ("{type: LoadBalancer, loadBalancerSourceRanges: [0.0.0.0/1, 128.0.0.0/2]}", "{}", None),
        ("{type: LoadBalancer, loadBalancerSourceRanges: ['::/1', '8000::/1']}", "{}", "medium"),
        ("{type: LoadBalancer}", "{service.beta.kubernetes.io/azure-allowed-ip-ranges: 10.0.0.0/8}", None),
        ("{type: LoadBalancer}", "{service.beta.kubernetes.io/load-balancer-source-ranges: 10.0.0.0/8}", None),
        ("{type: LoadBalancer}", "{service.beta.kubernetes.io/azure-load-balancer-internal: 'true'}", "low"),
        ("{type: LoadBalancer}", "{service.beta.kubernetes.io/azure-load-balancer-internal: 'false'}", "medium"),
        ("{type: LoadBalancer}", "{networking.gke.io/load-balancer-type: Internal}", "low"),
        ("{type: LoadBalancer}", "{service.beta.kubernetes.io/aws-load-balancer-internal: 0.0.0.0/0}", "low"),
        ("{type: LoadBalancer}", "{service.beta.kubernetes.io/aws-load-balancer-internal: 'false'}", "medium"),
        ("{type: LoadBalancer}", "{service.beta.kubernetes.io/aws-load-balancer-scheme: internet-facing}", "medium"),
        ("{type: LoadBalancer, loadBalancerClass: service.k8s.aws/nlb}", "{}", "low"),
        (
            "{type: LoadBalancer, loadBalancerClass: service.k8s.aws/nlb}",
            "{service.beta.kubernetes.io/aws-load-balancer-scheme: internet-facing}",
            "medium",
        ),
        ("{type: NodePort}", "{}", None),
    ],
)
def test_load_balancers(spec: str, annotations: str, severity: str | None) -> None:
    found = audited("load-balancer-open", service(spec, annotations)).found
    assert [one.severity.label for one in found] == ([severity] if severity else [])
