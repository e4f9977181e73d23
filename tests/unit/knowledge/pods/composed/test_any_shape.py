"""Whatever stands where a composed pod is read from: no error, and every hit at a path that can be read."""

from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iocaudit.core import paths
from iocaudit.core.kinds import PODS, Kind
from iocaudit.core.resource import CLUSTER, Resource
from iocaudit.core.world import World
from iocaudit.engine.audit import Auditor
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.engine.policy_set import PolicySet
from iocaudit.knowledge.outline import outline
from iocaudit.knowledge.pods.places import pods_of

_CATALOGUE = builtin_catalogue()
_COMPOSED = [kind for kind in PODS if any(place.style not in ("template", "spec") for place in kind.pods)]
_AUDITOR = Auditor(_CATALOGUE, PolicySet(_CATALOGUE, profile="strict"), World())
_MAPS = (
    *("container", "script", "containerSet", "templateDefaults", "podMetadata", "metadata", "labels", "workflowSpec"),
    *("taskSpec", "pipelineSpec", "podTemplate", "taskRunTemplate", "stepTemplate", "driver", "executor", "template"),
    *("spec", "predictor", "workerSpec", "model", "securityContext", "hostPath", "envVars", "resources", "limits"),
)
_LISTS = (
    *("templates", "initContainers", "sidecars", "containers", "volumes", "volumeMounts", "env", "steps", "tasks"),
    *("finally", "taskRunSpecs", "tolerations"),
)
_LEAVES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, "", "x", "/etc", "main", "{", "hostPID: true", [], {}, [1], "a: &x b"),
    '{"containers": [{"name": "main", "image": "y", "securityContext": {"privileged": true}}], "volumes": [1, {}]}',
)
_NAMES = (
    *("name", "image", "path", "mountPath", "value", "hostNetwork", "podSpecPatch", "serviceAccountName", "runAsUser"),
    *("privileged", "memory", "coreLimit", "claimName", "source"),
)


def _grown(random: Random, depth: int) -> Any:
    """Maps and lists of names that mean something somewhere, now and then of a wrong type."""
    if depth == 0 or random.random() < 0.1:
        return random.choice(_LEAVES)
    found: dict[str, Any] = {name: _grown(random, depth - 1) for name in random.sample(_MAPS, random.randint(0, 4))}
    for name in random.sample(_LISTS, random.randint(0, 4)):
        found[name] = [_grown(random, depth - 1) for _ in range(random.randint(0, 2))]
    for name in random.sample(_NAMES, random.randint(0, 4)):
        found[name] = random.choice(_LEAVES)
    return found


@pytest.mark.parametrize("kind", _COMPOSED, ids=str)
@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_any_shape_is_audited_without_an_error(kind: Kind, seed: int) -> None:
    spec = _grown(Random(seed), 5)
    raw = {"apiVersion": kind.api_version, "kind": kind.name, "metadata": {"name": "a", "namespace": "shop"}}
    resource = Resource({**raw, "spec": spec}, CLUSTER)
    report = _AUDITOR.audit(resource)
    assert report.faults == []
    hits = [(found.check, found.hit.path, found.hit.evidence) for found in report.found]
    assert len(hits) == len(set(hits)), "each once"
    for _, path, _ in hits:
        assert paths.parse(path)
    whole = [(pod.path, pod.labels, pod.service_account, pod.host_network) for pod in pods_of(resource)]
    assert [(p.path, p.labels, p.service_account, p.host_network) for p in pods_of(outline(resource))] == whole
