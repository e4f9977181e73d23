"""Where in its document a hit's path stands."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from yaml.events import (
    AliasEvent,
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
from iocaudit.sources.yaml_scalars import SPECIAL, ScalarError, key_of, plain

if TYPE_CHECKING:
    from iocaudit.sources.documents import Document

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")


_Node = dict[str, Any] | list[Any] | str | None
"""A map from key to (line, node), a list of (line, node), a scalar's text; lines count from 0."""


class LineTable:
    """The lines of one document, made only for a document that has hits.

    ``text`` starts on line ``text_line`` of its file; ``line`` is where the document's content starts, which
    picks it where the text holds several. ``root`` is the tree of the content where it is known already.
    """

    def __init__(self, text: str, text_line: int, line: int, root: _Node = None) -> None:
        self._offset = text_line
        self._first = line - text_line
        self._named: dict[int, dict[str, tuple[int, _Node]]] = {}
        self._root = root
        if root is None:
            self._parse(text)

    @classmethod
    def of(cls, document: Document) -> LineTable:
        """The lines as the builder noted them; where it could not, the text is parsed again."""
        root = None
        if document.places is not None:
            places = iter(document.places)
            next(places)  # that of the document itself
            root = _walk(document.value, places)
            if next(places, None) is not None:
                root = None  # a key occurs twice, so its first place is left over
        return cls(document.text, document.text_line, document.line, root)

    def _parse(self, text: str) -> None:
        try:
            with parsing(as_yaml(text)) as get:
                while (event := get()).__class__ is not StreamEndEvent:
                    if event.__class__ is DocumentStartEvent:
                        first, root = _document(get)
                        if first >= self._first:
                            self._root = root
                            break
        except YamlError:
            # JSON may hold what libyaml refuses: the start of the document must do.
            self._root = None

    def line(self, path: str) -> int:
        """The line of the deepest part of the path that exists."""
        line, node = self._first, self._root
        for segment in paths.parse(path):
            step = self._step(node, segment)
            if step is None:
                break
            line, node = step
        return line + self._offset

    def _step(self, node: _Node, segment: paths.Segment) -> tuple[int, _Node] | None:
        if isinstance(node, dict):
            if isinstance(segment, int):
                return None
            return node.get(segment.name if isinstance(segment, paths.Field) else segment.text)
        if not isinstance(node, list):
            return None
        if isinstance(segment, int):
            return node[segment] if segment < len(node) else None
        if isinstance(segment, paths.Field):
            return None
        named = self._named.get(id(node))
        if named is None:
            named = self._named[id(node)] = {}
            for item in node:
                named.setdefault(_name(item[1]), item)
        return named.get(segment.text)


def _walk(value: Any, places: Iterator[int]) -> _Node:
    """The tree of a value, each line the next of ``places``."""
    if value.__class__ is dict:
        return {key: (next(places), _walk(child, places)) for key, child in value.items()}
    if value.__class__ is list:
        return [(next(places), _walk(child, places)) for child in value]
    return value if value.__class__ is str else None


def _name(node: _Node) -> str:
    """What a list item is called; "" where it has no name."""
    name = node.get("name") if isinstance(node, dict) else None
    return name[1] if name is not None and isinstance(name[1], str) else ""


def as_yaml(text: str) -> str:
    """JSON without what libyaml does not read: tabs between tokens, surrogate escapes. Lines stay what they are."""
    if text.lstrip()[:1] not in ("{", "["):
        return text
    return _SURROGATE.sub(r"\\u003f", text.replace("\t", " "))


def _document(get: Callable[[], Any]) -> tuple[int, _Node]:
    """The line and the tree of the document whose start has just been read."""
    roots: list[Any] = []
    filled: Any = roots
    is_map = False
    key: str | None = None
    key_line = 0
    stack: list[tuple[Any, str | None]] = []
    anchors: dict[str, _Node] = {}
    node: _Node
    while True:
        event = get()
        kind = event.__class__
        if kind is ScalarEvent:
            node = event.value
            if is_map and key is None:
                key = key_text(event)
                key_line = event.start_mark.line
                continue
        elif kind is MappingEndEvent or kind is SequenceEndEvent:
            node = filled
            filled, key = stack.pop()
            is_map = filled.__class__ is dict
            if key == "<<":
                _merge(filled, node)
            key = None
            continue
        elif kind is MappingStartEvent or kind is SequenceStartEvent:
            node = {} if kind is MappingStartEvent else []
            if event.anchor is not None:
                anchors[event.anchor] = node
        elif kind is AliasEvent:
            node = anchors.get(event.anchor)
            if is_map and key is None:
                key = ""  # an alias as a key: no path names it
                continue
        else:  # the document's end
            return roots[0] if roots else (0, None)
        if is_map:
            filled[key] = key_line, node
        else:
            filled.append((event.start_mark.line, node))
        if kind is MappingStartEvent or kind is SequenceStartEvent:
            stack.append((filled, key))
            filled, is_map = node, kind is MappingStartEvent
        elif key == "<<":
            _merge(filled, node)
        key = None


def key_text(event: Any) -> str:
    """The key that a scalar is, as JSON spells it."""
    text: str = event.value
    if text[:1] not in SPECIAL or event.tag is not None or not event.implicit[0]:
        return text
    try:
        return key_of(plain(text))
    except ScalarError:
        return text


def _merge(target: dict[str, Any], source: _Node) -> None:
    target.pop("<<", None)
    sources = [item for _, item in reversed(source)] if isinstance(source, list) else [source]
    for node in sources:
        if isinstance(node, dict):
            target.update(node)
