"""Admin surfaces that are known to give the cluster, or what runs in it, to anyone who reaches them.

They are told by the names a Service bears (its own, or in its labels and selector, with a release's prefix), or by
a port that nothing else uses. Sources: each project's manifests and chart.
"""

from __future__ import annotations

from typing import NamedTuple

from iocaudit.core.resource import Resource
from iocaudit.core.shape import integer, lookup, mapping, mappings, text

_NAME_LABELS = ("app.kubernetes.io/name", "k8s-app", "app", "name", "component", "app.kubernetes.io/component")


class Surface(NamedTuple):
    """``names`` of its Services; ``ports`` that are its alone; ``whole`` names, which say it only unprefixed."""

    title: str
    names: tuple[str, ...]
    ports: tuple[int, ...] = ()
    whole: tuple[str, ...] = ()


SURFACES: tuple[Surface, ...] = (
    Surface(
        "Kubernetes dashboard",
        (
            "kubernetes-dashboard",
            "kubernetes-dashboard-web",
            "kubernetes-dashboard-kong-proxy",
            "kubernetes-dashboard-api",
        ),
    ),
    Surface("Argo Workflows", ("argo-server", "argo-workflows-server"), (2746,)),
    Surface("Argo CD", ("argocd-server", "argo-cd-server")),
    Surface("Kubeflow", ("centraldashboard", "ml-pipeline-ui", "ml-pipeline", "katib-ui", "jupyter-web-app-service")),
    Surface("etcd", ("etcd", "etcd-client"), (2379, 2380)),
    Surface(
        "Prometheus",
        (
            "prometheus",
            "prometheus-operated",
            "prometheus-server",
            "prometheus-k8s",
            "kube-prometheus-stack-prometheus",
        ),
    ),
    Surface("Alertmanager", ("alertmanager", "alertmanager-main", "alertmanager-operated"), (9093,)),
    Surface("Docker registry", ("docker-registry", "container-registry"), whole=("registry",)),
    Surface("Weave Scope", ("weave-scope", "weave-scope-app")),
    Surface("Jupyter", ("jupyter", "jupyter-notebook", "jupyterlab")),
    Surface("kubelet", ("kubelet",), (10250, 10255)),
    Surface("Docker API", (), (2375, 2376)),
    Surface("Ray dashboard", ("ray-head", "ray-dashboard"), (8265,)),
    Surface("Traefik dashboard", ("traefik-dashboard",)),
    Surface("Hubble UI", ("hubble-ui",)),
    Surface("Kiali", ("kiali",), (20001,)),
    Surface("Jaeger", ("jaeger-query", "jaeger"), (16686,)),
    Surface("Linkerd viz", ("linkerd-web", "linkerd-viz-web")),
    Surface("Longhorn", ("longhorn-frontend", "longhorn-ui")),
    Surface("Kubecost", ("cost-analyzer", "kubecost-cost-analyzer")),
    Surface("Tekton dashboard", ("tekton-dashboard",)),
    Surface("Flink", ("flink-jobmanager", "jobmanager")),
    Surface("Spark", ("spark-master", "spark-history-server")),
    Surface("MLflow", ("mlflow", "mlflow-tracking")),
    Surface("TensorBoard", ("tensorboard",)),
    Surface("Consul", ("consul-ui",), (8500,)),
    Surface("Kibana", ("kibana",), (5601,)),
    Surface("Elasticsearch", ("elasticsearch", "elasticsearch-master"), (9200,)),
    Surface("Mongo Express", ("mongo-express",)),
    Surface("Redis Commander", ("redis-commander",)),
    Surface("phpMyAdmin", ("phpmyadmin",)),
)
_BY_SUFFIX = {name: surface for surface in SURFACES for name in surface.names}
_BY_NAME = _BY_SUFFIX | {name: surface for surface in SURFACES for name in surface.whole}
_BY_PORT = {port: surface for surface in SURFACES for port in surface.ports}


def by_name(name: str) -> Surface | None:
    """The surface of a Service's name: the name itself, or that with a release's prefix."""
    whole = _BY_NAME.get(name.lower())
    if whole is not None:
        return whole
    parts = name.lower().split("-")
    for start in range(1, len(parts)):
        found = _BY_SUFFIX.get("-".join(parts[start:]))
        if found is not None:
            return found
    return None


def of_service(service: Resource) -> Surface | None:
    """The surface behind a Service, by its name, labels, selector or ports."""
    found = by_name(service.name)
    if found is not None:
        return found
    for labels in (service.labels, mapping(lookup(service.raw, "spec", "selector"))):
        for label in _NAME_LABELS:
            found = _BY_NAME.get(text(labels.get(label)).lower())
            if found is not None:
                return found
    for port in mappings(lookup(service.raw, "spec", "ports")):
        for number in (integer(port.get("port")), integer(port.get("targetPort"))):
            if number in _BY_PORT:
                return _BY_PORT[number]
    return None
