"""Values as an API server may store them, which a strict decoder refuses."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iocaudit.core.partial import PartialObject, lacks_of
from iocaudit.decoding.objects import MOST_LEVELS, NotJsonError, decode, decode_object, identity
from tests.support.bounded import cpu_within
from tests.support.texts import nested, odd_texts

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text() | st.floats(allow_nan=False, width=32),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
).filter(lambda value: "Infinity" not in json.dumps(value))


@given(VALUES, st.booleans())
def test_what_is_in_order_is_read_as_it_is(value: Any, ascii_only: bool) -> None:
    found = decode(json.dumps(value, ensure_ascii=ascii_only, indent=1).encode())
    assert found == value
    assert not lacks_of(found)


@given(odd_texts())
def test_whatever_an_api_server_stores_is_read(text: bytes) -> None:
    found = decode_object(b'{"kind": "Odd", "metadata": {"name": "a"}, "odd": %b, "good": [1, {"b": "c"}]}' % text)
    assert found["kind"] == "Odd"
    assert found["metadata"] == {"name": "a"}
    assert found["good"] == [1, {"b": "c"}]
    assert depth_of(found) <= MOST_LEVELS
    json.dumps(found, ensure_ascii=False).encode()  # no half of a surrogate pair is left


@pytest.mark.parametrize("extra", [0, 1, 50, 900, 9000])
def test_what_nests_too_deep_is_left_out_and_named(extra: int) -> None:
    text = b'{"kind":"A","spec":{"x.y":[1,%b],"z":2}}' % nested(MOST_LEVELS - 3 + extra)
    found = decode_object(text)
    assert found["spec"]["z"] == 2
    if not extra:
        assert not isinstance(found, PartialObject)
        return
    assert isinstance(found, PartialObject)
    place = 'spec["x.y"][1]' + ".a" * (MOST_LEVELS - 3)
    assert found.lacks == f"{place} nests more than {MOST_LEVELS} levels deep"


def test_deep_managed_fields_are_no_loss() -> None:
    fields = b'[{"manager":"red","fieldsV1":%b}]' % nested(3000)
    text = b'{"metadata":{"name":"a","managedFields":%b},"spec":{"template":{"metadata":{"managedFields":%b}}}}'
    found = decode_object(text % (fields, fields))
    assert not isinstance(found, PartialObject)
    assert found["metadata"]["name"] == "a"


def test_what_is_no_text_reads_as_in_go() -> None:
    found = decode(rb'{"a":"\ud800x","b":"\udc00","c":"\ud83d\ude00","d":"\\ud800","e":"\ud800\ud800\udc00"}')
    assert found == {"a": "\ufffdx", "b": "\ufffd", "c": "😀", "d": "\\ud800", "e": "\ufffd\U00010000"}
    assert decode(b'{"a":"\xff\\u0041"}') == {"a": "\ufffdA"}
    assert not lacks_of(found)


def test_numbers_without_bounds_are_left_out() -> None:
    found = decode(b'{"a":[1e999,-1E400,1],"b":%b,"c":1e-999,"d":12345678901234567890123}' % (b"9" * 5000))
    assert found == {"a": [None, None, 1], "b": None, "c": 0.0, "d": 12345678901234567890123.0}
    assert lacks_of(found) == "; ".join(f"{name} is a number that is too large" for name in ("a[0]", "a[1]", "b"))


def test_of_equal_names_the_last_one_counts() -> None:
    assert decode(b'{"a":1,"a":2}') == {"a": 2}
    assert decode(b'{"a":1,"b":%b,"a":2}' % nested(2000))["a"] == 2


def test_many_omissions_are_counted() -> None:
    found = decode(b'{"a":[%b]}' % b",".join([b"1e999"] * 10))
    assert lacks_of(found).endswith("; and 7 more")


@pytest.mark.parametrize("text", [b"", b"{", b'{"a":}', b'"', b"[1,]", b"{}}", b'{"a":"\n"}', b"nul", b'{"a" 1}'])
def test_what_is_not_json_is_refused(text: bytes) -> None:
    with pytest.raises(NotJsonError):
        decode(text)


@given(st.binary())
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(NotJsonError):
        decode(data)
    assert isinstance(identity(data), dict)


@pytest.mark.parametrize(
    "hostile",
    [
        b'{"a":' * 5000 + b'"' + b'\\"' * 500_000,
        b'{"a":1e999,"b":"' + b"\\u003c" * 250_000 + b'"}',
        b"[" * 500_000 + b"]" * 500_000,
        b"[1e999," + b"9" * 1_500_000 + b"]",
        b'{"a":"\\ud800","b":[' + b"[]," * 100_000 + b"0]}",
    ],
    ids=["escaped quotes", "escapes", "brackets", "digits", "lists"],
)
def test_the_time_is_linear(hostile: bytes) -> None:
    with cpu_within(5), contextlib.suppress(NotJsonError):
        decode(hostile)


def test_an_identity_is_cut_out_of_what_is_left_of_a_text() -> None:
    text = b'{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","uid":"u","labels":{"x":"y"},"annotations":{"k":"<<'
    assert identity(text) == {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "a", "uid": "u", "labels": {"x": "y"}},
    }
    assert identity(b"[]") == identity(b"") == {}
    assert identity(b'{"metadata":7}') == {"metadata": {}}


def depth_of(value: Any) -> int:
    depth, level = 0, [value]
    while level:
        depth += any(isinstance(one, dict | list) for one in level)
        level = [
            inner
            for one in level
            for inner in (one.values() if isinstance(one, dict) else one if isinstance(one, list) else ())
        ]
    return depth
