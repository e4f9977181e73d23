"""Admin surfaces by the images behind a Service and by names: what opens them, and what stands before them."""

import json

import pytest

from iocaudit.core.kinds import DEPLOYMENT, POD
from iocaudit.knowledge.admin_images import title_of
from iocaudit.knowledge.outline import slim
from iocaudit.knowledge.pods.places import pods_of
from tests.support.auditing import CATALOGUE, Json, audited, evidence, judge, messages, resources


def service(spec: str, annotations: str = "{}", name: str = "web", labels: str = "{}") -> str:
    return f"""
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: shop, annotations: {annotations}, labels: {labels}}}
spec: {spec}
"""


def ingress(spec: str, annotations: str = "{}") -> str:
    return f"""
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{name: web, namespace: shop, annotations: {annotations}}}
spec: {spec}
"""


def rule(host: str | None, name: str = "web", path: str = "/") -> str:
    named = f'host: "{host}", ' if host is not None else ""
    backend = f"{{service: {{name: {name}, port: {{number: 80}}}}}}"
    return f"{{{named}http: {{paths: [{{path: {json.dumps(path)}, pathType: Prefix, backend: {backend}}}]}}}}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (service("{type: LoadBalancer}", name="kubernetes-dashboard"), "Kubernetes dashboard"),
        (service("{type: NodePort}", name="monitoring-kube-prometheus-prometheus"), "Prometheus"),
        (service("{type: NodePort, selector: {app: argo-server}}", name="ui"), "Argo Workflows"),
        (service("{type: NodePort}", name="ui", labels="{app.kubernetes.io/name: alertmanager}"), "Alertmanager"),
        (service("{type: LoadBalancer, ports: [{port: 2379}]}", name="store"), "etcd"),
        (service("{type: LoadBalancer, ports: [{port: 80, targetPort: 10250}]}", name="x"), "kubelet"),
        (service("{type: LoadBalancer}", name="prometheus-adapter"), None),
        (service("{type: LoadBalancer}", name="prometheus-operator"), None),
        (service("{type: LoadBalancer}", name="registry"), "Docker registry"),
        (service("{type: LoadBalancer}", name="ci-docker-registry"), "Docker registry"),
        (service("{type: LoadBalancer}", name="schema-registry"), None),
        (service("{}", name="kubernetes-dashboard"), None),
        (service("{type: LoadBalancer, loadBalancerSourceRanges: [10.0.0.0/8]}", name="prometheus"), None),
        (
            service("{type: LoadBalancer, loadBalancerSourceRanges: [0.0.0.0/1, 128.0.0.0/1]}", name="prometheus"),
            "Prometheus",
        ),
        (service("{type: LoadBalancer}", "{networking.gke.io/load-balancer-type: Internal}", "prometheus"), None),
        (service("{type: LoadBalancer, ports: [{port: 443}]}"), None),
    ],
)
def test_services_of_admin_surfaces(text: str, said: str | None) -> None:
    found = messages("exposed-dashboard", text)
    assert len(found) == (1 if said else 0)
    assert all(said in one for one in found if said)


MIDDLEWARE = """
apiVersion: traefik.io/v1alpha1
kind: Middleware
metadata: {name: login, namespace: shop}
spec: {basicAuth: {secret: users}}
---
apiVersion: traefik.io/v1alpha1
kind: Middleware
metadata: {name: outer, namespace: shop}
spec: {chain: {middlewares: [{name: login}, {name: outer}]}}
"""


@pytest.mark.parametrize(
    ("annotations", "outcome"),
    [
        ("{}", "hit"),
        ("{nginx.ingress.kubernetes.io/auth-url: 'https://a.example'}", "quiet"),
        ("{nginx.ingress.kubernetes.io/auth-type: basic}", "quiet"),
        ("{nginx.ingress.kubernetes.io/whitelist-source-range: 10.0.0.0/8}", "quiet"),
        ("{nginx.ingress.kubernetes.io/whitelist-source-range: '10.0.0.0/8,0.0.0.0/0'}", "hit"),
        ("{alb.ingress.kubernetes.io/auth-type: none}", "hit"),
        ("{alb.ingress.kubernetes.io/auth-type: oidc}", "quiet"),
        ("{traefik.ingress.kubernetes.io/router.middlewares: shop-outer@kubernetescrd}", "quiet"),
        ("{traefik.ingress.kubernetes.io/router.middlewares: shop-none@kubernetescrd}", "hit"),
        ("{traefik.ingress.kubernetes.io/router.middlewares: login@file}", "skip"),
    ],
)
def test_ingresses_of_admin_surfaces(annotations: str, outcome: str) -> None:
    text = ingress(f"{{rules: [{rule('a.example', 'argo-server')}]}}", annotations) + "---" + MIDDLEWARE
    report = audited("exposed-dashboard", text)
    assert (len(report.found), len(report.skipped)) == {"hit": (1, 0), "quiet": (0, 0), "skip": (0, 1)}[outcome]


@pytest.mark.parametrize(("middlewares", "hits"), [("[]", 1), ("[{name: outer}]", 0)])
def test_the_dashboard_of_traefik(middlewares: str, hits: int) -> None:
    text = f"""
apiVersion: traefik.io/v1alpha1
kind: IngressRoute
metadata: {{name: dashboard, namespace: shop}}
spec:
  routes:
  - match: Host(`a.example`)
    middlewares: {middlewares}
    services: [{{name: api@internal, kind: TraefikService}}]
---{MIDDLEWARE}"""
    assert len(messages("exposed-dashboard", text)) == hits


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
    assert POD not in alone.admission_world_kinds
    assert POD in alone.world_kinds
    assert POD in alone.file_world_kinds


def test_an_outline_keeps_the_containers_of_a_surface_and_of_nothing_else() -> None:
    surface, other = resources(_workload(f"{_NGINX}, {{name: a, image: etcd, env: []}}") + _workload(_NGINX))
    assert pods_of(slim(surface.raw, DEPLOYMENT))[0].spec["containers"] == [
        {"name": "p", "image": "nginx", "ports": [{"containerPort": 80}]},
        {"name": "a", "image": "etcd"},
    ]
    assert "containers" not in pods_of(slim(other.raw, DEPLOYMENT))[0].spec


def _route(name: str = "web", annotations: Json | None = None, **spec: object) -> Json:
    return {
        "apiVersion": "route.openshift.io/v1",
        "kind": "Route",
        "metadata": {"name": "web", "namespace": "shop", "annotations": annotations or {}},
        "spec": {"host": "www.shop.example", "to": {"kind": "Service", "name": name}, **spec},
    }


def test_an_admin_surface_behind_a_route() -> None:
    assert evidence(judge("exposed-dashboard", _route("argo-server")))
    assert evidence(judge("exposed-dashboard", _route("web", alternateBackends=[{"name": "argo-server"}])))
    assert judge("exposed-dashboard", _route("argo-server", port={"targetPort": "oauth-proxy"})) == []
    assert judge("exposed-dashboard", _route("web")) == []
