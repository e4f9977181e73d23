"""Read files into a world and into what is yet to be audited, within bounds.

An object can be audited only once everything that checks look up is known. Objects that may be looked up go into
the world and stay; a document of any other kind waits as unparsed text, or, where all the texts that wait would
be too much, is read again from its file when its turn has come. So memory holds the world, one file, and
``MOST_WAITING`` characters.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple
from zlib import crc32

from iocaudit.core.kinds import NAMESPACE, Kind, kind_of
from iocaudit.core.kinds.unknown import SHAPED
from iocaudit.core.report import Report, Skipped
from iocaudit.core.resource import Origin, Resource
from iocaudit.core.shape import lookup, text
from iocaudit.core.world import OtherObject, World
from iocaudit.engine.catalogue import Catalogue
from iocaudit.scanning.subjects import NO_KINDS, AuditSubject, OwnKinds, RenderSource, UnjudgedObjects, subjects
from iocaudit.sources.documents import (
    DeferredDocument,
    Document,
    ForeignDocument,
    OtherKind,
    ReadFailure,
    ReadResult,
    Template,
    TextCache,
    given_up,
    read_documents,
    read_later,
)
from iocaudit.sources.files import Inputs, read_bytes, size_of
from iocaudit.sources.json_text import MOST_BROKEN
from iocaudit.sources.yaml_builder import AliasBudget
from iocaudit.sources.yaml_text import DEFINITION

if TYPE_CHECKING:
    from iocaudit.repairs.missing import MissingObjects
    from iocaudit.scanning.dumps import DumpedObject
    from iocaudit.sources.kustomize import Fragments

MOST_WAITING = 64 * 1024 * 1024
"""How many characters of text wait in memory for their audit."""
_PARSED = 10
"""How many times larger than its text a document is once it is parsed."""


class UnreadableInput(NamedTuple):
    """An input that could not be read: file, line if known, reason."""

    file: str
    line: int | None
    reason: str


@dataclass(slots=True)
class Scan:
    """What came in: counts, errors, and the report."""

    report: Report = field(default_factory=Report)
    files: int = 0
    documents: int = 0
    not_kubernetes: int = 0
    others: Counter[tuple[str, str]] = field(default_factory=Counter)
    """The objects that none of the chosen checks looks at, by group and kind."""
    unjudged: dict[str, int] = field(default_factory=dict)
    """Those of kinds that no check at all looks at, as ``Kind.group``, once all is read."""
    excluded: int = 0
    """How many files and folders ``--exclude`` has left out."""
    errors: list[UnreadableInput] = field(default_factory=list)
    templates: list[tuple[str, Template]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What is to be said beside the report, of waivers and annotations that accepted nothing."""
    missing: list[MissingObjects] = field(default_factory=list)
    """What hits miss, where that was asked for."""
    dumped: list[DumpedObject] = field(default_factory=list)
    """The objects that come from a cluster, until it is settled which of their hits an owner among them reports."""
    catalogue: Catalogue | None = None
    """The checks that it was audited by, where a cluster brought some of them along."""

    def extend(self, other: Scan) -> None:
        self.report.extend(other.report)
        self.files += other.files
        self.documents += other.documents
        self.not_kubernetes += other.not_kubernetes
        self.others += other.others
        self.errors += other.errors
        self.templates += other.templates
        self.missing += other.missing
        self.dumped += other.dumped
        self.notes += other.notes

    def sorted(self) -> Scan:
        """The same, in an order that does not depend on who read what when."""
        self.report = self.report.sorted()
        self.errors.sort(key=lambda error: (error.file, error.line or 0, error.reason))
        return self


@dataclass(slots=True)
class PendingFile:
    """What is yet to be audited of one file, in the order of its documents.

    ``again`` is the checksum of the file's bytes where those that may wait have to be read from it once more.
    ``weight`` is about how much work it is, in characters. Without ``lines`` the text is not that of the file,
    but what was rendered from it. ``kinds`` are those that rules alone know.
    """

    file: str
    entries: list[AuditSubject | DeferredDocument] = field(default_factory=list)
    again: int | None = None
    weight: int = 0
    lines: bool = True
    kinds: OwnKinds = field(default_factory=lambda: NO_KINDS)

    def subjects(self, document: Document, scan: Scan | None = None) -> Iterator[AuditSubject]:
        """The objects of one of its documents; what of it cannot be judged is said in the scan."""
        aside = UnjudgedObjects()
        yield from subjects(document, self.file, lines=self.lines, aside=aside, kinds=self.kinds)
        if scan is not None:
            origin = Origin("file", self.file, document.line if self.lines else None, document.number)
            _note_aside(aside, origin, scan)

    def note(self, outcome: ReadResult | OtherKind, scan: Scan) -> None:
        """Count a document that holds nothing to audit, and say so where it should have."""
        if isinstance(outcome, ReadFailure) and not self.lines:
            outcome = ReadFailure(None, f"rendered, line {outcome.line or 1}: {outcome.reason}")
        note(outcome, self.file, scan)


class SourcedDocument(NamedTuple):
    """A rendered document, and the file of the input that it comes from, where that is known."""

    document: Document
    file: str | None
    source: RenderSource | None


class Reader:
    """Reads files for a catalogue. ``wanted`` kinds are parsed, those that checks look up go into the world."""

    def __init__(
        self,
        catalogue: Catalogue,
        default_namespace: str,
        *,
        most_waiting: int = MOST_WAITING,
        cache: TextCache | None = None,
        texts: Mapping[str, bytes] | None = None,
        named: Iterable[str] = (),
        fragments: Fragments | None = None,
    ) -> None:
        """``texts`` are read in place of the files of these names; ``named`` files need not be regular.

        ``fragments`` are documents that are not judged, as they are patches.
        """
        self.world = World(default_namespace=default_namespace)
        self.cache = cache or TextCache()
        self.texts = dict(texts or {})
        self.named = frozenset(named)
        self.fragments = fragments or {}
        self.reads_twice = False
        """Whether what can be read only once is asked for again, so it is kept."""
        self._kept: frozenset[Kind] = frozenset((NAMESPACE, *catalogue.file_world_kinds))
        self._order: list[Resource] = []
        self._left = most_waiting
        self._names = {kind.name for kind in catalogue.kinds} | {"Namespace", "Kustomization", "AdmissionReview"}
        self._looked_up = {kind.name for kind in self._kept}
        self._looked_at = {kind.key for kind in catalogue.kinds}
        self._own_kinds = {kind.key: kind for kind in catalogue.kinds if kind_of(*kind.key) is None}

    def __getstate__(self) -> dict[str, Any]:
        """For another process: what the world holds is put into one anew, as no index of it need be sent."""
        state = {name: value for name, value in vars(self).items() if name not in ("world", "cache")}
        world = {
            "_namespace": self.world.default_namespace,
            "_installed": self.world.installed,
            "_others": self.world.others,
        }
        return {**state, **world}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.world = World(default_namespace=state.pop("_namespace"))
        self.world.install(state.pop("_installed"))
        self.world.others = state.pop("_others")
        self.cache = TextCache()
        vars(self).update(state)
        for resource in self._order:
            self.world.add(resource)

    def _wanted(self, _version: str, kind: str) -> bool:
        return kind in self._names

    def _may_wait(self, _version: str, kind: str) -> bool:
        return kind not in self._looked_up

    def read(self, file: str, scan: Scan) -> PendingFile:
        """Read a file: count, note what is unreadable, fill the world, return what has to be audited."""
        scan.files += 1
        data = self.bytes_of(file)
        if isinstance(data, ReadFailure):
            note(data, name_of(file), scan)
            return PendingFile(name_of(file))
        return self.take(data, name_of(file), scan, may_read_again=True)

    def bytes_of(self, file: str) -> bytes | ReadFailure:
        """The bytes of a file, or why they cannot be had."""
        if file in self.texts:
            return self.texts[file]
        data = read_bytes(file, named=file in self.named)
        if self.reads_twice and file in self.named and isinstance(data, bytes) and size_of(file) is None:
            self.texts[file] = data
        return data

    def take(self, data: bytes, name: str, scan: Scan, *, may_read_again: bool = False) -> PendingFile:
        """The same for bytes that were read already."""
        waiting = PendingFile(name, kinds=self._own_kinds)
        size = 0
        installed: set[str] = set()
        for outcome in self._outcomes(data, waiting.file, scan):
            if isinstance(outcome, DeferredDocument):
                waiting.entries.append(outcome)
                size += len(outcome.text)
                waiting.weight += len(outcome.text)
            elif isinstance(outcome, Document):
                scan.documents += 1
                waiting.weight += len(outcome.text) // 2
                for subject in self._counted(waiting.subjects(outcome, scan), scan):
                    waiting.entries.append(subject)
                    self._note_other(subject.resource)
                    if self.keeps(subject.resource):
                        self.world.add(subject.resource)
                        self._order.append(subject.resource)
                    elif subject.resource.kind_name == DEFINITION:
                        installed.add(text(lookup(subject.resource.raw, "spec", "group")))
                    else:
                        size += _PARSED * len(outcome.text)
            else:
                if isinstance(outcome, OtherKind):
                    self._note_kind(outcome, installed)
                waiting.note(outcome, scan)
        if not installed <= self.world.installed:
            self.world.install(self.world.installed | installed)
        if size > self._left and may_read_again and size_of(name) is not None:
            waiting.again = crc32(data)
            waiting.entries = [entry for entry in waiting.entries if not self._may_go(entry)]
        else:
            self._left -= size
        return waiting

    def _note_kind(self, outcome: OtherKind, installed: set[str]) -> None:
        """Note what a document says that was not parsed: the group that it installs, or whose object it is."""
        if outcome.installs:
            installed.add(outcome.installs)
        elif outcome.name:
            group = outcome.api_version.rpartition("/")[0]
            self.world.others[OtherObject(group, outcome.kind, outcome.namespace or None, outcome.name)] = None

    def _note_other(self, resource: Resource) -> None:
        if resource.kind in (None, SHAPED) and "." in resource.group and resource.kind_name != DEFINITION:
            other = OtherObject(resource.group, resource.kind_name, resource.namespace, resource.name)
            self.world.others[other] = None

    def take_rendered(
        self, data: bytes, name: str, scan: Scan, sourced: Callable[[Document], SourcedDocument]
    ) -> PendingFile:
        """The same for what was rendered from a file; ``sourced`` tells of each document where it comes from."""
        waiting = PendingFile(name, lines=False, kinds=self._own_kinds)
        installed = set(self.world.installed)
        for outcome in read_documents(data, name, self._wanted, cache=self.cache):
            if isinstance(outcome, OtherKind):
                self._note_kind(outcome, installed)
            if not isinstance(outcome, Document):
                assert not isinstance(outcome, DeferredDocument), "nothing was allowed to wait"
                waiting.note(outcome, scan)
                continue
            scan.documents += 1
            waiting.weight += len(outcome.text)
            document, file, source = sourced(outcome)
            for subject in self._counted(waiting.subjects(document, scan), scan):
                resource = subject.resource
                self._note_other(resource)
                resource.origin = resource.origin._replace(file=file or name, rendered=True)
                waiting.entries.append(subject._replace(source=source))
                if self.keeps(resource):
                    self.world.add(resource)
                    self._order.append(resource)
        self.world.install(installed)
        return waiting

    def _counted(self, found: Iterable[AuditSubject], scan: Scan) -> Iterator[AuditSubject]:
        """The same, those counted at which none of the chosen checks looks."""
        for subject in found:
            kind = subject.resource.kind
            if kind is not None and kind is not SHAPED and kind.key not in self._looked_at:
                scan.others[kind.key] += 1
            yield subject

    def _outcomes(
        self, data: bytes, name: str, scan: Scan | None
    ) -> Iterator[ReadResult | OtherKind | DeferredDocument]:
        """What a file holds, without the fragments, which are said in the scan."""
        fragments = self.fragments.get(name)
        for outcome in read_documents(data, name, self._wanted, may_wait=self._may_wait, cache=self.cache):
            if fragments and isinstance(outcome, Document | DeferredDocument) and outcome.number in fragments:
                if scan is not None:
                    scan.documents += 1
                    reason = f"a patch, which {fragments[outcome.number]} puts into what it changes"
                    origin = Origin("file", name, outcome.line, outcome.number)
                    scan.report.skipped.append(Skipped(None, None, reason, origin))
                continue
            yield outcome

    def keeps(self, resource: Resource) -> bool:
        """Whether checks may look the resource up, so it stays."""
        return resource.kind in self._kept

    def _may_go(self, entry: AuditSubject | DeferredDocument) -> bool:
        return isinstance(entry, DeferredDocument) or not self.keeps(entry.resource)

    def subjects_of(self, waiting: PendingFile, scan: Scan) -> Iterator[AuditSubject]:
        """Every object of a file that is to be audited; what turns out to be unreadable is noted."""
        budget = AliasBudget()
        broken = 0
        for entry in self._entries_of(waiting, scan):
            if isinstance(entry, AuditSubject):
                yield entry
                continue
            for outcome in read_later(entry, waiting.file, budget, self.cache):
                if isinstance(outcome, Document):
                    scan.documents += 1
                    yield from self._counted(waiting.subjects(outcome, scan), scan)
                    continue
                waiting.note(outcome, scan)
                if isinstance(outcome, ReadFailure):
                    broken += 1
                    if broken == MOST_BROKEN:
                        waiting.note(given_up(outcome.line), scan)
                        return

    def _entries_of(self, waiting: PendingFile, scan: Scan) -> Iterator[AuditSubject | DeferredDocument]:
        yield from waiting.entries
        if waiting.again is None:
            return
        data = self.bytes_of(waiting.file)
        if isinstance(data, ReadFailure):
            waiting.note(data, scan)
            return
        if crc32(data) != waiting.again:
            waiting.note(ReadFailure(None, "was changed while it was being read: scan again"), scan)
            return
        for outcome in self._outcomes(data, waiting.file, None):
            if isinstance(outcome, DeferredDocument):
                yield outcome
            elif isinstance(outcome, Document):
                yield from (found for found in waiting.subjects(outcome) if self._may_go(found))


def _note_aside(aside: UnjudgedObjects, origin: Origin, scan: Scan) -> None:
    """Say what of a document's objects is not judged."""
    if aside.items:
        left_out = f"{_first_of(aside.items, 'is', 'are')} left out: not an object with apiVersion and kind"
        scan.report.skipped.append(Skipped(None, None, left_out, origin))
    for resource, lists in aside.containers:
        reason = f"{_first_of(lists, 'was', 'were')} not audited: no check knows what becomes of these containers"
        scan.report.skipped.append(Skipped(None, resource.ref, reason, resource.origin))
    for resource in aside.unknown:
        scan.others[resource.group, resource.kind_name] += 1


def _first_of(paths: list[str], one: str, many: str) -> str:
    return f"{paths[0]} {one}" if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more {many}"


def name_of(file: str) -> str:
    """What a file is called in reports."""
    return "<stdin>" if file == "-" else file


def note_inputs(inputs: Inputs, scan: Scan) -> None:
    """Say what of the given folders is not read."""
    scan.errors += [UnreadableInput(path, None, reason) for path, reason in inputs.unreadable]
    scan.report.skipped += [Skipped(None, None, reason, Origin("file", path)) for path, reason in inputs.left_out]


def note(outcome: ReadResult | OtherKind, name: str, scan: Scan) -> None:
    """Count a document that holds nothing to audit, and say so where it should have."""
    if isinstance(outcome, ReadFailure):
        scan.errors.append(UnreadableInput(name, outcome.line, outcome.reason))
        return
    scan.documents += 1
    if isinstance(outcome, OtherKind):
        scan.others[outcome.api_version.rpartition("/")[0], outcome.kind] += 1
    elif isinstance(outcome, ForeignDocument):
        scan.not_kubernetes += 1
        if outcome.left_out:
            scan.report.skipped.append(Skipped(None, None, outcome.left_out, Origin("file", name, outcome.line)))
    elif isinstance(outcome, Template):
        scan.templates.append((name, outcome))


def skipped_templates(scan: Scan) -> None:
    """Say of every template that was found that it was not audited, and how to render it."""
    for name, template in scan.templates:
        scan.report.skipped.append(Skipped(None, None, template.reason, Origin("file", name, template.line)))
    scan.templates = []
