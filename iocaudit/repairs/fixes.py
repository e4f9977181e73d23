"""Carry repairs out on a file's bytes. What comes out is read again before anybody sees it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from iocaudit.core import paths
from iocaudit.core.errors import PathSyntaxError
from iocaudit.core.json_patch import apply, patch_of
from iocaudit.core.repair import UnfixableError
from iocaudit.core.report import ReportedHit
from iocaudit.core.shape import lookup, text
from iocaudit.repairs.yaml_patch import TextPatch
from iocaudit.sources.documents import Document, ParseResult, read_documents
from iocaudit.sources.text_lines import TextLines
from iocaudit.sources.yaml_builder import YamlError

_CHANGED = "was changed while it was being read: scan again"
_BOM = b"\xef\xbb\xbf"


class RefusedRepair(NamedTuple):
    """A repair that was not carried out, and why."""

    found: ReportedHit
    reason: str


class FixedFile(NamedTuple):
    """A file's bytes after its repairs. What is in neither list was done already by another repair."""

    data: bytes
    done: list[ReportedHit]
    refused: list[RefusedRepair]


def fix(data: bytes, name: str, wanted: Sequence[ReportedHit]) -> FixedFile:
    """The bytes of file ``name`` with the repairs of these hits, which are all of this file.

    Each one is carried out or refused. Nothing else changes: the new text is read by the reader of scans, and every
    document must be equal to the old one with the patches applied.
    """
    try:
        text = _decoded(data)
    except UnfixableError as error:
        return FixedFile(data, [], [RefusedRepair(found, str(error)) for found in wanted])
    before = list(read_documents(data, name, _all))
    try:
        outcome = _together(text, name, before, wanted)
    except UnfixableError:
        outcome = _one_by_one(text, name, before, wanted)
    fixed, done, refused = outcome
    start = _BOM if data.startswith(_BOM) else b""
    return FixedFile(start + fixed.encode("utf-8", "surrogateescape"), done, refused)


_Outcome = tuple[str, list[ReportedHit], list[RefusedRepair]]


def _together(text: str, name: str, before: list[ParseResult], wanted: Sequence[ReportedHit]) -> _Outcome:
    """All repairs at once; raises UnfixableError where what comes out is not what was meant."""
    documents = {one.number: (place, one) for place, one in enumerate(before) if isinstance(one, Document)}
    starts = TextLines(text).starts
    by_document: dict[int, list[ReportedHit]] = {}
    done, refused = [], []
    for found in wanted:
        if found.origin.document in documents:
            by_document.setdefault(found.origin.document, []).append(found)
        else:
            refused.append(RefusedRepair(found, _CHANGED))
    pieces, after, position = [], list(before), 0
    last: Document | None = None
    for number, mine in sorted(by_document.items()):
        place, document = documents[number]
        if last is not None and (last.text_line, last.text) == (document.text_line, document.text):
            raise UnfixableError("two documents of one text: one by one")
        last = document
        patched, value, ok, bad = _document(document, mine)
        refused += bad
        done += ok
        if patched is None:
            continue
        start = text.index(document.text, max(position, starts[document.text_line - 1]))
        pieces += [text[position:start], patched]
        position = start + len(document.text)
        after[place] = document._replace(value=value)
    fixed = "".join((*pieces, text[position:]))
    if fixed != text and not _equal(after, list(read_documents(fixed.encode("utf-8", "surrogateescape"), name, _all))):
        raise UnfixableError("the result is not what was intended")
    return fixed, done, refused


def _one_by_one(text: str, name: str, before: list[ParseResult], wanted: Sequence[ReportedHit]) -> _Outcome:
    done: list[ReportedHit] = []
    refused: list[RefusedRepair] = []
    for found in wanted:
        try:
            text, ok, bad = _together(text, name, before, [found])
        except UnfixableError:
            refused.append(RefusedRepair(found, "the way it is written could not be kept: change it by hand"))
            continue
        if ok:
            before = list(read_documents(text.encode("utf-8", "surrogateescape"), name, _all))
        done += ok
        refused += bad
    return text, done, refused


def _document(
    document: Document, wanted: Sequence[ReportedHit]
) -> tuple[str | None, dict[str, Any], list[ReportedHit], list[RefusedRepair]]:
    """The new text of one document (None: it stays) and its value, what was done and what was not."""
    value: Any = document.value
    done: list[ReportedHit] = []
    refused: list[RefusedRepair] = []
    try:
        text = TextPatch(document.text, document.line - document.text_line)
    except (UnfixableError, YamlError) as error:
        return None, value, done, [RefusedRepair(found, str(error)) for found in wanted]
    for found in wanted:
        repair = found.hit.repair
        if repair is None:
            continue
        try:
            _must_be(found, value)
            patch = patch_of(value, found.hit.path, repair, found.origin.item)
            changed = apply(value, patch)
            text.apply(patch)
        except (UnfixableError, PathSyntaxError) as error:
            refused.append(RefusedRepair(found, str(error)))
            continue
        value = changed
        done.append(found)
    fixed = text.text()
    return (None if fixed == document.text else fixed), value, done, refused


def _must_be(found: ReportedHit, value: Any) -> None:
    """Raises UnfixableError where the object of a hit is no longer what it was."""
    for segment in paths.parse(found.origin.item):
        if isinstance(segment, int):
            value = value[segment] if isinstance(value, list) and segment < len(value) else None
        else:
            value = lookup(value, segment.name if isinstance(segment, paths.Field) else segment.text)
    metadata = lookup(value, "metadata")
    if (text(lookup(metadata, "name")) or text(lookup(metadata, "generateName"))) != found.subject.name:
        raise UnfixableError(_CHANGED)


def _equal(wanted: list[ParseResult], got: list[ParseResult]) -> bool:
    """Whether the same documents came out, each with the value that was meant."""
    if len(wanted) != len(got):
        return False
    for one, other in zip(wanted, got, strict=True):
        if type(one) is not type(other):
            return False
        if isinstance(one, Document) and isinstance(other, Document) and _typed(one.value) != _typed(other.value):
            return False
    return True


def _typed(value: Any) -> Any:
    """A value in which true is not equal to 1, nor 1 to 1.0."""
    if isinstance(value, dict):
        return {key: _typed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_typed(item) for item in value]
    return (type(value), value)


def _decoded(data: bytes) -> str:
    """The text as it is, but for a byte order mark at its start; raises UnfixableError for what is not plain UTF-8."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\x00" in data:
        raise UnfixableError("not UTF-8 text: save it as UTF-8")
    text = data.removeprefix(_BOM).decode("utf-8", "surrogateescape")
    if "\n\ufeff" in text or text.startswith("\ufeff"):
        raise UnfixableError("a byte order mark inside: remove it")
    return text


def _all(_version: str, _kind: str) -> bool:
    return True
