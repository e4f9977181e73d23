"""Kinds are compared by value, and a declared one is one object everywhere."""

from __future__ import annotations

import ast
import copy
import os
import pickle
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import iocaudit
from iocaudit.core.kinds import CONNECTIONS, KINDS, POD, PODS, Kind
from iocaudit.core.kinds.unknown import SHAPED
from iocaudit.core.resource import CLUSTER, Resource

DECLARED = (*KINDS.values(), *CONNECTIONS, SHAPED)
words = st.text("ab", max_size=2)
kinds = st.builds(Kind, words, words, words, words, st.booleans())


@given(kinds, kinds)
def test_equal_are_those_of_one_group_and_name(one: Kind, other: Kind) -> None:
    assert (one == other) is (one.key == other.key)
    assert (one != other) is (one.key != other.key)
    assert len({one, other}) == (1 if one.key == other.key else 2)


@given(kinds)
def test_a_kind_that_nobody_declares_survives_a_copy_with_all_it_says(kind: Kind) -> None:
    for again in (pickle.loads(pickle.dumps(kind)), copy.deepcopy(kind)):
        assert again == kind
        assert repr(again) == repr(kind)


def test_a_kind_equals_nothing_else() -> None:
    assert POD.key != POD
    assert str(POD) != POD
    assert replace(POD, group="metrics.k8s.io") != POD
    assert replace(POD, version="v2") in PODS


@pytest.mark.parametrize("kind", DECLARED, ids=str)
def test_a_declared_kind_is_one_object(kind: Kind) -> None:
    for again in (pickle.loads(pickle.dumps(kind)), copy.copy(kind), copy.deepcopy(kind)):
        assert again is kind


def test_another_process_finds_a_kind_by_its_own_hash() -> None:
    """Hashes of strings differ from process to process, and so must those of kinds that are sent."""
    own = Kind("example.com", "v1", "Widget", "widgets")
    resource = Resource({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}}, CLUSTER)
    sent = pickle.dumps(({POD: 1, own: 2}, own, resource))
    program = (
        "import pickle, sys\n"
        "from iocaudit.core.kinds import POD, Kind\n"
        "by_kind, own, resource = pickle.loads(sys.stdin.buffer.read())\n"
        "assert resource.kind is POD and resource.name == 'a'\n"
        "assert by_kind[POD] == 1 and by_kind[own] == by_kind[Kind('example.com', '', 'Widget', '')] == 2\n"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "1"}
    done = subprocess.run(
        [sys.executable, "-c", program], input=sent, capture_output=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr.decode()


def test_no_kind_is_declared_twice() -> None:
    declared = Counter(pair for file in Path(iocaudit.__file__).parent.rglob("*.py") for pair in _declarations(file))
    assert declared[("", "ConfigMap")] == 1
    assert [pair for pair, count in declared.items() if count > 1] == []


def _declarations(file: Path) -> Iterator[tuple[str, str]]:
    """The group and name of every ``Kind(…)`` in a module; a group that is not a literal by its variable's value."""
    tree = ast.parse(file.read_text())
    names = {
        target.id: node.value.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Kind":
            parts = [
                part.value if isinstance(part, ast.Constant) else names.get(ast.unparse(part)) for part in node.args
            ]
            if len(parts) > 2 and isinstance(parts[0], str) and isinstance(parts[2], str):
                yield parts[0], parts[2]
