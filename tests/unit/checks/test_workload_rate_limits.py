"""Limits between workloads, by each mesh."""

import pytest

from iocaudit.core.kinds import NAMESPACE, SERVICE, Kind
from iocaudit.core.kinds.gateways import ENVOY_FILTER
from tests.support.auditing import messages
from tests.unit.knowledge.rate_limit.test_gateways import BUCKET, cilium, envoy_filter

SERVICE_YAML = """
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {selector: {app: web}, ports: [{port: 80}]}
"""
LINKERD = """
apiVersion: policy.linkerd.io/v1beta3
kind: Server
metadata: {name: web, namespace: shop}
spec: {podSelector: {matchLabels: {app: web}}, port: 80}
---
apiVersion: policy.linkerd.io/v1alpha1
kind: HTTPLocalRateLimitPolicy
metadata: {name: calm, namespace: shop}
spec: {targetRef: {group: policy.linkerd.io, kind: Server, name: web}, total: {requestsPerSecond: 100}}
"""


def namespace(labels: str = "{}", annotations: str = "{}") -> str:
    return f"""
apiVersion: v1
kind: Namespace
metadata: {{name: shop, labels: {labels}, annotations: {annotations}}}
"""


def workload(labels: str = "{app: web}", annotations: str = "{}") -> str:
    return f"""
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web, namespace: shop}}
spec:
  template:
    metadata: {{labels: {labels}, annotations: {annotations}}}
    spec: {{containers: [{{name: app, image: a}}]}}
"""


def together(*documents: str) -> str:
    return "---".join(documents)


ISTIO = namespace("{istio-injection: enabled}")
SIDECAR = envoy_filter("shop", "workloadSelector: {labels: {app: web}}", context="SIDECAR_INBOUND")


@pytest.mark.parametrize(
    ("text", "mesh"),
    [
        (together(ISTIO, SERVICE_YAML, workload()), "Istio"),
        (together(namespace("{istio.io/rev: canary}"), SERVICE_YAML, workload()), "Istio"),
        (together(namespace(), SERVICE_YAML, workload("{app: web, sidecar.istio.io/inject: 'true'}")), "Istio"),
        (together(ISTIO, SERVICE_YAML, workload("{app: web, sidecar.istio.io/inject: 'false'}")), None),
        (together(ISTIO, workload()), None),
        (together(ISTIO, SERVICE_YAML, workload("{app: other}")), None),
        (together(ISTIO, SERVICE_YAML, workload(), SIDECAR), None),
        (together(ISTIO, SERVICE_YAML, workload(), SIDECAR.replace("SIDECAR_INBOUND", "GATEWAY")), "Istio"),
        (together(ISTIO, SERVICE_YAML, workload(), SIDECAR.replace("namespace: shop", "namespace: other")), "Istio"),
        (together(ISTIO, SERVICE_YAML, workload(), envoy_filter("istio-system", "priority: 1", "ANY")), None),
        (together(namespace(annotations="{linkerd.io/inject: enabled}"), SERVICE_YAML, workload()), "Linkerd"),
        (together(namespace(annotations="{linkerd.io/inject: enabled}"), SERVICE_YAML, workload(), LINKERD), None),
        (
            together(
                namespace(annotations="{linkerd.io/inject: enabled}"),
                SERVICE_YAML,
                workload(annotations="{linkerd.io/inject: disabled}"),
            ),
            None,
        ),
        (together(namespace(), SERVICE_YAML, workload(), cilium(BUCKET)), None),
        (together(namespace(), SERVICE_YAML, workload(), cilium("stat_prefix: x")), "Cilium"),
        (together(namespace(), SERVICE_YAML, workload()), None),
    ],
)
def test_workloads_of_a_mesh(text: str, mesh: str | None) -> None:
    found = messages("no-workload-rate-limit", text)
    assert len(found) == (1 if mesh else 0)
    assert all(f"{mesh} needs" in one for one in found)


@pytest.mark.parametrize("kind", [SERVICE, ENVOY_FILTER])
def test_incomplete_kinds_are_said(kind: Kind) -> None:
    found = messages(
        "no-workload-rate-limit",
        together(ISTIO, SERVICE_YAML, workload()),
        incomplete={kind: "forbidden"},
    )
    assert [one.startswith("skipped: ") for one in found] == [True]


def test_a_namespace_that_could_not_be_read() -> None:
    found = messages("no-workload-rate-limit", together(SERVICE_YAML, workload()), incomplete={NAMESPACE: "forbidden"})
    assert [one.startswith("skipped: ") for one in found] == [True]
