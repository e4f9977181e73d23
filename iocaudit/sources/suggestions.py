"""What the repair of a hit is on its own object: a JSON Patch, and the regions of the file that it changes."""

from __future__ import annotations

from bisect import bisect_right

from iocaudit.core.errors import PathSyntaxError
from iocaudit.core.json_patch import patch_of
from iocaudit.core.repair import Change, Suggestion, Unfixable
from iocaudit.core.report import Found
from iocaudit.core.resource import Resource
from iocaudit.sources.documents import Document
from iocaudit.sources.yaml_builder import YamlError
from iocaudit.sources.yaml_patch import Replacement, TextPatch


def suggested(found: Found, resource: Resource) -> Found:
    """The same hit with the patch of its object; as it is where there is no repair, or none that fits the object."""
    repair = found.hit.repair
    if repair is None:
        return found
    try:
        patch = patch_of(resource.raw, found.hit.path, repair)
    except (Unfixable, PathSyntaxError, RecursionError):  # the last: a live object may be nested as deep as it likes
        return found
    return found._replace(suggestion=Suggestion(tuple(patch), repair.safe)) if patch else found


class DocumentChanges:
    """The regions of one document's text that suggestions change, read once for all of its hits."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._text: TextPatch | None = None
        self._starts = [0]
        try:
            self._text = TextPatch(document.text, document.line - document.text_line)
        except (Unfixable, YamlError):
            return  # the patch is still good for the object, if not for the text
        while (found := document.text.find("\n", self._starts[-1])) >= 0:
            self._starts.append(found + 1)

    def add_to(self, found: Found) -> Found:
        """The same hit with the regions that its suggestion changes."""
        suggestion, repair = found.suggestion, found.hit.repair
        if self._text is None or suggestion is None or repair is None:
            return found
        try:
            text = self._text.branch()
            text.apply(patch_of(self._document.value, found.hit.path, repair, found.origin.item))
            changes = tuple(self._change(one) for one in text.replacements())
        except Unfixable:
            return found
        return found._replace(suggestion=suggestion._replace(changes=changes))

    def _change(self, one: Replacement) -> Change:
        return Change(*self._at(one.start), *self._at(one.end), one.text)

    def _at(self, position: int) -> tuple[int, int]:
        line = bisect_right(self._starts, position)
        return line + self._document.text_line - 1, position - self._starts[line - 1] + 1
