"""Where what was rendered stands: the file and the line of its source.

kustomize says with ``originAnnotations`` which file an object comes from, helm in a comment (``# Source:``). A value
may come from a patch: it is looked for there first. A template is searched for the keys of a hit's path, in their
order, as its lines are those of nobody's parser.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

from iocaudit.core import paths
from iocaudit.core.report import ReportedHit
from iocaudit.core.resource import Origin, Resource
from iocaudit.core.shape import mapping, text
from iocaudit.knowledge.pods.by_shape import value_at
from iocaudit.sources.documents import Document
from iocaudit.sources.lines import LineTable


class SourceDocument:
    """A document of a source file: the object itself before it was changed, or a patch of it."""

    def __init__(self, file: str, document: Document) -> None:
        self.file, self.document = file, document

    @cached_property
    def _table(self) -> LineTable:
        return LineTable.of(self.document)

    def line(self, path: str) -> int:
        return self._table.line(path)

    def __reduce__(self) -> tuple[Any, ...]:
        return SourceDocument, (self.file, self.document)


class Pieces:
    """The sources of one object that kustomize made: its own document, and the patches, the outermost first."""

    def __init__(self, own: SourceDocument, patches: Sequence[SourceDocument]) -> None:
        self._own, self._patches = own, patches

    def origin(self, found: ReportedHit, resource: Resource) -> Origin:
        """Where the value of a hit stands, else where it would have to stand in the object's own document."""
        path = found.path_in_document
        value = value_at(resource.raw, found.hit.place)
        holders = (one for one in (*self._patches, self._own) if value_at(one.document.value, path) == value)
        place = next(holders, self._own) if value is not None else self._own
        return found.origin._replace(file=place.file, line=place.line(path))


class TemplateLines:
    """The text of a template in a chart, and where in it the object of a kind begins."""

    def __init__(self, file: str, text: str, resource_kind: str, name: str) -> None:
        self._file, self._text, self._kind, self._name = file, text, resource_kind, name

    @cached_property
    def _lines(self) -> list[str]:
        return self._text.splitlines()

    @cached_property
    def _start(self) -> int:
        """The first line of the document that makes the object: of that kind, and of that name if it is literal."""
        starts = [0, *(number for number, line in enumerate(self._lines) if line.startswith("---"))]
        kind = re.compile(rf"\s*kind:\s*[\"']?{re.escape(self._kind)}[\"']?\s*(#.*)?$")
        name = re.compile(rf"\s*name:\s*[\"']?{re.escape(self._name)}[\"']?\s*$")
        mine = []
        for start, end in zip(starts, [*starts[1:], len(self._lines)], strict=True):
            part = self._lines[start:end]
            if (at := next((number for number, line in enumerate(part) if kind.match(line)), None)) is not None:
                mine.append((start + at, any(name.match(line) for line in part)))
        return next((start for start, named in mine if named), mine[0][0] if mine else 0)

    def origin(self, found: ReportedHit, _resource: Resource) -> Origin:
        """Where the deepest key of a hit's path that the template spells out stands."""
        return found.origin._replace(file=self._file, line=self._line(found.path_in_document) + 1)

    def _line(self, path: str) -> int:
        line, column = self._start, -1
        for segment in paths.parse(path):
            if isinstance(segment, paths.Field):
                key = re.compile(rf"(\s*(?:- )*)[\"']?{re.escape(segment.name)}[\"']?:(?:\s|$)")
                found = self._next(line, key.match)
                if found is not None and len(found[1][1]) > column:
                    line, column = found[0], len(found[1][1])
            elif isinstance(segment, paths.KeySegment):
                item = re.compile(rf"\s*(?:- )?name:\s*[\"']?{re.escape(segment.text)}[\"']?\s*$")
                found = self._next(line, item.match)
                line = line if found is None else found[0]
        return line

    def _next(self, line: int, matches: Callable[[str], re.Match[str] | None]) -> tuple[int, re.Match[str]] | None:
        """The next line of the same document that matches."""
        for number in range(line, len(self._lines)):
            if number > line and self._lines[number].startswith("---"):
                break
            if (found := matches(self._lines[number])) is not None:
                return number, found
        return None


def own_document(documents: Sequence[Document], kind: str, name: str) -> Document | None:
    """The document that an object was made of: of its kind, and of the longest name that the object's holds."""
    alike = [one for one in documents if one.value.get("kind") == kind]
    named = [(text(mapping(one.value.get("metadata")).get("name")), one) for one in alike]
    held = [(len(own), number) for number, (own, _) in enumerate(named) if own and own in name]
    if held:
        return named[max(held, key=lambda one: (one[0], -one[1]))[1]][1]
    return alike[0] if len(alike) == 1 else None
