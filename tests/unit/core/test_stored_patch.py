"""A stored patch undoes what it says, and an object that changed meanwhile refuses it."""

import copy
import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from iocaudit.core.check import Check
from iocaudit.core.hit import Hit
from iocaudit.core.json_patch import apply
from iocaudit.core.repair import Repair, UnfixableError, discard, put, remove
from iocaudit.core.report import ReportedHit
from iocaudit.core.resource import CLUSTER, Resource
from iocaudit.core.stored_patch import MOST, stored_patch
from iocaudit.core.world import World
from iocaudit.core.yaml_write import block
from iocaudit.engine.audit import Auditor
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.engine.policy_set import PolicySet
from tests.unit.checks.test_repairs import MECHANICAL

CATALOGUE = builtin_catalogue()
APP = 'spec.containers["app"]'
NAME = {"op": "test", "path": "/spec/containers/1/name", "value": "app"}
CANARY = "s3cr3t-canary"
Json = dict[str, Any]


def pod(**context: Any) -> Json:
    app = {"name": "app", "image": "i", **({"securityContext": context} if context else {})}
    return {"spec": {"hostNetwork": True, "containers": [{"name": "log"}, app]}}


def patch_text(raw: Json, *hits: Hit) -> list[Json]:
    found = stored_patch(raw, hits)
    assert found is not None
    operations: list[Json] = json.loads(found.patch)
    return operations


def test_what_is_taken_away_or_replaced_is_named_with_its_value() -> None:
    gone = Hit(f"{APP}.securityContext.privileged", "m", repair=remove())
    assert patch_text(pod(privileged=True, runAsUser=0), gone) == [
        NAME,
        {"op": "test", "path": "/spec/containers/1/securityContext/privileged", "value": True},
        {"op": "remove", "path": "/spec/containers/1/securityContext/privileged"},
    ]
    other = Hit("spec.hostNetwork", "m", repair=put(False))
    assert patch_text(pod(), other) == [
        {"op": "test", "path": "/spec/hostNetwork", "value": True},
        {"op": "replace", "path": "/spec/hostNetwork", "value": False},
    ]


def test_where_something_is_added_there_must_be_nothing() -> None:
    patch = patch_text(pod(), Hit(f"{APP}.securityContext.runAsNonRoot", "m", repair=put(True)))
    assert patch[1] == {"op": "test", "path": "/spec/containers/1/securityContext", "value": None}
    assert apply(pod(), patch) == pod(runAsNonRoot=True)
    with pytest.raises(UnfixableError):
        apply(pod(readOnlyRootFilesystem=True), patch)


def test_an_item_at_a_position_is_told_by_what_names_it() -> None:
    raw = {"mounts": [{"name": "a", "mountPath": "/a"}, {"name": "a", "mountPath": "/b"}]}
    patch = patch_text(raw, Hit("mounts", "m", repair=put(True, "mounts[1].readOnly")))
    assert [one["path"] for one in patch if one["op"] == "test"] == [
        "/mounts/1/name",
        "/mounts/1/mountPath",
        "/mounts/1/readOnly",
    ]
    with pytest.raises(UnfixableError):
        apply({"mounts": raw["mounts"][::-1]}, patch)


def test_values_of_a_list_are_looked_at_before_they_go() -> None:
    raw = {"l": ["a", "b", "a"]}
    patch = patch_text(raw, Hit("l", "m", repair=discard("a")))
    assert apply(raw, patch) == {"l": ["b"]}
    with pytest.raises(UnfixableError):
        apply({"l": ["a", "b", "c"]}, patch)


def test_hits_see_what_those_before_them_did() -> None:
    hits = [
        Hit(f"{APP}.securityContext.runAsNonRoot", "m", repair=put(True)),
        Hit(f"{APP}.securityContext.privileged", "m", repair=put(False)),
        Hit("spec.hostNetwork", "m"),
        Hit('spec.containers["gone"].tty', "m", repair=put(False)),
        Hit("spec.hostPID", "m", repair=put(False, safe=True)),
    ]
    found = stored_patch(pod(), hits)
    assert found is not None
    assert (found.hits, found.safe) == (3, False)
    assert apply(pod(), json.loads(found.patch))["spec"]["containers"][1]["securityContext"] == {
        "runAsNonRoot": True,
        "privileged": False,
    }
    safe = stored_patch(pod(), hits[-1:])
    assert safe is not None
    assert (safe.hits, safe.safe) == (1, True)
    assert stored_patch(pod(), hits[2:4]) is None


def test_its_length_has_a_bound_and_what_is_left_out_is_not_counted() -> None:
    names = [f"container-{number}" for number in range(500)]
    raw = {"spec": {"containers": [{"name": name} for name in names]}}
    hits = [Hit(f'spec.containers["{name}"].tty', "m", repair=put(False)) for name in names]
    found = stored_patch(raw, hits)
    assert found is not None
    assert MOST - 300 < len(found.patch) <= MOST
    after = apply(raw, json.loads(found.patch))
    assert sum("tty" in one for one in after["spec"]["containers"]) == found.hits < 500
    assert len(block(json.loads(found.patch))) < 4 * MOST


@pytest.mark.parametrize("depth", [8, 9, 300, 900, 20_000])
@pytest.mark.parametrize("repair", [remove(), discard("x")])
def test_what_is_nested_too_deep_is_left_alone(depth: int, repair: Repair) -> None:
    """A custom resource may hold anything; an operator must not fall over it."""
    deep: Any = "x"
    for _ in range(depth - 1):
        deep = {"a": deep}
    found = stored_patch({"spec": {"l": [deep, "x"]}}, [Hit("spec.l", "m", repair=repair)])
    assert (found is None) == (depth > 8 and repair == remove())
    twin: Any = "x"
    for _ in range(depth - 1):
        twin = {"a": twin}
    by_value = stored_patch({"spec": {"l": [deep, "x"]}}, [Hit("spec.l", "m", repair=discard(twin))])
    assert by_value is None or depth <= 9


@given(st.lists(st.sampled_from(["a", "b", "c", "d"]), unique=True, min_size=1), st.data())
def test_a_list_in_another_order_refuses_it(names: list[str], data: st.DataObject) -> None:
    raw = {"containers": [{"name": name, "tty": True} for name in names]}
    wanted = data.draw(st.sampled_from(names))
    patch = patch_text(raw, Hit(f'containers["{wanted}"].tty', "m", repair=remove()))
    order = data.draw(st.permutations(names))
    moved = {"containers": [{"name": name, "tty": True} for name in order]}
    if order.index(wanted) == names.index(wanted):
        assert "tty" not in apply(moved, patch)["containers"][order.index(wanted)]
    else:
        with pytest.raises(UnfixableError):
            apply(moved, patch)


def _found(check: Check, resources: list[Resource]) -> list[tuple[Resource, list[ReportedHit]]]:
    world = World()
    for resource in resources:
        world.add(resource)
    catalogue = CATALOGUE.select({check.id})
    auditor = Auditor(catalogue, PolicySet(catalogue, profile="strict"), world)
    return [(resource, auditor.audit(resource).found) for resource in resources]


def _with_secrets(value: Any) -> Any:
    """The object with a secret wherever people put one."""
    if isinstance(value, list):
        return [_with_secrets(item) for item in value]
    if not isinstance(value, dict):
        return value
    found = {key: _with_secrets(item) for key, item in value.items()}
    if "image" in found:
        found |= {"env": [{"name": "PASSWORD", "value": CANARY}], "args": [f"--password={CANARY}"]}
    if "name" in found and "namespace" in found:
        found["annotations"] = {**found.get("annotations", {}), "note": CANARY}
    return found


@pytest.mark.parametrize("check", [one for one in CATALOGUE if one.id in MECHANICAL], ids=lambda check: check.id)
def test_the_bad_example_is_repaired_as_it_is_stored(check: Check) -> None:
    resources = [Resource(_with_secrets(raw), CLUSTER) for raw in yaml.safe_load_all(check.doc.bad)]
    patched, after = 0, []
    for resource, found in _found(check, resources):
        before = copy.deepcopy(resource.raw)
        patch = stored_patch(resource.raw, [one.hit for one in found])
        assert resource.raw == before
        if patch is None:
            after.append(resource)
            continue
        patched += 1
        assert CANARY not in patch.patch
        assert patch.hits == len(found)
        operations = json.loads(patch.patch)
        assert operations == yaml.safe_load(block(operations))
        done = apply(resource.raw, operations)
        after.append(Resource(done, CLUSTER))
        with pytest.raises(UnfixableError):
            apply(done, operations)
    assert patched
    assert not [one for _, found in _found(check, after) for one in found]
