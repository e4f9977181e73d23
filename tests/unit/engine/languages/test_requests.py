"""What rules are handed: bounded inventories, and pods of templates put back where they stand."""

import pytest

from iocaudit.core.hit import Hit
from iocaudit.core.kinds import CONFIG_MAP
from iocaudit.core.resource import ADMISSION, Resource
from iocaudit.core.world import World
from iocaudit.engine.languages import requests
from iocaudit.engine.languages.requests import (
    TooLargeError,
    in_template,
    inventory_of,
    namespace_of,
    pod_request,
    request_for,
)
from iocaudit.knowledge.pods.places import pods_of
from iocaudit.sources.admission_review import review_of
from tests.support.auditing import asked, cron_job, pod, world_of


def _config_map(name: str, text: str) -> Resource:
    return Resource(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "a"}, "data": {"x": text}},
        ADMISSION,
    )


def test_an_inventory_is_one_value_until_its_kinds_change() -> None:
    world, subject = world_of([_config_map("a", "x")]), Resource(pod(), ADMISSION)
    first = inventory_of((CONFIG_MAP,), subject, world)
    assert inventory_of((CONFIG_MAP,), subject, world) is first
    world.put(_config_map("b", "x"))
    assert set(inventory_of((CONFIG_MAP,), subject, world)["namespace"]["a"]["v1"]["ConfigMap"]) == {"a", "b"}


def test_an_inventory_that_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "MOST_INVENTORY", 1000)
    world, subject = world_of([_config_map("a", "x" * 2000)]), Resource(pod(), ADMISSION)
    with pytest.raises(TooLargeError, match="bytes of JSON, and may be 1000"):
        inventory_of((CONFIG_MAP,), subject, world)


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("spec", "spec.jobTemplate.spec.template.spec"),
        ('spec.containers["app"]', 'spec.jobTemplate.spec.template.spec.containers["app"]'),
        ("metadata.labels", "spec.jobTemplate.spec.template.metadata.labels"),
        ("specific", "spec.jobTemplate.spec.template.spec"),
    ],
)
def test_a_hit_on_a_made_pod_stands_in_its_template(path: str, place: str) -> None:
    (made,) = pods_of(Resource(cron_job(pod()["spec"]), ADMISSION))
    assert in_template(Hit(path, "x"), made).path == place


def test_objects_of_cluster_scope_are_in_no_namespace() -> None:
    role = Resource(
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "r"}}, ADMISSION
    )
    assert namespace_of(role, World()) is None
    assert request_for(role, None, None, World())["namespace"] == ""


def test_a_file_without_a_namespace_means_the_default_one() -> None:
    raw = pod()
    del raw["metadata"]["namespace"]
    assert request_for(Resource(raw, ADMISSION), None, asked(), World(default_namespace="dev"))["namespace"] == "dev"


def test_a_rule_is_told_of_the_user_what_the_api_server_tells() -> None:
    """That of a token that is bound to a node, by which rules tell one node from another."""
    user = {
        "username": "system:serviceaccount:kube-system:agent",
        "uid": "0d4a",
        "groups": ["system:authenticated"],
        "extra": {"authentication.kubernetes.io/node-name": ["node-1"], "b": ["c", "d"]},
    }
    review = review_of({"uid": "1", "operation": "CREATE", "userInfo": user, "object": pod(), "namespace": "shop"})
    assert review.resource is not None
    assert request_for(review.resource, None, review.request, World())["userInfo"] == user
    (made,) = pods_of(Resource(cron_job(pod()["spec"]), ADMISSION))
    assert pod_request(made, review.request, World())["userInfo"] == user
