"""YAML as Kubernetes reads it: scalars, structure, bounds."""

import json
import math
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from iocaudit.sources.yaml_builder import MOST_DEPTH, YamlError, build
from iocaudit.sources.yaml_scalars import plain


def read(text: str) -> Any:
    (value, _), *rest = build(text)
    assert not rest
    return value


# What sigs.k8s.io/yaml makes of each, from the resolver of go-yaml v2.
SCALARS: list[tuple[str, Any]] = [
    ("yes", True),
    ("Yes", True),
    ("on", True),
    ("y", True),
    ("N", False),
    ("off", False),
    ("no", False),
    ("true", True),
    ("tRUE", "tRUE"),
    ("~", None),
    ("null", None),
    ("Null", None),
    ("", None),
    ("012", 10),
    ("0o17", 15),
    ("0x1F", 31),
    ("0b11", 3),
    ("-0x10", -16),
    ("08", 8.0),
    ("1_000", 1000),
    ("+1", 1),
    ("-1", -1),
    ("1e3", 1000.0),
    (".5", 0.5),
    ("1.", 1.0),
    ("22:22", "22:22"),
    ("2001-01-01", "2001-01-01"),
    ("2001-12-14T21:59:43.10Z", "2001-12-14T21:59:43.10Z"),
    ("=", "="),
    ("18446744073709551615", 18446744073709551615),
    ("18446744073709551616", 1.8446744073709552e19),
    ("-9223372036854775809", -9.223372036854775809e18),
    ("1.2.3", "1.2.3"),
    ("0x", "0x"),
    ("100m", "100m"),
    ("nginx:1.25", "nginx:1.25"),
    ("+", "+"),
    (".", "."),
]


@pytest.mark.parametrize(("text", "value"), SCALARS)
def test_plain_scalars(text: str, value: Any) -> None:
    assert plain(text) == value
    assert type(plain(text)) is type(value)


def test_infinity_and_nan_are_refused_as_json_has_neither() -> None:
    assert math.isinf(plain(".inf"))
    with pytest.raises(YamlError, match="no NaN"):
        read("a: .nan\n")


def test_keys_become_strings() -> None:
    assert read("on: 1\n1: 2\n1.5: 3\n0x10: 4\n") == {"true": 1, "1": 2, "1.5": 3, "16": 4}
    with pytest.raises(YamlError, match="null is no map key"):
        read("~: 1\n")


def test_quoted_and_tagged_scalars() -> None:
    assert read("a: 'yes'\nb: \"1\"\nc: !!str 1\nd: !!int '3'\ne: !custom 5\nf: !!binary aGk=\n") == {
        "a": "yes",
        "b": "1",
        "c": "1",
        "d": 3,
        "e": "5",
        "f": "hi",
    }
    with pytest.raises(YamlError, match="!!int"):
        read("a: !!int x\n")


def test_merge_keys_in_the_order_of_the_text() -> None:
    text = "base: &b {x: 1, z: 2}\nother: &o {x: 9}\nfirst: {<<: *b, x: 3}\nboth: {<<: [*b, *o]}\n"
    value = read(text)
    assert value["first"] == {"x": 3, "z": 2}
    assert value["both"] == {"x": 1, "z": 2}
    with pytest.raises(YamlError, match="<< wants a map"):
        read("a: {<<: 5}\n")


def test_the_last_of_two_equal_keys_wins_as_for_kubectl() -> None:
    assert read("a: 1\na: 2\n") == {"a": 2}


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


def test_an_anchor_may_not_contain_itself() -> None:
    with pytest.raises(YamlError, match="contains itself"):
        read("a: &a [*a]\n")


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
    assert read(yaml.safe_dump(value, default_style='"')) is not None or value is None


@given(st.text(max_size=200))
def test_no_text_makes_it_raise_anything_else(text: str) -> None:
    lines: list[int] = []
    try:
        for value, line in build(text):
            lines.append(line)
            json.dumps(value)
    except YamlError as error:
        lines.append(error.line - 1)
    assert all(line >= 0 for line in lines)
