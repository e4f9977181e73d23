"""YAML as Kubernetes reads it: scalars, structure, bounds."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from iocaudit.sources.yaml_builder import MOST_DEPTH, AliasBudget, YamlError, build


def read(text: str) -> Any:
    (value, *_), *rest = build(text)
    assert not rest
    return value


GOLDEN: list[tuple[str, str | None]] = [
    (text, made) for text, made in json.loads(Path(__file__).with_name("kubernetes_yaml.json").read_text("utf-8"))
]
"""YAML texts and the JSON that YAMLToJSON of sigs.k8s.io/yaml 1.6.0 makes of them; null where it refuses."""


@pytest.mark.parametrize(("text", "made"), GOLDEN, ids=[ascii(text) for text, _ in GOLDEN])
def test_yaml_is_read_as_kubernetes_does(text: str, made: str | None) -> None:
    if made is None:
        with pytest.raises(YamlError):
            next(build(text))
    else:
        value = next((value for value, *_ in build(text)), None)
        assert json.dumps(value, sort_keys=True) == made


@pytest.mark.parametrize(
    ("text", "value"), [("1e20", 1e20), ("18446744073709551616", 2.0**64), ("-9223372036854775809", -(2.0**63))]
)
def test_numbers_beyond_64_bits_are_floats(text: str, value: float) -> None:
    assert read(f"a: {text}") == {"a": value}


def test_the_reason_says_what_to_do() -> None:
    for text, reason in [
        ("a: .nan", "quote it"),
        ("~: 1", "quote it"),
        ("a: !!int x", "!!int"),
        ("<<: 5", "<< needs a map"),
    ]:
        with pytest.raises(YamlError, match=reason):
            read(text)


@pytest.mark.parametrize("opening", ["[", "{a: ", "- "])
def test_deep_nesting_is_an_error_and_no_crash(opening: str) -> None:
    with pytest.raises(YamlError):
        read(opening * 40_000)
    assert read("[" * 50 + "]" * 50)
    with pytest.raises(YamlError, match="levels deep"):
        read("[" * (MOST_DEPTH + 1) + "]" * (MOST_DEPTH + 1))


def test_an_alias_bomb_is_an_error() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    with pytest.raises(YamlError, match="aliases"):
        read("\n".join(lines))


def test_many_small_alias_bombs_share_one_budget() -> None:
    text = "a: &a [x, x, x, x]\nb: [*a, *a]\n"
    budget = AliasBudget(25)
    assert list(build(text, budget)) + list(build(text, budget))
    with pytest.raises(YamlError, match="aliases"):
        list(build(text, budget))


def test_a_chain_of_aliases_is_as_deep_as_it_is_expanded() -> None:
    lines = ["a0: &a0 [x]"] + [f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 300)]
    with pytest.raises(YamlError, match="levels deep"):
        read("\n".join(lines))


def test_merging_the_same_map_often_is_bounded() -> None:
    keys = "".join(f"  k{n}: 1\n" for n in range(2000))
    with pytest.raises(YamlError, match="aliases"):
        read(f"a: &a\n{keys}b: {{<<: [{', '.join(['*a'] * 2000)}]}}\n")


def test_an_anchor_may_not_contain_itself_but_may_be_set_again() -> None:
    with pytest.raises(YamlError, match="contains itself"):
        read("a: &a [*a]\n")
    assert read("a: &a [&a 1, *a]\nb: *a\n") == {"a": [1, 1], "b": 1}


@pytest.mark.parametrize("text", ["a: [", "a: 'x", "\ta: 1", "a: b: c", "a: *missing\n", "{{ .Values.x }}: 1"])
def test_broken_text_names_its_line(text: str) -> None:
    with pytest.raises(YamlError) as caught:
        read("ok: 1\n" + text)
    assert caught.value.line >= 1
    assert caught.value.reason


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(blacklist_categories=["Cs", "Cc"]), max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(blacklist_categories=["Cs", "Cc"]), max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(JSON)
def test_json_is_read_as_json(value: Any) -> None:
    assert read(json.dumps(value, ensure_ascii=False)) == value


@given(JSON)
def test_what_pyyaml_writes_is_read_back(value: Any) -> None:
    assert read(yaml.safe_dump(value, default_style='"', allow_unicode=True)) == value


BLOCKS = st.lists(
    st.sampled_from(["a: 1\n", "b:\n", "  c: x\n", "  - d\n", "- e\n", "f: |\n", "  g: h\n", "i: {j: [k, 'l']}\n"])
    | st.sampled_from(["m: &m {z: 1}\n", "o: *m\n", "p: 'q\n", "  r'\n", "# s\n", "t: true\n", "u: null\n", "v:\n"]),
    max_size=10,
)


@given(BLOCKS)
def test_without_quirks_it_agrees_with_pyyaml(lines: list[str]) -> None:
    text = "".join(lines)
    try:
        theirs = yaml.load(text, Loader=yaml.CSafeLoader)
    except yaml.YAMLError as error:
        if "duplicate anchor" not in str(error):  # PyYAML alone refuses that
            with pytest.raises(YamlError):
                list(build(text))
        return
    assert next((value for value, *_ in build(text)), None) == theirs


@given(st.text(max_size=200))
def test_no_text_makes_it_raise_anything_else(text: str) -> None:
    lines: list[int] = []
    try:
        for value, line, _ in build(text):
            lines.append(line)
            json.dumps(value)
    except YamlError as error:
        lines.append(error.line - 1)
    assert all(line >= 0 for line in lines)
