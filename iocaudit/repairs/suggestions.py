"""What the repair of a hit is on its own object: a JSON Patch, and the regions of the file that it changes."""

from __future__ import annotations

from iocaudit.core.errors import PathSyntaxError
from iocaudit.core.json_patch import ItemNames, patch_of
from iocaudit.core.repair import Suggestion, TextChange, UnfixableError
from iocaudit.core.report import ReportedHit
from iocaudit.core.resource import Resource
from iocaudit.repairs.yaml_patch import Replacement, TextPatch
from iocaudit.sources.documents import Document
from iocaudit.sources.text_lines import TextLines
from iocaudit.sources.yaml_builder import YamlError


def suggested(found: ReportedHit, resource: Resource) -> ReportedHit:
    """The same hit with the patch of its object; as it is where there is no repair, or none that fits the object."""
    repair = found.hit.repair
    if repair is None:
        return found
    try:
        patch = patch_of(resource.raw, found.hit.path, repair, names=resource.derive(_names_of))
    except (
        UnfixableError,
        PathSyntaxError,
        RecursionError,
    ):  # the last: a live object may be nested as deep as it likes
        return found
    return found._replace(suggestion=Suggestion(tuple(patch), repair.safe)) if patch else found


def _names_of(_: Resource) -> ItemNames:
    return ItemNames()


class DocumentChanges:
    """The regions of one document's text that suggestions change, read once for all of its hits."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._text: TextPatch | None = None
        self._names = ItemNames()
        try:
            self._text = TextPatch(document.text, document.line - document.text_line)
        except (UnfixableError, YamlError):
            return  # the patch is still good for the object, if not for the text

    def add_to(self, found: ReportedHit) -> ReportedHit:
        """The same hit with the regions that its suggestion changes."""
        suggestion, repair = found.suggestion, found.hit.repair
        if self._text is None or suggestion is None or repair is None:
            return found
        try:
            text = self._text.branch()
            text.apply(patch_of(self._document.value, found.hit.path, repair, found.origin.item, self._names))
            changes = tuple(self._change(text.lines, one) for one in text.replacements())
        except UnfixableError:
            return found
        return found._replace(suggestion=suggestion._replace(changes=changes))

    def _change(self, lines: TextLines, one: Replacement) -> TextChange:
        return TextChange(*self._at(lines, one.start), *self._at(lines, one.end), one.text)

    def _at(self, lines: TextLines, position: int) -> tuple[int, int]:
        return lines.number(position) + self._document.text_line, position - lines.start(position) + 1
