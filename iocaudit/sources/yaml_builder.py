"""Build JSON values from libyaml's events, iteratively and within bounds, as Kubernetes would read them.

The rules are those of sigs.k8s.io/yaml (go-yaml v2): of keys that occur twice the last one wins, merges happen in
the order of the text, keys become strings, what JSON cannot hold is an error.
"""

from array import array
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import yaml
from yaml._yaml import CParser
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

from iocaudit.sources.yaml_scalars import MERGE, SPECIAL, ScalarError, as_json, key_of, plain, tagged

MOST_DEPTH = 200
"""How deeply maps and lists may nest, aliases expanded. The API server's own objects stay far below."""
MOST_ALIASED = 1_000_000
"""How many nodes the aliases of a file may stand for: values are shared, but a walk pays for each."""


class YamlError(ValueError):
    """A document is not YAML that Kubernetes reads. ``line`` counts from 1 in the text that was given."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line = line
        self.reason = reason


class AliasBudget:
    """How many more nodes aliases may stand for; one budget serves all documents of a file."""

    __slots__ = ("left",)

    def __init__(self, left: int = MOST_ALIASED) -> None:
        self.left = left


class _AnchorTarget:
    """What an anchor names; ``size`` counts its nodes with aliases expanded and is 0 while it is being read."""

    __slots__ = ("height", "size", "value")

    def __init__(self, value: Any, size: int = 0) -> None:
        self.value = value
        self.size = size
        self.height = 0


class BuiltDocument(NamedTuple):
    """One document. ``line``, counted from 1, is where its content starts.

    ``places`` holds the line, counted from 0, of the content and then of every map key and list item in the order
    of the text: that is the order of a walk over ``value``, unless a key occurs twice. It is None where
    aliases or merges make value and text differ.
    """

    value: Any
    line: int
    places: "array[int] | None"


_MERGE_KEY = object()


def build(text: str, budget: AliasBudget | None = None) -> Iterator[BuiltDocument]:
    """Each document of a YAML stream; raises YamlError at the first mistake."""
    budget = budget or AliasBudget()
    with parsing(text) as get:
        while (event := get()).__class__ is not StreamEndEvent:
            if event.__class__ is DocumentStartEvent:
                yield _document(get, budget)


class parsing:
    """libyaml's events of a text; its errors leave as YamlError."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __enter__(self) -> Callable[[], Any]:
        self._parser = CParser(self._text)
        get: Callable[[], Any] = self._parser.get_event
        return get

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._parser.dispose()
        if isinstance(error, yaml.MarkedYAMLError):
            mark = error.problem_mark or error.context_mark
            reason = ", ".join(part for part in (error.problem, error.context) if part)
            raise YamlError(mark.line + 1 if mark else 1, reason or "not YAML") from error
        if isinstance(error, yaml.reader.ReaderError):
            before = self._text.encode()[: max(error.position, 0)]
            raise YamlError(before.count(b"\n") + 1, f"a character YAML does not allow: {error.reason}") from error


# One loop over every event of every file: a call an event would cost more than all the checks of a small object.
def _document(get: Callable[[], Any], budget: AliasBudget) -> BuiltDocument:  # noqa: C901, PLR0915
    """Read the events of one document, whose start has just been read."""
    special = SPECIAL
    places: list[int] = []
    straight = True  # the text holds what the value holds, in the same order
    stack: list[tuple[Any, Any, _AnchorTarget | None, int]] = []
    anchors: dict[str, _AnchorTarget] = {}
    roots: list[Any] = []
    # The collection being filled, whether it is a map, its pending key, its anchor, the height of its content.
    filled: Any = roots
    is_map = False
    key: Any = None
    anchored: _AnchorTarget | None = None
    height = 0
    count = 0
    first_line = 0
    while True:
        event = get()
        kind = event.__class__
        count += 1
        if kind is ScalarEvent:
            value: Any = event.value
            if event.tag is not None:
                if value == "<<" and (event.tag == MERGE or event.implicit[0]) and is_map and key is None:
                    key = _MERGE_KEY
                    straight = False
                    continue
                value = _checked(event, tagged, event.tag, value)
            elif value[:1] in special and event.implicit[0]:
                value = plain(value)
            elif value == "<<" and is_map and key is None and event.implicit[0]:
                key = _MERGE_KEY
                straight = False
                continue
            if event.anchor is not None:
                anchors[event.anchor] = _AnchorTarget(value, 1)
        elif kind is MappingStartEvent or kind is SequenceStartEvent:
            if is_map and key is None:
                raise YamlError(
                    event.start_mark.line + 1, "a map or list cannot be a map key (a {{ }} without quotes?)"
                )
            if len(stack) >= MOST_DEPTH:
                raise YamlError(event.start_mark.line + 1, f"nested more than {MOST_DEPTH} levels deep")
            first_line = first_line or event.start_mark.line + 1
            value = {} if kind is MappingStartEvent else []
            if not is_map:
                filled.append(value)
                places.append(event.start_mark.line)
            elif key is not _MERGE_KEY:
                filled[key] = value
                key = None
            stack.append((filled, key, anchored, height))
            filled, is_map, key, height = value, kind is MappingStartEvent, None, 0
            anchored = None
            if event.anchor is not None:
                anchored = anchors[event.anchor] = _AnchorTarget(value, -count)
            continue
        elif kind is MappingEndEvent or kind is SequenceEndEvent:
            value, inner_height = filled, height + 1
            if anchored is not None:
                anchored.size += count
                anchored.height = inner_height
            filled, key, anchored, height = stack.pop()
            is_map = filled.__class__ is dict
            height = max(height, inner_height)
            if key is _MERGE_KEY:
                _merge(filled, value, event)
                key = None
            continue
        elif kind is AliasEvent:
            named = _named(event, anchors, budget, len(stack))
            count += named.size
            height = max(height, named.height)
            value = named.value
            straight = False
        else:  # the document's end
            return BuiltDocument(roots[0] if roots else None, first_line or 1, array("I", places) if straight else None)
        if is_map and key is None:
            places.append(event.start_mark.line)
            key = value if value.__class__ is str else _checked(event, key_of, value)
            continue
        if value.__class__ is float:
            value = _checked(event, as_json, value)
        if not is_map:
            if filled is roots:
                first_line = event.start_mark.line + 1
            filled.append(value)
            places.append(event.start_mark.line)
        elif key is _MERGE_KEY:
            if value.__class__ is not dict:
                raise YamlError(event.start_mark.line + 1, _NO_MERGE)
            filled.update(value)
            key = None
        else:
            filled[key] = value
            key = None


def _named(event: Any, anchors: Mapping[str, _AnchorTarget], budget: AliasBudget, depth: int) -> _AnchorTarget:
    """What an alias stands for, taken from the budget."""
    named = anchors.get(event.anchor)
    line = event.start_mark.line + 1
    if named is None:
        raise YamlError(line, f"unknown anchor {event.anchor!r}")
    if named.size <= 0:
        raise YamlError(line, f"anchor {event.anchor!r} contains itself")
    budget.left -= named.size
    if budget.left < 0:
        raise YamlError(line, "aliases expand to too much: write the values out")
    if depth + named.height > MOST_DEPTH:
        raise YamlError(line, f"nested more than {MOST_DEPTH} levels deep")
    return named


_NO_MERGE = "<< needs a map or a list of maps"


def _checked(event: Any, read: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return read(*arguments)
    except ScalarError as error:
        raise YamlError(event.start_mark.line + 1, str(error)) from error


def _merge(target: dict[str, Any], value: Any, event: Any) -> None:
    """Merge a map, or a list of maps, of which the earlier ones win."""
    maps = [value] if isinstance(value, dict) else value
    if not all(isinstance(item, dict) for item in maps):
        raise YamlError(event.start_mark.line + 1, _NO_MERGE)
    for item in reversed(maps):
        target.update(item)
