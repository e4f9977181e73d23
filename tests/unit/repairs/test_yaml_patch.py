"""JSON Patches carried out on text: the value that was meant, and everything else as it was written."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iocaudit.core.json_patch import apply, pointer
from iocaudit.core.repair import UnfixableError
from iocaudit.repairs.yaml_patch import TextPatch
from iocaudit.sources.yaml_builder import build
from tests.unit.repairs.yaml_styles import Styled

_KEYS = st.sampled_from(["a", "b", "name", "spec", "x/y", "k~", "on", "w"])
_SCALARS = st.none() | st.booleans() | st.integers(0, 9) | st.sampled_from(["text", "no", "a b", "é", "#x", "{{ x }}"])
_VALUES: st.SearchStrategy[Any] = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=4),
    max_leaves=14,
)
_ROOTS = st.dictionaries(_KEYS, _VALUES, min_size=1, max_size=4)
_NEW = st.booleans() | st.just("RuntimeDefault") | st.just({"type": "RuntimeDefault"}) | st.just({"drop": ["ALL"]})


def _places(value: Any, tokens: tuple[Any, ...] = ()) -> list[tuple[tuple[Any, ...], Any]]:
    found = [(tokens, value)]
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in entries:
        found += _places(item, (*tokens, key))
    return found


def _read(text: str) -> Any:
    return next(build(text)).value


def _within(part: str, whole: str) -> bool:
    """Whether ``part`` is ``whole`` with characters left out."""
    left = iter(whole)
    return all(character in left for character in part)


def _patched(text: str, *operations: dict[str, Any]) -> str:
    patch = TextPatch(text)
    patch.apply(operations)
    return patch.text()


@settings(max_examples=400)
@given(_ROOTS, st.randoms(use_true_random=False), st.data())
def test_an_addition_leaves_every_character(root: Any, random: Random, data: st.DataObject) -> None:
    styled = Styled(root, random)
    assert _read(styled.text) == root
    tokens, holder = data.draw(st.sampled_from([one for one in _places(root) if isinstance(one[1], dict | list)]))
    token = "new" if isinstance(holder, dict) else "-"
    operation = {"op": "add", "path": pointer([*tokens, token]), "value": data.draw(_NEW)}
    changed = _patched(styled.text, operation)
    assert _read(changed) == apply(root, [operation])
    assert _within(styled.text, changed)


@settings(max_examples=400)
@given(_ROOTS, st.randoms(use_true_random=False), st.data())
def test_a_removal_adds_nothing_and_keeps_the_comments_of_others(
    root: Any, random: Random, data: st.DataObject
) -> None:
    styled = Styled(root, random)
    tokens, _ = data.draw(st.sampled_from([one for one in _places(root) if one[0]]))
    operation = {"op": "remove", "path": pointer(tokens)}
    changed = _patched(styled.text, operation)
    assert _read(changed) == apply(root, [operation])
    written = "".join(changed.replace("{}", "").replace("[]", "").split())
    assert _within(written, "".join(styled.text.split()))
    gone = "/".join(("", *map(str, tokens)))
    for place, comment in styled.above.items():
        assert comment in changed or place.startswith(f"{gone}/")
    for place, comment in styled.beside.items():
        assert comment in changed or f"{place}/".startswith(f"{gone}/")


@settings(max_examples=300)
@given(_ROOTS, st.randoms(use_true_random=False), st.data())
def test_a_replaced_scalar_changes_nothing_else(root: Any, random: Random, data: st.DataObject) -> None:
    styled = Styled(root, random)
    scalars = [one for one in _places(root) if not isinstance(one[1], dict | list)]
    if not scalars:
        return
    tokens, _ = data.draw(st.sampled_from(scalars))
    operation = {"op": "replace", "path": pointer(tokens), "value": data.draw(_NEW)}
    changed = _patched(styled.text, operation)
    assert _read(changed) == apply(root, [operation])
    for comment in (*styled.above.values(), *styled.beside.values()):
        assert comment in changed
    assert abs(changed.count("\n") - styled.text.count("\n")) <= 1


@settings(max_examples=300)
@given(_ROOTS, st.randoms(use_true_random=False), st.data())
def test_several_operations_make_what_they_say_or_are_refused(root: Any, random: Random, data: st.DataObject) -> None:
    styled = Styled(root, random)
    patch, value = TextPatch(styled.text), root
    for _ in range(data.draw(st.integers(2, 5))):
        tokens, found = data.draw(st.sampled_from(_places(value)))
        if isinstance(found, dict | list) and data.draw(st.booleans()):
            token = data.draw(_KEYS) if isinstance(found, dict) else "-"
            operation = {"op": "add", "path": pointer([*tokens, token]), "value": data.draw(_NEW)}
        elif tokens:
            operation = {"op": "remove", "path": pointer(tokens)}
        else:
            continue
        try:
            patch.apply([operation])
        except UnfixableError:
            continue
        value = apply(value, [operation])
    try:
        text = patch.text()
    except UnfixableError:
        return
    assert _read(text) == value


@given(_ROOTS, st.sampled_from([None, 1, 2, 4, "\t"]), st.data())
def test_json_stays_json(root: Any, indent: int | str | None, data: st.DataObject) -> None:
    text = json.dumps(root, indent=indent)
    tokens, holder = data.draw(st.sampled_from(_places(root)))
    if isinstance(holder, dict | list):
        token = "new" if isinstance(holder, dict) else "-"
        operation = {"op": "add", "path": pointer([*tokens, token]), "value": data.draw(_NEW)}
    else:
        operation = {"op": "remove", "path": pointer(tokens)}
    assert json.loads(_patched(text, operation)) == apply(root, [operation])


def _refusal(text: str, operation: dict[str, Any]) -> str:
    with pytest.raises(UnfixableError) as raised:
        _patched(text, operation)
    return str(raised.value)


def test_what_stands_in_more_than_one_place_is_refused() -> None:
    text = "a: &x {p: 1}\nb: *x\nc:\n  <<: *x\n  q: 1\n"
    assert "more than one place" in _refusal(text, {"op": "remove", "path": "/a/p"})
    assert "more than one place" in _refusal(text, {"op": "add", "path": "/b/new", "value": 1})
    assert "more than one place" in _refusal(text, {"op": "remove", "path": "/a"})
    assert "a merge" in _refusal(text, {"op": "remove", "path": "/c/p"})
    # What is the map's own can change; an anchor that nobody names is none.
    assert _read(_patched(text, {"op": "remove", "path": "/c/q"}))["c"] == {"p": 1}
    assert _patched("a: &x {p: 1, q: 2}\n", {"op": "remove", "path": "/a/p"}) == "a: &x {q: 2}\n"


def test_a_key_that_is_there_twice_is_refused() -> None:
    assert "more than once" in _refusal("a: 1\na: 2\n", {"op": "remove", "path": "/a"})


def test_a_whole_block_is_not_replaced() -> None:
    assert "as a whole" in _refusal("a:\n  b: 1\n", {"op": "replace", "path": "/a", "value": 1})


def test_a_refused_patch_leaves_nothing_behind() -> None:
    patch = TextPatch("a: 1\nb: &x 2\nc: *x\n")
    with pytest.raises(UnfixableError):
        patch.apply([{"op": "remove", "path": "/a"}, {"op": "remove", "path": "/b"}])
    assert patch.text() == "a: 1\nb: &x 2\nc: *x\n"


def test_lone_carriage_returns_are_refused() -> None:
    with pytest.raises(UnfixableError, match="line feeds"):
        TextPatch("a: 1\rb: 2\r")


@pytest.mark.parametrize(
    ("before", "operation", "after"),
    [
        ("- a: 1\n  # why\n  b: 2\n", {"op": "remove", "path": "/0/a"}, "- # why\n  b: 2\n"),
        ("a:\n  - x\n  - y # z\n", {"op": "add", "path": "/a/-", "value": "n"}, 'a:\n  - x\n  - y # z\n  - "n"\n'),
        ("a:\n- x\n# end\n", {"op": "add", "path": "/b", "value": ["z"]}, "a:\n- x\nb:\n- z\n# end\n"),
        ("a: |+\n  t\n\nb: 1", {"op": "remove", "path": "/b"}, "a: |+\n  t\n\n"),
        ("a:\n  b: |\n    t\n", {"op": "add", "path": "/a/c", "value": True}, "a:\n  b: |\n    t\n  c: true\n"),
        ("a: {b: 1, # one\n  c: 2}\n", {"op": "remove", "path": "/a/b"}, "a: { # one\n  c: 2}\n"),
        (
            "a: {\n  b: 1, # one\n  c: 2 # two\n}\n",
            {"op": "remove", "path": "/a/c"},
            "a: {\n  b: 1 # one\n   # two\n}\n",
        ),
        ("a: # null\nb: 1\n", {"op": "replace", "path": "/a", "value": {"c": 1}}, "a: {c: 1} # null\nb: 1\n"),
        ("a: !!str yes\n", {"op": "replace", "path": "/a", "value": "x"}, "a: x\n"),
        ('{"a": {}}', {"op": "add", "path": "/a/b", "value": "x"}, '{"a": {"b": "x"}}'),
        (
            '{\n  "a": 1\n}\n',
            {"op": "add", "path": "/b", "value": {"c": 1}},
            '{\n  "a": 1,\n  "b": {\n    "c": 1\n  }\n}\n',
        ),
    ],
)
def test_the_very_text(before: str, operation: dict[str, Any], after: str) -> None:
    assert _patched(before, operation) == after
    assert _read(after) == apply(_read(before), [operation])
