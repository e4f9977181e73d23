"""Build JSON values from libyaml's events, iteratively and within bounds, as Kubernetes would read them."""

import math
from collections.abc import Iterator
from typing import Any

import yaml
from yaml._yaml import CParser
from yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from iocaudit.sources.yaml_scalars import STR, ScalarError, key_text, plain, tagged

MOST_DEPTH = 200
"""How deeply maps and lists may nest. The API server's own objects stay far below."""
MOST_NODES = 2_000_000
"""How many nodes a document may have once its aliases are expanded."""


class YamlError(ValueError):
    """A document is not YAML that Kubernetes reads. ``line`` counts from 1 in the text that was given."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line = line
        self.reason = reason


class _Frame:
    __slots__ = ("anchor", "count", "items", "key", "map", "merge")

    def __init__(self, is_map: bool, anchor: str | None) -> None:
        self.map: dict[str, Any] | None = {} if is_map else None
        self.items: list[Any] = []
        self.key: str | None = None
        self.merge = False
        self.anchor = anchor
        self.count = 1


_MERGE_KEY = object()


def build(text: str) -> Iterator[tuple[Any, int]]:
    """The value and first line of each document of a YAML stream; raises YamlError at the first mistake."""
    parser = CParser(text)
    try:
        yield from _documents(parser)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise YamlError(mark.line + 1 if mark else 1, error.problem or "not YAML") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, max(error.position, 0)) + 1
        raise YamlError(line, f"a character YAML does not allow: {error.reason}") from None
    finally:
        parser.dispose()


def _documents(parser: Any) -> Iterator[tuple[Any, int]]:
    get = parser.get_event
    while True:
        event = get()
        kind = event.__class__
        if kind is StreamEndEvent:
            return
        if kind is DocumentStartEvent:
            yield _document(get)


def _document(get: Any) -> tuple[Any, int]:
    """Read events up to the document's end."""
    stack: list[_Frame] = []
    anchors: dict[str, tuple[Any, int]] = {}
    open_anchors: set[str] = set()
    root: Any = None
    first_line = 0
    total = 0
    frame: _Frame | None = None
    while True:
        event = get()
        kind = event.__class__
        size = 1
        if kind is ScalarEvent:
            tag = event.tag
            if event.implicit[0] and (tag is None or tag == "!"):
                text = event.value
                if text == "<<" and frame is not None and frame.map is not None and frame.key is None:
                    frame.key, frame.merge = "<<", True
                    continue
                value = plain(text)
            elif tag is None or tag == "!" or tag == STR:
                value = event.value
            else:
                value = _checked(tagged, tag, event.value, event=event)
            if event.anchor:
                anchors[event.anchor] = (value, 1)
        elif kind is MappingStartEvent or kind is SequenceStartEvent:
            if not stack:
                first_line = event.start_mark.line + 1
            if frame is not None and frame.map is not None and frame.key is None:
                raise YamlError(event.start_mark.line + 1, "a map or list is no map key (unquoted {{ }}?)")
            if len(stack) >= MOST_DEPTH:
                raise YamlError(event.start_mark.line + 1, f"nested more than {MOST_DEPTH} levels deep")
            if event.anchor:
                open_anchors.add(event.anchor)
            frame = _Frame(kind is MappingStartEvent, event.anchor)
            stack.append(frame)
            continue
        elif kind is MappingEndEvent or kind is SequenceEndEvent:
            done = stack.pop()
            value = done.items if done.map is None else done.map
            size = done.count
            if done.anchor:
                open_anchors.discard(done.anchor)
                anchors[done.anchor] = (value, size)
            frame = stack[-1] if stack else None
        elif kind is AliasEvent:
            if event.anchor in open_anchors:
                raise YamlError(event.start_mark.line + 1, f"anchor {event.anchor!r} contains itself")
            if event.anchor not in anchors:
                raise YamlError(event.start_mark.line + 1, f"unknown anchor {event.anchor!r}")
            value, size = anchors[event.anchor]
        elif kind is DocumentEndEvent:
            return root, first_line
        else:
            raise YamlError(event.start_mark.line + 1, "the document ends in the middle")
        total = size + (frame.count if frame is not None else 0)
        if total > MOST_NODES:
            raise YamlError(event.start_mark.line + 1, "aliases expand to too much: write the values out")
        if frame is None:
            root = value
            first_line = first_line or event.start_mark.line + 1
            continue
        frame.count = total
        if frame.map is None:
            frame.items.append(_finite(value, event))
        elif frame.key is None:
            if value.__class__ in (dict, list):
                raise YamlError(event.start_mark.line + 1, "a map or list is no map key")
            frame.key = value if value.__class__ is str else _checked(key_text, value, event=event)
        elif frame.merge:
            _merge(frame.map, value, event)
            frame.key, frame.merge = None, False
        else:
            frame.map[frame.key] = _finite(value, event)
            frame.key = None


def _checked(read: Any, *arguments: Any, event: Any) -> Any:
    try:
        return read(*arguments)
    except ScalarError as error:
        raise YamlError(event.start_mark.line + 1, str(error)) from None


def _finite(value: Any, event: Any) -> Any:
    if value.__class__ is float and not math.isfinite(value):
        raise YamlError(event.start_mark.line + 1, "JSON has no NaN and no infinity: quote it")
    return value


def _merge(target: dict[str, Any], value: Any, event: Any) -> None:
    """Merge as go-yaml v2 does: in the order of the text; in a list the earlier map wins."""
    if isinstance(value, dict):
        target.update(value)
    elif isinstance(value, list) and all(isinstance(item, dict) for item in value):
        for item in reversed(value):
            target.update(item)
    else:
        raise YamlError(event.start_mark.line + 1, "<< wants a map or a list of maps")
