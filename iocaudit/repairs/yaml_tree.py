"""The nodes of one YAML or JSON document with the places where they stand in its text."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

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

from iocaudit.sources.lines import as_yaml, key_text
from iocaudit.sources.yaml_builder import parsing

EventGetter = Callable[[], Any]


class Node:
    """A value in the text, from ``start`` (its anchor and tag included) to ``end``.

    ``is_map`` and ``is_list`` are both False for a scalar. ``open`` is just behind the bracket where it is in ``flow``
    style, ``column`` where the entries of a block start. ``shared``: an alias stands for it elsewhere, or it is one.
    ``block_text``: it ends with a ``|`` or ``>`` scalar, and so at the start of a line.
    """

    __slots__ = (
        "alias",
        "block_text",
        "column",
        "end",
        "entries",
        "flow",
        "is_list",
        "is_map",
        "open",
        "shared",
        "start",
        "text",
    )

    def __init__(self, event: Any) -> None:
        self.start: int = event.start_mark.index
        self.end: int = event.end_mark.index
        self.is_map = event.__class__ is MappingStartEvent
        self.is_list = event.__class__ is SequenceStartEvent
        self.flow = bool(getattr(event, "flow_style", False))
        self.open = self.end
        self.column: int = event.start_mark.column
        self.entries: list[Entry] = []
        self.shared = self.alias = event.__class__ is AliasEvent
        self.text: str = event.value if event.__class__ is ScalarEvent else ""
        self.block_text = event.__class__ is ScalarEvent and event.style in ("|", ">")

    @property
    def merges(self) -> bool:
        """Whether a map takes in the entries of another."""
        return self.is_map and any(entry.key == "<<" for entry in self.entries)

    def walk(self) -> Iterator[Node]:
        """This node and all below it."""
        yield self
        for entry in self.entries:
            yield from entry.node.walk()


class Entry:
    """A key with its value, or an item (``key`` None), from ``start``: the key, the ``-``, or the item in flow style.

    ``key_end`` is where the key's text ends, ``quoted`` whether it has double quotes.
    """

    __slots__ = ("key", "key_end", "node", "quoted", "start")

    def __init__(self, key: str | None, start: int, key_end: int, node: Node, *, quoted: bool) -> None:
        self.key = key
        self.start = start
        self.key_end = key_end
        self.node = node
        self.quoted = quoted


def read_tree(text: str, line: int) -> Node | None:
    """The first document of ``text`` whose content starts on ``line`` (from 0) or later; None where there is none.

    The text has to be one that was read before: raises YamlError otherwise.
    """
    with parsing(as_yaml(text)) as get:
        while (event := get()).__class__ is not StreamEndEvent:
            if event.__class__ is DocumentStartEvent:
                first = get()
                anchors: dict[str, Node] = {}
                node = _node(first, get, text, anchors)
                if first.start_mark.line >= line:
                    return node
                get()  # the document's end
    return None


def _node(event: Any, get: EventGetter, text: str, anchors: dict[str, Node]) -> Node:
    node = Node(event)
    if node.alias:
        target = anchors.get(event.anchor)
        if target is not None:
            target.shared = True
        return node
    if event.anchor is not None:
        anchors[event.anchor] = node
    if node.is_map:
        while (inner := get()).__class__ is not MappingEndEvent:
            key = key_text(inner) if inner.__class__ is ScalarEvent else ""
            quoted = inner.__class__ is ScalarEvent and inner.style == '"'
            value = _node(get(), get, text, anchors)
            node.entries.append(Entry(key, inner.start_mark.index, inner.end_mark.index, value, quoted=quoted))
    elif node.is_list:
        while (inner := get()).__class__ is not SequenceEndEvent:
            value = _node(inner, get, text, anchors)
            start = value.start if node.flow else _dash(text, value.start, node.column)
            node.entries.append(Entry(None, start, start, value, quoted=False))
    else:
        return node
    if node.flow:
        node.end = inner.end_mark.index
    elif node.entries:
        last = node.entries[-1]
        node.end = max(last.node.end, last.key_end)
        node.block_text = last.node.block_text
        if node.is_map:
            first = node.entries[0].start
            node.column = first - _line_start(text, first)
    return node


def _dash(text: str, item: int, column: int) -> int:
    """Where the ``-`` of a block item stands: at ``column`` of its line or of one above."""
    start = _line_start(text, item)
    while start >= 0:
        at = start + column
        if text[at : at + 1] == "-" and not text[start:at].strip(" -?:"):
            return at
        if start == 0:
            break
        start = _line_start(text, start - 1)
    return item


def _line_start(text: str, position: int) -> int:
    """Where the line of a position starts."""
    return text.rfind("\n", 0, position) + 1
