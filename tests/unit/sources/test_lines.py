"""The line a hit's path stands on: of the deepest part that exists."""

import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from iocaudit.core import paths
from iocaudit.sources.documents import Document, read_documents
from iocaudit.sources.lines import LineTable


def test_lines_of_paths() -> None:
    text = """apiVersion: v1
kind: Pod
metadata:
  annotations:
    example.com/a: x
spec:
  containers:
  - image: a
    name: one
  - name: "two"
    securityContext:
      privileged: true
"""
    table = LineTable(text, 11, 11)
    assert table.line('spec.containers["two"].securityContext.privileged') == 22
    assert table.line('spec.containers["one"].securityContext.privileged') == 18
    assert table.line("spec.containers[1].name") == 20
    assert table.line('metadata.annotations["example.com/a"]') == 15
    assert table.line("nothing.here") == 11


def test_names_win_over_nothing_and_missing_parts_give_their_parent() -> None:
    table = LineTable("a:\n- name: x\n  b: 1\n- name: x\n  b: 2\n-\n  c: 1\n", 1, 1)
    assert table.line('a["x"].b') == 3
    assert table.line('a["y"].b') == 1
    assert table.line("a[1].b") == 5
    assert table.line("a[2].c") == 7
    assert table.line("a[7].c") == 1
    assert table.line("") == 1


def test_merged_fields_stand_where_they_are_written() -> None:
    text = "base: &b\n  privileged: true\nspec:\n  <<: *b\n  x: 1\nboth: {<<: [*b], y: 1}\nsame: *b\n"
    table = LineTable(text, 1, 1)
    assert table.line("spec.privileged") == 2
    assert table.line("both.privileged") == 2
    assert table.line("same.privileged") == 2
    assert table.line("spec.x") == 5
    assert LineTable('"<<": abc\nx: 1\n', 1, 1).line("x") == 2  # quoted it is a key like any other


def test_keys_are_named_as_json_spells_them() -> None:
    table = LineTable("a: 1\non: 2\n0x10: 3\n~x: 4\n", 1, 1)
    assert table.line('["true"]') == 2
    assert table.line('["16"]') == 3


@pytest.mark.parametrize("indent", ["\t", "  "])
def test_json_with_tabs_and_surrogates(indent: str) -> None:
    text = json.dumps({"a": "\U0001f600", "spec": {"b": ["x", {"name": "n", "v": 1}]}}, indent=indent)
    table = LineTable(text, 5, 5)
    assert text.splitlines()[table.line('spec.b["n"].v') - 5].strip() == '"v": 1'


def test_one_of_several_documents_and_a_broken_one_after_it() -> None:
    text = "a: 1\n...\n%YAML 1.1\n---\nb: 2\nc: 3\n---\n["
    assert LineTable(text, 1, 5).line("c") == 6
    assert LineTable(text, 1, 1).line("c") == 1


def test_the_line_is_the_one_in_the_file() -> None:
    data = b"# one\n---\n# two\n\napiVersion: v1\nkind: Pod\nspec:\n  hostPID: true\n"
    (document,) = read_documents(data, "a.yaml", lambda _v, _k: True)
    assert isinstance(document, Document)
    assert LineTable(document.text, document.text_line, document.line).line("spec.hostPID") == 8


KEYS = st.text(st.sampled_from('ab.-"\\[]/ yn1~'), min_size=1, max_size=6)
TREES = st.recursive(
    st.none(),
    lambda inner: st.lists(inner, min_size=1, max_size=3) | st.dictionaries(KEYS, inner, min_size=1, max_size=3),
    max_leaves=10,
)


def _numbered(tree: Any, path: str, leaves: dict[str, str]) -> Any:
    """The tree with a marker of its own at every leaf, and the path of each."""
    if isinstance(tree, dict):
        return {key: _numbered(child, path + paths.key(key), leaves) for key, child in tree.items()}
    if isinstance(tree, list):
        return [_numbered(child, f"{path}[{index}]", leaves) for index, child in enumerate(tree)]
    leaves[path] = f"leaf-{len(leaves)}-"
    return leaves[path]


@given(st.dictionaries(KEYS, TREES, min_size=1, max_size=4), st.integers(1, 50))
def test_every_leaf_is_found_in_yaml_and_in_json(tree: dict[str, Any], start: int) -> None:
    leaves: dict[str, str] = {}
    value = _numbered(tree, "", leaves)
    for text in (yaml.safe_dump(value, default_style='"'), json.dumps(value, indent=1)):
        table = LineTable(text, start, start)
        lines = text.splitlines()
        for path, marker in leaves.items():
            assert marker in lines[table.line(path) - start]


@given(st.dictionaries(KEYS, TREES, min_size=1, max_size=4), st.booleans())
def test_the_places_that_were_noted_are_those_of_the_text(tree: dict[str, Any], flow: bool) -> None:
    leaves: dict[str, str] = {}
    value = _numbered(tree, "", leaves)
    text = yaml.safe_dump({"apiVersion": "v1", "kind": "X"} | value, default_flow_style=flow, width=20)
    for document in read_documents(f"# c\n---\n{text}".encode(), "a.yaml", lambda _v, _k: True):
        assert isinstance(document, Document)
        assert document.places is not None
        noted = LineTable.of(document)
        parsed = LineTable(document.text, document.text_line, document.line)
        assert [noted.line(path) for path in leaves] == [parsed.line(path) for path in leaves]


@pytest.mark.parametrize(
    "text",
    [
        "spec:\n  a: 1\n  a:\n    x: [1, 2]\n  a: 2\n  b: 3\n",
        "spec: &s\n  b: 1\nother: *s\n",
        "spec:\n  <<: {b: 1}\n  c: 1\n",
        "a: [1, [2, {c: 1}], 3]\nspec:\n  b: 1\n",
    ],
)
def test_what_the_places_cannot_say_is_read_from_the_text(text: str) -> None:
    (document,) = read_documents(f"apiVersion: v1\nkind: Pod\n{text}".encode(), "a.yaml", lambda _v, _k: True)
    assert isinstance(document, Document)
    parsed = LineTable(document.text, 1, 1)
    assert LineTable.of(document).line("spec.b") == parsed.line("spec.b") > 1
