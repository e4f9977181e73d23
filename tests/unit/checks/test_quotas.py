"""Quotas of namespaces with workloads."""

from typing import Any

import pytest

from tests.support.auditing import Json, evidence, judge, pod


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
