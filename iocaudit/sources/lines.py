"""Where in its document a hit's path stands."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

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

from iocaudit.core import paths
from iocaudit.sources.yaml_builder import YamlError, parsing
from iocaudit.sources.yaml_scalars import ScalarError, key_of, plain

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")


@dataclass(slots=True)
class _Node:
    """A map's fields or a list's items, each with the line (from 0) that it stands on."""

    fields: dict[str, tuple[int, _Node]] = field(default_factory=dict)
    items: list[tuple[int, _Node]] = field(default_factory=list)
    name: str | None = None
    is_map: bool = False
    by_name: dict[str, tuple[int, _Node]] | None = None


_LEAF = _Node()


class LineTable:
    """The lines of one document, made only for a document that has hits.

    ``text`` starts on line ``text_line`` of its file; ``line`` is where the document's content starts, which
    picks it where the text holds several.
    """

    def __init__(self, text: str, text_line: int, line: int) -> None:
        self._offset = text_line
        self._first = line - text_line
        self._root = _LEAF
        try:
            with parsing(_as_yaml(text)) as get:
                while (event := get()).__class__ is not StreamEndEvent:
                    if event.__class__ is DocumentStartEvent:
                        first, root = _document(get)
                        if first >= self._first:
                            self._root = root
                            break
        except YamlError:
            # JSON may hold what libyaml refuses: the start of the document must do.
            self._root = _LEAF

    def line(self, path: str) -> int:
        """The line of the deepest part of the path that exists."""
        line, node = self._first, self._root
        for segment in paths.parse(path):
            step = _step(node, segment)
            if step is None:
                break
            line, node = step
        return line + self._offset


def _as_yaml(text: str) -> str:
    """JSON without what libyaml does not read: tabs between tokens, surrogate escapes. Lines stay what they are."""
    if text.lstrip()[:1] not in ("{", "["):
        return text
    return _SURROGATE.sub(r"\\u003f", text.replace("\t", " "))


def _document(get: Callable[[], Any]) -> tuple[int, _Node]:
    """The line and the tree of the document whose start has just been read."""
    root = _Node()
    filled, key = root, None
    stack: list[tuple[_Node, tuple[str, int] | None]] = []
    anchors: dict[str, _Node] = {}
    while True:
        event = get()
        kind = event.__class__
        line = event.start_mark.line
        if kind is DocumentEndEvent:
            return root.items[0] if root.items else (line, root)
        if kind is MappingEndEvent or kind is SequenceEndEvent:
            node = filled
            filled, key = stack.pop()
            if key is not None and key[0] == "<<":
                _merge(filled, node)
            key = None
            continue
        is_key = filled.is_map and key is None
        if kind is ScalarEvent:
            if is_key:
                key = _key(event), line
                continue
            node = _LEAF
            if key is not None and key[0] == "name":
                filled.name = event.value
        elif kind is AliasEvent:
            node = anchors.get(event.anchor, _LEAF)
            if is_key:
                key = "", line  # an alias as a key: no path names it
                continue
            if key is not None and key[0] == "<<":
                _merge(filled, node)
        else:
            node = _Node(is_map=kind is MappingStartEvent)
            if event.anchor is not None:
                anchors[event.anchor] = node
        if key is not None:
            filled.fields[key[0]] = key[1], node
        elif not filled.is_map:
            filled.items.append((line, node))
        if kind is MappingStartEvent or kind is SequenceStartEvent:
            stack.append((filled, key))
            filled = node
        key = None


def _key(event: Any) -> str:
    text: str = event.value
    if event.tag is not None or not event.implicit[0]:
        return text
    try:
        return key_of(plain(text))
    except ScalarError:
        return text


def _merge(target: _Node, source: _Node) -> None:
    target.fields.pop("<<", None)
    for node in [source] if source.is_map else [item for _, item in reversed(source.items)]:
        target.fields.update(node.fields)
        target.name = node.name or target.name


def _step(node: _Node, segment: paths.Segment) -> tuple[int, _Node] | None:
    if isinstance(segment, int):
        return node.items[segment] if segment < len(node.items) else None
    if isinstance(segment, paths.Field):
        return node.fields.get(segment.name)
    if node.is_map:
        return node.fields.get(segment.text)
    if node.by_name is None:
        node.by_name = {item[1].name: item for item in reversed(node.items) if item[1].name is not None}
    return node.by_name.get(segment.text)
