"""Admin surfaces behind Services of any name: told by the images of what they select, and by where they lead."""

import pytest

from iocaudit.core.admin_images import title_of
from iocaudit.core.kinds import DEPLOYMENT, POD
from iocaudit.core.outline import slim
from tests.unit.checks.auditing import CATALOGUE, messages, resources

_NGINX = "{name: p, image: nginx, ports: [{containerPort: 80}]}"


def _workload(containers: str, kind: str = "Deployment", namespace: str = "shop") -> str:
    template = f"{{metadata: {{labels: {{app: ui, tier: x}}}}, spec: {{containers: [{containers}]}}}}"
    return f"""
---
apiVersion: apps/v1
kind: {kind}
metadata: {{name: ui, namespace: {namespace}}}
spec: {{selector: {{matchLabels: {{app: ui}}}}, template: {template}}}
"""


def _service(spec: str = "{type: LoadBalancer, selector: {app: ui}, ports: [{port: 80, targetPort: 9090}]}") -> str:
    return f"""
---
apiVersion: v1
kind: Service
metadata: {{name: front, namespace: shop}}
spec: {spec}
"""


_INGRESS = """
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web, namespace: shop, annotations: %s}
spec: {defaultBackend: {service: {name: front, port: {number: 80}}}}
"""


@pytest.mark.parametrize(
    ("image", "title"),
    [
        ("kubernetesui/dashboard:v2.7.0", "Kubernetes dashboard"),
        ("mirror.example:5000/k8s/kubernetesui/dashboard-web@sha256:" + "0" * 64, "Kubernetes dashboard"),
        ("k8s.gcr.io/kubernetes-dashboard-amd64:v1.10.1", "Kubernetes dashboard"),
        ("quay.io/argoproj/argocli:v3.5", "Argo Workflows"),
        ("docker.io/kubeflownotebookswg/centraldashboard:v1.8", "Kubeflow"),
        ("registry.k8s.io/etcd:3.5.9-0", "etcd"),
        ("quay.io/prometheus/prometheus", "Prometheus"),
        ("registry:2", "Docker registry"),
        ("gcr.io/tekton-releases/github.com/tektoncd/dashboard/cmd/dashboard:v0.40", "Tekton dashboard"),
        ("hooli.com/shop/registry:2", ""),
        ("hooli.com/notkubernetesui/dashboard:1", ""),
        ("hooli.com/shop/prometheus", ""),
        ("quay.io/prometheus/prometheus-operator", ""),
        ("", ""),
        ("not an image/etcd", ""),
    ],
)
def test_images_are_told_by_the_last_parts_of_their_repository(image: str, title: str) -> None:
    assert title_of(image) == title


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"])
def test_a_service_leads_to_what_it_selects(kind: str) -> None:
    text = _service() + _workload("{name: a, image: 'prom/prometheus:v2', ports: [{containerPort: 9090}]}", kind)
    (said,) = messages("exposed-dashboard", text)
    assert f"opens Prometheus ({kind} ui runs prom/prometheus:v2) to the outside as LoadBalancer" in said


@pytest.mark.parametrize(
    ("service", "containers", "namespace", "hits"),
    [
        ("ports: [{port: 80, targetPort: 9090}]", "{name: a, image: prom/prometheus}", "shop", 1),
        ("ports: [{port: 80, targetPort: web}]", "{name: a, image: prom/prometheus}", "shop", 0),
        (
            "ports: [{port: 80, targetPort: web}]",
            "{name: a, image: prom/prometheus, ports: [{containerPort: 9090, name: web}]}",
            "shop",
            1,
        ),
        ("ports: [{port: 80}]", f"{_NGINX}, {{name: a, image: prom/prometheus}}", "shop", 0),
        ("ports: [{port: 81}]", f"{_NGINX}, {{name: a, image: prom/prometheus}}", "shop", 0),
        (
            "ports: [{port: 80}, {port: 9090}]",
            f"{_NGINX}, {{name: a, image: prom/prometheus, ports: [{{containerPort: 9090}}]}}",
            "shop",
            1,
        ),
        ("ports: []", "{name: a, image: prom/prometheus}", "shop", 1),
        ("ports: [{port: 80}]", "{name: a, image: prom/prometheus}", "other", 0),
        ("ports: [{port: 80}]", "{name: a, image: hooli.com/shop/web}", "shop", 0),
    ],
)
def test_a_port_leads_to_one_container(service: str, containers: str, namespace: str, hits: int) -> None:
    text = _service(f"{{type: NodePort, selector: {{app: ui}}, {service}}}") + _workload(
        containers, "Deployment", namespace
    )
    assert len(messages("exposed-dashboard", text)) == hits


@pytest.mark.parametrize(
    "spec",
    [
        "{type: ClusterIP, selector: {app: ui}}",
        "{type: LoadBalancer, selector: {app: other}}",
        "{type: LoadBalancer, selector: {app: ui, more: x}}",
        "{type: LoadBalancer}",
        "{type: LoadBalancer, selector: {app: ui}, loadBalancerSourceRanges: [10.0.0.0/8]}",
    ],
)
def test_services_that_do_not_open_it(spec: str) -> None:
    assert messages("exposed-dashboard", _service(spec) + _workload("{name: a, image: prom/prometheus}")) == []


@pytest.mark.parametrize(
    ("annotations", "containers", "ports", "hits"),
    [
        ("{}", "{name: a, image: quay.io/argoproj/argocli}", "[{port: 80}]", 1),
        (
            "{nginx.ingress.kubernetes.io/auth-type: basic}",
            "{name: a, image: quay.io/argoproj/argocli}",
            "[{port: 80}]",
            0,
        ),
        (
            "{}",
            f"{_NGINX}, {{name: a, image: quay.io/argoproj/argocli, ports: [{{containerPort: 2747}}]}}",
            "[{port: 80}, {port: 2747}]",
            0,
        ),
    ],
)
def test_an_ingress_leads_to_it_unless_something_stands_before(
    annotations: str, containers: str, ports: str, hits: int
) -> None:
    text = _INGRESS % annotations + _service(f"{{selector: {{app: ui}}, ports: {ports}}}") + _workload(containers)
    assert len(messages("exposed-dashboard", text)) == hits


def test_unknown_workloads_are_said_only_where_the_service_is_open_and_not_known_by_name() -> None:
    incomplete = {DEPLOYMENT: "forbidden"}
    assert messages("exposed-dashboard", _service(), incomplete=incomplete) == [
        "skipped: what runs behind it is not known in full here (forbidden)"
    ]
    assert messages("exposed-dashboard", _service("{selector: {app: ui}}"), incomplete=incomplete) == []
    named = _service().replace("name: front", "name: prometheus")
    assert len(messages("exposed-dashboard", named, incomplete=incomplete)) == 1


def test_the_webhook_holds_no_pods_for_it_and_an_audit_does() -> None:
    check = CATALOGUE.find("exposed-dashboard")
    assert check is not None
    assert not check.audit_only
    alone = CATALOGUE.select(["exposed-dashboard"])
    assert POD not in alone.admission_world_kinds()
    assert POD in alone.world_kinds
    assert POD in alone.file_world_kinds


def test_an_outline_keeps_the_containers_of_a_surface_and_of_nothing_else() -> None:
    surface, other = resources(_workload(f"{_NGINX}, {{name: a, image: etcd, env: []}}") + _workload(_NGINX))
    assert slim(surface.raw, DEPLOYMENT).pods[0].spec["containers"] == [
        {"name": "p", "image": "nginx", "ports": [{"containerPort": 80}]},
        {"name": "a", "image": "etcd"},
    ]
    assert "containers" not in slim(other.raw, DEPLOYMENT).pods[0].spec
