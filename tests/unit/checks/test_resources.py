"""Requests, limits, ratios, quotas and autoscalers."""

from typing import Any

import pytest

from tests.unit.checks.auditing import Json, container, evidence, judge, places, pod


def sized(**resources: Json) -> Json:
    return pod(container(resources=resources))


def limit_range(**fields: Json) -> Json:
    limits = [{"type": "Container", **fields}]
    return {
        "apiVersion": "v1",
        "kind": "LimitRange",
        "metadata": {"name": "all", "namespace": "shop"},
        "spec": {"limits": limits},
    }


def named(kind: str, spec: Json, version: str = "v1", name: str = "web", **metadata: Any) -> Json:
    return {
        "apiVersion": version,
        "kind": kind,
        "metadata": {"name": name, "namespace": "shop", **metadata},
        "spec": spec,
    }


def test_a_limit_without_a_request_is_the_request_too() -> None:
    assert len(judge("requests-missing", pod())) == 2
    assert judge("requests-missing", sized(limits={"cpu": 1, "memory": "1Gi"})) == []
    assert len(judge("requests-missing", sized(requests={"cpu": 1}))) == 1
    assert judge("requests-missing", sized(requests={"cpu": 1}), parameters={"resources": ["cpu"]}) == []
    whole = pod(resources={"requests": {"cpu": 1, "memory": 1}})
    assert judge("requests-missing", whole) == []


def test_what_a_limit_range_gives_counts_for_pods_yet_to_be_made() -> None:
    given = limit_range(defaultRequest={"cpu": "1"}, max={"memory": "1Gi"})
    assert judge("requests-missing", pod(), given) == []
    assert len(judge("requests-missing", pod(metadata={"uid": "u"}), given)) == 2
    least = limit_range(min={"cpu": "1", "memory": "1Mi"})
    assert judge("requests-missing", pod(), least) == []
    assert len(judge("memory-unlimited", pod(), least)) == 1
    assert judge("memory-unlimited", pod(), limit_range(max={"memory": "1Gi"})) == []
    assert judge("ephemeral-storage-unlimited", pod(), limit_range(default={"ephemeral-storage": "1Gi"})) == []
    assert len(judge("ephemeral-storage-unlimited", pod(), limit_range(default={"ephemeral-storage": 0}))) == 1


@pytest.mark.parametrize(
    ("resources", "parameters", "expected"),
    [
        ({"limits": {"memory": "2Gi"}}, {"limits": {"memory": "1Gi"}}, ["2147483648"]),
        ({"limits": {"memory": "1024Mi"}}, {"limits": {"memory": "1Gi"}}, []),
        ({}, {"limits": {"memory": "1Gi"}}, ["unset"]),
        ({"limits": {"cpu": 5}}, {"limits": {"cpu": "-1"}}, []),
        ({"requests": {"cpu": 5}}, {"requests": {"cpu": "200m"}}, ["5"]),
        ({"limits": {"cpu": 5}}, {"requests": {"cpu": "200m"}}, ["5"]),
        ({}, {"requests": {"cpu": "200m"}}, []),
        ({"limits": {"memory": "1 Gi"}}, {"limits": {"memory": "2Gi"}}, ["unreadable"]),
        ({"limits": {"memory": "1 Gi"}}, {"limits": {"memory": -1}}, []),
        ({"limits": {"memory": {"a": 1}}}, {"limits": {"memory": "2Gi"}}, ["unreadable"]),
    ],
)
def test_maxima(resources: Json, parameters: Json, expected: list[str]) -> None:
    assert evidence(judge("limits-above-maximum", sized(**resources), parameters=parameters)) == expected


@pytest.mark.parametrize(
    ("resources", "parameters", "hits"),
    [
        ({"limits": {"memory": 4, "cpu": 1}, "requests": {"memory": 2, "cpu": 1}}, {"ratio": 2}, 0),
        ({"limits": {"memory": 5, "cpu": 1}, "requests": {"memory": 2, "cpu": 1}}, {"ratio": "2"}, 1),
        ({"limits": {"memory": 4, "cpu": 9}, "requests": {"memory": 4, "cpu": 1}}, {"ratio": 1, "cpuRatio": 10}, 0),
        ({"limits": {"memory": 4, "cpu": 4}}, {"ratio": 1}, 0),
        ({"requests": {"memory": 4, "cpu": 4}}, {"ratio": 1}, 2),
        ({"limits": {"cpu": 4}, "requests": {"cpu": 0}}, {"cpuRatio": 3}, 1),
        ({"limits": {"cpu": "4 cores"}, "requests": {"cpu": 4}}, {"cpuRatio": 3}, 1),
        ({"limits": {"cpu": 4}, "requests": {"cpu": "4 cores"}}, {"cpuRatio": 3}, 1),
    ],
)
def test_ratios(resources: Json, parameters: Json, hits: int) -> None:
    assert len(judge("limit-to-request-ratio", sized(**resources), parameters=parameters)) == hits


NAMESPACE: Json = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}


def quota(**spec: Any) -> Json:
    return named("ResourceQuota", spec)


@pytest.mark.parametrize(
    ("others", "expected"),
    [
        ([], []),
        ([pod()], ["cpu,memory"]),
        ([pod(), quota(hard={"limits.cpu": 1, "requests.memory": 1})], []),
        ([pod(), quota(hard={"pods": 9, "cpu": 1})], ["memory"]),
        ([pod(), quota(hard={"cpu": 1, "memory": 1}, scopes=["BestEffort"])], ["cpu,memory"]),
        ([pod(), limit_range(default={"cpu": 1}, max={"memory": 1})], []),
    ],
)
def test_quotas_of_namespaces_with_workloads(others: list[Json], expected: list[str]) -> None:
    assert evidence(judge("namespace-without-quota", NAMESPACE, *others)) == expected


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


def test_the_path_of_a_default_names_where_to_set_it() -> None:
    assert places(judge("ephemeral-storage-unlimited", pod())) == [
        'spec.containers["app"].resources.limits.ephemeral-storage'
    ]
