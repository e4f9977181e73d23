"""What is taken away: by people and programs, and not by what cleans up all day."""

from typing import Any

import pytest

from tests.support.detection_samples import seen

CLEANER = "system:serviceaccount:kube-system:namespace-controller"


def removed(resource: str, group: str = "", verb: str = "delete", user: str = "alice", **given: Any) -> set[str]:
    target = {"resource": resource, "apiGroup": group, "namespace": "shop", "name": "x"}
    return {
        *seen({"verb": verb, "user": {"username": user}, "objectRef": target, "responseStatus": {"code": 200}} | given)
    }


@pytest.mark.parametrize(
    ("resource", "group", "rule"),
    [
        ("networkpolicies", "networking.k8s.io", "isolation-removed"),
        ("networkpolicies", "crd.projectcalico.org", "isolation-removed"),
        ("ciliumclusterwidenetworkpolicies", "cilium.io", "isolation-removed"),
        ("resourcequotas", "", "limits-removed"),
        ("limitranges", "", "limits-removed"),
        ("namespaces", "", "part-of-cluster-deleted"),
        ("nodes", "", "part-of-cluster-deleted"),
        ("customresourcedefinitions", "apiextensions.k8s.io", "part-of-cluster-deleted"),
    ],
)
def test_by_a_person_and_not_by_the_cluster(resource: str, group: str, rule: str) -> None:
    assert rule in removed(resource, group)
    assert rule not in removed(resource, group, user=CLEANER)
    assert rule not in removed(resource, group, verb="update")
    assert rule not in removed(resource, group, responseStatus={"code": 404})


def test_a_program_that_removes_a_namespace_is_quiet() -> None:
    assert removed("namespaces", user="system:serviceaccount:argocd:argocd-application-controller") == set()


def test_all_of_a_kind_at_once() -> None:
    assert "collection-deleted" in removed("secrets", verb="deletecollection")
    assert removed("leases", "coordination.k8s.io", verb="deletecollection") == set()


def many(count: int, **given: Any) -> list[dict[str, Any]]:
    found = []
    for number in range(count):
        raw = {"verb": "delete", "user": {"username": "alice"}, "responseStatus": {"code": 200}} | given
        target = {"namespace": "shop", "name": f"x-{number}"} | raw["objectRef"]
        found.append({**raw, "objectRef": target, "stageTimestamp": f"2026-11-30T10:00:{number:02}Z"})
    return found


def test_workloads_that_are_scaled_to_nothing_are_taken_away_and_pods_by_the_score() -> None:
    scale = {"resource": "deployments", "apiGroup": "apps", "subresource": "scale"}
    stopped = many(10, verb="patch", objectRef=scale, requestObject={"spec": {"replicas": 0}})
    assert "workloads-destroyed" in seen(*stopped)
    grown = many(10, verb="patch", objectRef=scale, requestObject={"spec": {"replicas": 3}})
    assert "workloads-destroyed" not in seen(*grown)
    assert "workloads-destroyed" not in seen(*many(39, objectRef={"resource": "pods"}))
    assert "workloads-destroyed" in seen(*many(40, objectRef={"resource": "pods"}))
