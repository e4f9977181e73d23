"""Spark applications and inference services: every container and what beside it counts for its pod."""

from typing import Any

import pytest
import yaml

from iocaudit.core.resource import ADMISSION, Resource
from iocaudit.core.world import World
from iocaudit.engine.audit import Auditor
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.engine.policy_reader import read_policies
from iocaudit.knowledge.pods.places import pods_of

Json = dict[str, Any]
_CATALOGUE = builtin_catalogue()


def _resource(api_version: str, kind: str, spec: Any) -> Resource:
    metadata = {"name": "r", "namespace": "shop"}
    return Resource({"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec}, ADMISSION)


def _hits(resource: Resource, *checks: str) -> list[tuple[str, str]]:
    report = Auditor(_CATALOGUE.select(checks), read_policies([], _CATALOGUE), World()).audit(resource)
    assert not report.faults
    assert not report.skipped
    return sorted((found.check, found.hit.path) for found in report.found)


_SPARK = """
image: hooli.com/spark:latest
volumes: [{name: host, hostPath: {path: /etc}}, {name: data, hostPath: {path: /data}}]
driver:
  serviceAccount: robot
  labels: {role: driver}
  hostNetwork: true
  podSecurityContext: {runAsUser: 0}
  securityContext: {privileged: true}
  volumeMounts: [{name: host, mountPath: /mnt}]
  envVars: {DB_PASSWORD: ghp_1234567890abcdefghijklmnopqrstuvwxyz}
  coreLimit: 1200m
executor:
  image: hooli.com/spark:3.5
  memory: 2g
  initContainers: [{name: i, image: x, securityContext: {privileged: true}}]
  sidecars: [{name: s, image: x, securityContext: {privileged: true}}]
  volumeMounts: [{name: data, mountPath: /data}]
  template:
    spec:
      hostPID: true
      containers:
      - {name: main, image: ignored, securityContext: {capabilities: {add: [SYS_ADMIN]}}}
      - {name: other, image: x, securityContext: {privileged: true}}
"""


@pytest.mark.parametrize(("kind", "at"), [("SparkApplication", "spec"), ("ScheduledSparkApplication", "spec.template")])
def test_a_spark_application_has_a_driver_and_executors(kind: str, at: str) -> None:
    spec = yaml.safe_load(_SPARK)
    resource = _resource("sparkoperator.k8s.io/v1beta2", kind, {"template": spec} if "Scheduled" in kind else spec)
    main = f'{at}.executor.template.spec.containers["main"]'
    assert _hits(resource, "privileged-container", "dangerous-capability", "host-network", "host-pid") == [
        ("dangerous-capability", f"{main}.securityContext.capabilities.add"),
        ("host-network", f"{at}.driver.hostNetwork"),
        ("host-pid", f"{at}.executor.template.spec.hostPID"),
        ("privileged-container", f"{at}.driver.securityContext.privileged"),
        ("privileged-container", f'{at}.executor.initContainers["i"].securityContext.privileged'),
        ("privileged-container", f'{at}.executor.sidecars["s"].securityContext.privileged'),
        ("privileged-container", f'{at}.executor.template.spec.containers["other"].securityContext.privileged'),
    ]
    assert _hits(resource, "runs-as-root", "mutable-image-tag", "secret-in-env", "sensitive-host-path") == [
        *(("mutable-image-tag", f"{at}.executor.{name}.image") for name in ('initContainers["i"]', 'sidecars["s"]')),
        ("mutable-image-tag", f'{at}.executor.template.spec.containers["other"].image'),
        ("mutable-image-tag", f"{at}.image"),
        ("runs-as-root", f"{at}.driver.podSecurityContext.runAsUser"),
        ("secret-in-env", f"{at}.driver.envVars.DB_PASSWORD"),
        ("sensitive-host-path", f'{at}.volumes["host"].hostPath.path'),
    ]
    assert [(pod.service_account, pod.labels) for pod in pods_of(resource)] == [
        ("robot", {"role": "driver"}),
        ("default", {}),
    ]


def test_spark_always_limits_memory_and_cpu_only_on_request() -> None:
    spec = {"image": "x:1", "driver": {"coreLimit": "1"}, "executor": {"cores": 1, "memory": "2g"}}
    resource = _resource("sparkoperator.k8s.io/v1beta2", "SparkApplication", spec)
    assert _hits(resource, "memory-unlimited", "cpu-unlimited", "requests-missing") == [
        ("cpu-unlimited", "spec.executor.coreLimit")
    ]
    assert [pod.containers[0].raw["resources"]["limits"]["memory"] for pod in pods_of(resource)] == ["1Gi", "2Gi"]


def test_an_inference_service_serves_from_a_container_of_its_own() -> None:
    spec = {
        "predictor": {
            "model": {
                "modelFormat": {"name": "onnx"},
                "image": "hooli.com/m:latest",
                "securityContext": {"privileged": True},
            },
            "workerSpec": {"hostNetwork": True, "containers": [{"name": "w", "image": "x:1"}]},
        },
        "transformer": {"sklearn": {"storageUri": "s3://a"}},
    }
    resource = _resource("serving.kserve.io/v1beta1", "InferenceService", spec)
    assert _hits(resource, "host-network", "mutable-image-tag", "privileged-container", "may-run-as-root") == [
        ("host-network", "spec.predictor.workerSpec.hostNetwork"),
        ("may-run-as-root", "spec.predictor.model.securityContext.runAsNonRoot"),
        ("may-run-as-root", 'spec.predictor.workerSpec.containers["w"].securityContext.runAsNonRoot'),
        ("mutable-image-tag", "spec.predictor.model.image"),
        ("privileged-container", "spec.predictor.model.securityContext.privileged"),
    ]


@pytest.mark.parametrize(
    ("api_version", "kind", "spec", "path"),
    [
        ("ray.io/v1", "RayJob", {"submitterPodTemplate": {}}, "spec.submitterPodTemplate.spec"),
        ("apps.kruise.io/v1alpha1", "BroadcastJob", {"template": {}}, "spec.template.spec"),
        (
            "apps.kruise.io/v1alpha1",
            "UnitedDeployment",
            {"template": {"cloneSetTemplate": {"spec": {"template": {}}}}},
            "spec.template.cloneSetTemplate.spec.template.spec",
        ),
        (
            "apps.kruise.io/v1alpha1",
            "AdvancedCronJob",
            {"template": {"jobTemplate": {"spec": {"template": {}}}}},
            "spec.template.jobTemplate.spec.template.spec",
        ),
        ("serving.kserve.io/v1alpha1", "ServingRuntime", {"workerSpec": {}}, "spec.workerSpec"),
    ],
)
def test_pods_of_further_kinds(api_version: str, kind: str, spec: Json, path: str) -> None:
    assert path in [pod.path for pod in pods_of(_resource(api_version, kind, spec))]


@pytest.mark.parametrize(
    "spec",
    [
        {"driver": {"template": [], "envVars": 1, "env": {}, "sidecars": 2, "memory": []}, "executor": 1},
        {"driver": {"template": {"spec": {"containers": [1, 2]}}}, "volumes": {}, "image": 1},
        {"template": {"driver": {"memory": "x", "cores": {}}}},
    ],
)
@pytest.mark.parametrize("kind", ["SparkApplication", "ScheduledSparkApplication"])
def test_odd_shapes_are_no_error(kind: str, spec: Json) -> None:
    resource = _resource("sparkoperator.k8s.io/v1beta2", kind, spec)
    report = Auditor(_CATALOGUE, read_policies([], _CATALOGUE), World()).audit(resource)
    assert not report.faults
