"""Lists and events in which one object cannot be read: its neighbours are, and it keeps its identity."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iocaudit.core.partial import lacks_of
from iocaudit.decoding import answers
from iocaudit.decoding.answers import decode_cut_event, decode_cut_list, decode_event, decode_list
from iocaudit.decoding.objects import NotJsonError
from tests.support.texts import nested, odd_texts

GOOD = {"metadata": {"name": "good", "namespace": "shop"}, "data": {"a": "<&>é"}}


def list_of(*items: bytes, metadata: bytes = b'{"resourceVersion":"7","continue":"next"}') -> bytes:
    return b'{"kind":"L","apiVersion":"v1","metadata":%b,"items":[%b]}' % (metadata, b",".join(items))


def one(odd: bytes) -> bytes:
    return b'{"metadata":{"name":"odd","uid":"u-1","namespace":"x"},"odd":%b}' % odd


@given(odd_texts(), st.booleans())
def test_neighbours_in_a_list_are_intact(odd: bytes, one_by_one: bool) -> None:
    good = orjson.dumps(GOOD)
    with pytest.MonkeyPatch.context() as patch:
        if one_by_one:
            patch.setattr(answers, "_MOST_AT_ONCE", 0)
        found = decode_list(list_of(good, one(odd), good))
    assert (found.resource_version, found.following) == ("7", "next")
    before, between, after = found.items
    assert before == after == GOOD
    assert between["metadata"] == {"name": "odd", "uid": "u-1", "namespace": "x"}


@given(odd_texts())
def test_an_event_is_read(odd: bytes) -> None:
    event = decode_event(b'{"type":"MODIFIED","object":%b}\n' % one(odd))
    assert event is not None
    assert event[0] == "MODIFIED"
    assert event[1]["metadata"]["name"] == "odd"


def test_an_object_that_is_not_json_at_all_keeps_its_identity() -> None:
    good = orjson.dumps(GOOD)
    items = list(decode_list(list_of(good, one(b'"\x01"'), good)).items)
    assert items[0] == items[2] == GOOD
    assert items[1] == {"metadata": {"name": "odd", "uid": "u-1", "namespace": "x"}}
    assert lacks_of(items[1]).startswith("it cannot be read: ")
    event = decode_event(b'{"type":"ADDED","object":%b}' % one(b"+"))
    assert event is not None
    assert lacks_of(event[1])


def test_only_what_is_left_out_is_lacking() -> None:
    deep = one(nested(3000))
    fine = b'{"metadata":{"name":"fine","managedFields":%b}}' % nested(3000)
    found = list(decode_list(list_of(fine, deep)).items)
    assert [bool(lacks_of(item)) for item in found] == [False, True]


def test_lists_and_events_of_other_shapes() -> None:
    assert list(decode_list(b'{"items":null}').items) == []
    assert list(decode_list(b'{"items":[1,"a",null,{}],"metadata":[]}').items) == [{}]
    assert next(decode_list(b'{"items":[1,{},%b]}' % nested(3000)).items) == {}
    assert decode_event(b'{"type":"ADDED"}') is None
    odd = decode_event(b'{"type":7,"object":%b}' % nested(3000))
    assert odd is not None
    assert odd[0] == ""


@pytest.mark.parametrize("broken", [b"", b"[]", b"{", b'{"items":[{}', b'{"items":[{} {}],"a":1e999}', b"null"])
def test_what_is_not_a_list_is_refused(broken: bytes) -> None:
    with pytest.raises(NotJsonError):
        decode_list(broken)


@pytest.mark.parametrize("broken", [b"", b"nonsense", b'{"type":"ADDED","object":{'])
def test_what_is_not_an_event_is_refused(broken: bytes) -> None:
    with pytest.raises(NotJsonError):
        decode_event(broken)


@given(st.binary())
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    readers: list[Callable[[bytes], Any]] = [decode_list, decode_event]
    for read in readers:
        try:
            read(data)
        except NotJsonError:
            continue
    assert decode_cut_list(data, data).following == ""
    decode_cut_event(data)


@pytest.mark.parametrize("built_in", [True, False])
def test_of_an_object_that_is_too_large_its_identity_is_kept(built_in: bool) -> None:
    metadata = b'"metadata":{"resourceVersion":"9","continue":"on"}'
    item = b'{"metadata":{"name":"huge","namespace":"shop","annotations":{"a":"%b"}}}' % (b"x" * 5000)
    parts = (metadata, item) if built_in else (item, metadata)
    whole = (b'{"kind":"L",%b,"items":[%b]}' if built_in else b'{"items":[%b],"kind":"L",%b}') % parts
    found = decode_cut_list(whole[:1000], whole[-1000:])
    assert (found.resource_version, found.following) == ("9", "on")
    (huge,) = found.items
    assert huge == {"metadata": {"name": "huge", "namespace": "shop"}}
    assert lacks_of(huge) == "it cannot be read: it is too large"


def test_of_an_event_that_is_too_large_its_identity_is_kept() -> None:
    event: Any = decode_cut_event(b'{"type":"ADDED","object":{"kind":"Pod","metadata":{"name":"huge","annotations":{"')
    assert event == ("ADDED", {"kind": "Pod", "metadata": {"name": "huge"}})
    assert lacks_of(event[1])
