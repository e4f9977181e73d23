"""What tells our own install from what somebody put under its names."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from iocaudit.core.resource import CLUSTER, Resource
from iocaudit.core.world import World
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.install.rbac import bindings, cluster_roles, namespaced_roles
from iocaudit.knowledge.rbac import own
from iocaudit.knowledge.rbac.own import bears_own_name, is_own

Json = dict[str, Any]


def installed(namespace: str) -> list[Json]:
    return [*cluster_roles(builtin_catalogue()), *bindings(namespace), *namespaced_roles(namespace)]


OURS = installed("iocaudit")
NAMES = [f"{raw['kind']} {raw['metadata']['name']}" for raw in OURS]


def known(raw: Json, namespace: str = "iocaudit") -> bool:
    return is_own(Resource(raw, CLUSTER), World(own_namespace=namespace))


@pytest.mark.parametrize("position", range(len(OURS)), ids=NAMES)
@pytest.mark.parametrize("namespace", ["iocaudit", "security"])
def test_what_the_manifests_install_is_known_in_its_namespace_only(position: int, namespace: str) -> None:
    raw = installed(namespace)[position]
    assert known(raw, namespace)
    placed = raw["metadata"].get("namespace") == namespace or "subjects" in raw
    assert known(raw, "elsewhere") is not placed


@pytest.mark.parametrize("raw", OURS, ids=NAMES)
def test_labels_and_the_order_of_lists_say_nothing(raw: Json) -> None:
    other = copy.deepcopy(raw)
    other["metadata"]["labels"] = {"any": "thing"}
    for rule in other.get("rules", ()):
        for value in rule.values():
            value.reverse()
    other.get("rules", []).reverse()
    assert known(other)


def _changed(raw: Json) -> list[Json]:
    """The object with one thing changed, each way there is."""
    found: list[Json] = []

    def change(make: Callable[[Json], object]) -> None:
        other = copy.deepcopy(raw)
        make(other)
        found.append(other)

    change(lambda one: one["metadata"].update(name=one["metadata"]["name"] + "-2"))
    if "rules" in raw:
        for rule in ({"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}, {"nonResourceURLs": ["*"]}):
            change(lambda one, rule=rule: one["rules"].append({"verbs": ["*"], **rule}))  # type: ignore[misc]
        change(lambda one: one["rules"].pop())
        change(lambda one: one.update(aggregationRule={"clusterRoleSelectors": [{}]}))
        for at, rule in enumerate(raw["rules"]):
            for key in rule:
                change(lambda one, at=at, key=key: one["rules"][at][key].append("*"))  # type: ignore[misc]
                change(lambda one, at=at, key=key: one["rules"][at].pop(key))  # type: ignore[misc]
        return found
    mallory = {"kind": "User", "name": "mallory"}
    change(lambda one: one["subjects"].append(mallory))
    change(lambda one: one.update(subjects=[mallory]))
    change(lambda one: one.update(subjects=[]))
    change(lambda one: one["subjects"][0].update(namespace="shop"))
    change(lambda one: one["subjects"][0].update(kind="User"))
    change(lambda one: one["roleRef"].update(name="cluster-admin"))
    change(lambda one: one["roleRef"].update(kind="Other"))
    return found


@pytest.mark.parametrize("raw", OURS, ids=NAMES)
def test_any_other_content_is_not_ours(raw: Json) -> None:
    others = _changed(raw)
    assert len(others) > 3
    assert [other for other in others if known(other)] == []


def test_a_name_of_ours_is_told_whatever_it_holds() -> None:
    world = World()
    for raw in OURS:
        foreign = {**raw, "rules": [], "subjects": []}
        assert bears_own_name(Resource(foreign, CLUSTER), world)
    elsewhere = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "iocaudit-operator", "namespace": "shop"},
    }
    assert not bears_own_name(Resource(elsewhere, CLUSTER), world)


def test_the_list_is_that_of_this_version() -> None:
    listed = json.loads(Path(own.__file__).with_name("own.json").read_text("utf-8"))
    assert [raw["metadata"]["name"] for raw in listed] == [raw["metadata"]["name"] for raw in OURS]
