"""Admin surfaces told by the image that a Service leads to, whatever its names are.

Matched are the last parts of an image's repository, so mirrors count. Left out are images that serve something
else as well (Ray, Spark), and those that ask for a login as they come (Argo CD, Jenkins, Grafana). Sources: each
project's manifests and chart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from iocaudit.core.kinds import DAEMON_SET, DEPLOYMENT, POD, REPLICA_SET, REPLICATION_CONTROLLER, STATEFUL_SET
from iocaudit.core.resource import Resource
from iocaudit.core.shape import integer, lookup, mapping, mappings, text
from iocaudit.core.world import World
from iocaudit.knowledge.image import ImageReference
from iocaudit.knowledge.pods.places import pods_of

WORKLOADS = (POD, REPLICATION_CONTROLLER, REPLICA_SET, DEPLOYMENT, STATEFUL_SET, DAEMON_SET)
"""The kinds that serve: a Service leads to their pods."""
_IMAGES: dict[str, tuple[str, ...]] = {
    "Kubernetes dashboard": (
        "kubernetesui/dashboard",
        "kubernetesui/dashboard-api",
        "kubernetesui/dashboard-web",
        "kubernetes-dashboard-amd64",
    ),
    "Argo Workflows": ("argoproj/argocli",),
    "Kubeflow": (
        "centraldashboard",
        "ml-pipeline/api-server",
        "ml-pipeline/frontend",
        "kubeflow/kfp-api-server",
        "kubeflow/kfp-frontend",
        "kubeflowkatib/katib-ui",
        "katib/katib-ui",
        "kubeflownotebookswg/jupyter-web-app",
    ),
    "etcd": ("etcd",),
    "Prometheus": ("prom/prometheus", "prometheus/prometheus", "bitnami/prometheus"),
    "Alertmanager": ("prom/alertmanager", "prometheus/alertmanager", "bitnami/alertmanager"),
    "Docker registry": ("library/registry", "distribution/distribution"),
    "Weave Scope": ("weaveworks/scope",),
    "Jupyter": tuple(
        f"jupyter/{name}-notebook"
        for name in (
            *("all-spark", "base", "datascience", "julia", "minimal", "pyspark", "pytorch", "r", "scipy"),
            "tensorflow",
        )
    ),
    "Hubble UI": ("cilium/hubble-ui",),
    "Kiali": ("kiali/kiali",),
    "Jaeger": ("jaegertracing/all-in-one", "jaegertracing/jaeger", "jaegertracing/jaeger-query"),
    "Linkerd viz": ("linkerd/web",),
    "Longhorn": ("longhornio/longhorn-ui",),
    "Kubecost": ("kubecost1/cost-model", "kubecost1/frontend", "opencost/opencost-ui"),
    "Tekton dashboard": ("tektoncd/dashboard/cmd/dashboard",),
    "Flink": ("library/flink", "apache/flink"),
    "MLflow": ("mlflow/mlflow", "bitnami/mlflow"),
    "Consul": ("hashicorp/consul", "library/consul", "bitnami/consul"),
    "Kibana": ("kibana/kibana", "library/kibana", "bitnami/kibana"),
    "Elasticsearch": ("elasticsearch/elasticsearch", "library/elasticsearch", "bitnami/elasticsearch"),
    "Mongo Express": ("library/mongo-express",),
    "Redis Commander": ("rediscommander/redis-commander", "joeferner/redis-commander"),
    "phpMyAdmin": ("library/phpmyadmin", "phpmyadmin/phpmyadmin", "bitnami/phpmyadmin"),
}
_BY_LAST: dict[str, list[tuple[str, str]]] = {}
for _title, _repositories in _IMAGES.items():
    for _repository in _repositories:
        _BY_LAST.setdefault(_repository.rpartition("/")[2], []).append((_repository, _title))


def title_of(image: str) -> str:
    """The surface that an image is; empty where it is not one."""
    last = image.rpartition("/")[2].partition("@")[0].partition(":")[0]
    known = _BY_LAST.get(last)
    found = ImageReference.parse_or_none(image) if known else None
    if found is None:
        return ""
    whole = f"/{found.repository}"
    return next((title for repository, title in known or () if whole.endswith(f"/{repository}")), "")


class ServedContainer(NamedTuple):
    """A container of a surface behind a Service; ``whole``: every port of the Service leads to such a one."""

    title: str
    workload: str
    image: str
    whole: bool


class _ServingPod(NamedTuple):
    """A pod that has a container of a surface."""

    workload: str
    labels: Mapping[str, Any]
    containers: Sequence[Mapping[str, Any]]


def _serving(resource: Resource) -> tuple[_ServingPod, ...]:
    workload = f"{resource.kind_name} {resource.name}"
    return tuple(
        _ServingPod(workload, pod.labels, [c.raw for c in pod.containers if c.list_name == "containers"])
        for pod in pods_of(resource)
        if any(title_of(container.image_text) for container in pod.containers)
    )


def incomplete(world: World) -> str | None:
    """Why there may be further workloads; None where all are known."""
    return next((reason for kind in WORKLOADS if (reason := world.incomplete(kind))), None)


def behind(service: Resource, world: World) -> ServedContainer | None:
    """The surface that a Service leads to, by the images of the pods it selects and the ports they listen on."""
    selector = mapping(lookup(service.raw, "spec", "selector"))
    if not selector:
        return None
    namespace = world.namespace_of(service)

    def build() -> list[_ServingPod]:
        return [
            one
            for kind in WORKLOADS
            for workload in world.of(kind, namespace, near=service)
            for one in workload.derive(_serving)
        ]

    for one in world.memo(("surfaces", namespace), WORKLOADS, build, near=service, namespace=namespace):
        if all(one.labels.get(key) == value for key, value in selector.items()):
            served = [_served(port, one.containers) for port in _ports(service)]
            found = next((container for container in served if container is not None), None)
            if found is not None:
                image = text(found.get("image"))
                return ServedContainer(title_of(image), one.workload, image, None not in served)
    return None


def _ports(service: Resource) -> list[Any]:
    """What each port of a Service leads to in a pod: a number, or a container's port by name."""
    found = [
        port.get("port") if (target := port.get("targetPort")) in (None, 0, "") else target
        for port in mappings(lookup(service.raw, "spec", "ports"))
    ]
    return found or [None]


def _served(target: object, containers: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The container of a surface that listens where a Service leads; ports need not be declared to be open."""
    surfaces = [container for container in containers if title_of(text(container.get("image")))]
    if target is None:
        return surfaces[0] if len(containers) == 1 else None
    for container in containers:
        for port in mappings(container.get("ports")):
            if target in (integer(port.get("containerPort")), text(port.get("name"))):
                return container if container in surfaces else None
    alone = len(containers) == 1 and isinstance(target, int)
    return surfaces[0] if surfaces and alone else None
