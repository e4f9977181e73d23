"""Bounds of autoscalers."""

from typing import Any

import pytest

from tests.support.auditing import Json, evidence, judge


def named(kind: str, spec: Json, version: str = "v1", name: str = "web", **metadata: Any) -> Json:
    return {
        "apiVersion": version,
        "kind": kind,
        "metadata": {"name": name, "namespace": "shop", **metadata},
        "spec": spec,
    }


DEPLOYMENT = named("Deployment", {"template": {"spec": {"containers": []}}}, "apps/v1")


def autoscaler(target: str = "web", version: str = "autoscaling/v2", **spec: Any) -> Json:
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": target}
    return named("HorizontalPodAutoscaler", {"scaleTargetRef": reference, **spec}, version)


def scaled(target: str = "web", **spec: Any) -> Json:
    return named("ScaledObject", {"scaleTargetRef": {"name": target}, **spec}, "keda.sh/v1alpha1")


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        (autoscaler(maxReplicas=10), []),
        (autoscaler(version="autoscaling/v1", maxReplicas=10), []),
        (autoscaler(maxReplicas=1), ["1=1"]),
        (autoscaler(maxReplicas=5000), ["5000"]),
        (autoscaler(), ["unset"]),
        (autoscaler("gone", maxReplicas=3), ["Deployment/gone"]),
        (scaled(), []),
        (scaled("gone"), ["Deployment/gone"]),
        (scaled(maxReplicaCount=9999), ["9999"]),
        (named("NodePool", {}, "karpenter.sh/v1"), ["unset"]),
        (named("NodePool", {"limits": {"cpu": 100}}, "karpenter.sh/v1"), []),
    ],
)
def test_autoscalers(subject: Json, expected: list[str]) -> None:
    assert evidence(judge("autoscaling-unbounded", subject, DEPLOYMENT)) == expected


def test_machine_groups_of_the_cluster_autoscaler() -> None:
    prefix = "cluster.x-k8s.io/cluster-api-autoscaler-node-group-"
    for annotations, expected in (
        ({}, []),
        ({f"{prefix}min-size": "1"}, ["unset"]),
        ({f"{prefix}min-size": "1", f"{prefix}max-size": "9"}, []),
        ({f"{prefix}max-size": "many"}, ["unset"]),
        ({f"{prefix}max-size": "99999"}, ["99999"]),
    ):
        subject = named("MachineDeployment", {}, "cluster.x-k8s.io/v1beta1", annotations=annotations)
        assert evidence(judge("autoscaling-unbounded", subject)) == expected
