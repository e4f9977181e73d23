"""A resource and the pods visited in it."""

import gc
import weakref
from typing import Any

import pytest

from iocaudit.core.resource import ADMISSION, Resource
from iocaudit.knowledge.pods.places import forget_pods, pods_of


class Raw(dict[str, Any]):
    """A map that can tell when it is gone."""


def test_an_object_whose_pods_are_forgotten_is_freed_without_the_garbage_collector() -> None:
    raw = Raw(apiVersion="v1", kind="Pod", metadata={"name": "web"}, spec={"containers": [{"name": "app"}]})
    gone = weakref.ref(raw)
    gc.disable()
    try:
        resource = Resource(raw, ADMISSION)
        del raw
        first = pods_of(resource)[0].containers[0].path
        forget_pods(resource)
        assert pods_of(resource)[0].containers[0].path == first, "they are visited anew if asked for"
        forget_pods(resource)
        del resource
        assert gone() is None
    finally:
        gc.enable()


STEPS = {"steps": [{"name": "app"}]}
TEMPLATE = {"spec": {"containers": [{"name": "app"}]}}


@pytest.mark.parametrize(
    ("version", "kind", "spec", "path"),
    [
        ("apps/v1beta2", "Deployment", {"template": TEMPLATE}, "spec.template.spec"),
        ("extensions/v1beta1", "DaemonSet", {"template": TEMPLATE}, "spec.template.spec"),
        (
            "batch/v1beta1",
            "CronJob",
            {"jobTemplate": {"spec": {"template": TEMPLATE}}},
            "spec.jobTemplate.spec.template.spec",
        ),
        ("apps.openshift.io/v1", "DeploymentConfig", {"template": TEMPLATE}, "spec.template.spec"),
        ("v1", "DeploymentConfig", {"template": TEMPLATE}, "spec.template.spec"),
        ("tekton.dev/v1", "Pipeline", {"tasks": [{"name": "a", "taskSpec": STEPS}]}, 'spec.tasks["a"].taskSpec'),
        ("tekton.dev/v1", "Pipeline", {"finally": [{"name": "a", "taskSpec": STEPS}]}, 'spec.finally["a"].taskSpec'),
        (
            "tekton.dev/v1beta1",
            "PipelineRun",
            {"pipelineSpec": {"finally": [{"name": "a", "taskSpec": STEPS}]}},
            'spec.pipelineSpec.finally["a"].taskSpec',
        ),
    ],
)
def test_pods_are_found_wherever_a_kind_holds_them(version: str, kind: str, spec: dict[str, Any], path: str) -> None:
    resource = Resource({"apiVersion": version, "kind": kind, "metadata": {"name": "web"}, "spec": spec}, ADMISSION)
    assert [(pod.path, [one.name for one in pod.containers]) for pod in pods_of(resource)] == [(path, ["app"])]
