"""What the API server answers around objects: lists, events of a watch. One unreadable object leaves its neighbours."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import orjson

from iocaudit.core.shape import Json, mapping, mappings, text
from iocaudit.decoding.objects import (
    NotJsonError,
    decode,
    decode_object,
    is_shallow,
    member_values,
    object_at,
    unreadable,
)
from iocaudit.decoding.spans import BrokenTextError, Text, elements, end_of_value, opened_members, start_of_value

_BYTES_A_VALUE = 80
"""What a decoded value takes at most beside its text: an empty dict and its place in a list."""
_MOST_AT_ONCE = 32 * 1024 * 1024
"""Bytes that a list may take decoded; one that may take more is decoded item by item."""


class ListAnswer(NamedTuple):
    """A page of a list. ``items`` of a large one are decoded one by one as they are asked for."""

    items: Iterator[Json]
    resource_version: str
    following: str
    """The token that asks for the next page; empty at the end."""


def decode_list(data: Text) -> ListAnswer:
    """Raises NotJsonError where not even the list around the items can be read."""
    if len(data) + _BYTES_A_VALUE * data.count(b",") <= _MOST_AT_ONCE:
        try:
            found = orjson.loads(data)
        except orjson.JSONDecodeError:
            found = None
        if isinstance(found, dict) and is_shallow(data, found, wrappers=2):
            items = mappings(found.get("items"))
            return _answer(_handed_over(items), mapping(found.get("metadata")))
    parts = member_values(data)
    start, _ = parts.get(b"items", (0, 0))
    try:
        spans = list(elements(data, start)) if data[start : start + 1] == b"[" else []
    except BrokenTextError as error:
        raise NotJsonError(str(error)) from error
    return _answer(_one_by_one(data, spans), _metadata(data, parts))


def decode_cut_list(head: Text, tail: Text) -> ListAnswer:
    """A list of one object that is too large to be read whole, of whose text the middle is missing."""
    begins = dict(opened_members(head))
    items: list[Json] = []
    if (start := begins.get(b"items")) is not None:
        first = start_of_value(head, start + 1)
        items = [unreadable(head, first, "it is too large")]
    metadata: Json = {}
    # Of the kinds built in it comes first; of custom resources last, after the items.
    for part, at in ((head, begins.get(b"metadata", -1)), (tail, tail.rfind(b'"metadata":{') + len(b'"metadata":'))):
        try:
            metadata = metadata or decode_object(part[at : end_of_value(part, at)])
        except (BrokenTextError, NotJsonError):
            continue
    return _answer(_handed_over(items), metadata)


def decode_event(line: Text) -> tuple[str, Json] | None:
    """The type of a watch's event and its object; None where it has none. Raises NotJsonError."""
    try:
        event = orjson.loads(line)
    except orjson.JSONDecodeError:
        event = None
    if isinstance(event, dict) and is_shallow(line, event, wrappers=1):
        found = event.get("object")
        return (text(event.get("type")), found) if isinstance(found, dict) else None
    parts = member_values(line)
    start, end = parts.get(b"object", (0, 0))
    if line[start : start + 1] != b"{" or b"object" not in parts:
        return None
    name, last = parts.get(b"type", (0, 0))
    return text(decode(line[name:last])) if last else "", object_at(line, start, end)


def decode_cut_event(head: Text) -> tuple[str, Json] | None:
    """An event that is too large to be read whole, of whose text only the beginning is there. Raises NotJsonError."""
    begins = dict(opened_members(head))
    if b"object" not in begins or b"type" not in begins:
        return None
    name = begins[b"type"]
    try:
        kind = text(decode(head[name : end_of_value(head, name)]))
    except BrokenTextError as error:
        raise NotJsonError(str(error)) from error
    return kind, unreadable(head, begins[b"object"], "it is too large")


def _answer(items: Iterator[Json], metadata: object) -> ListAnswer:
    found = mapping(metadata)
    return ListAnswer(items, text(found.get("resourceVersion")), text(found.get("continue")))


def _metadata(data: Text, parts: dict[bytes, tuple[int, int]]) -> Json:
    start, end = parts.get(b"metadata", (0, 0))
    return decode_object(data[start:end]) if end else {}


def _handed_over(items: list[Json]) -> Iterator[Json]:
    """Each item can be freed as soon as it was looked at."""
    items.reverse()
    while items:
        yield items.pop()


def _one_by_one(data: Text, spans: list[tuple[int, int]]) -> Iterator[Json]:
    for start, end in spans:
        if data[start : start + 1] == b"{":
            yield object_at(data, start, end)
