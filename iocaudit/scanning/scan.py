"""Audit files: read them all into a world, then audit each object in it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from iocaudit.core.report import Report, ReportedHit
from iocaudit.core.resource import Resource
from iocaudit.core.wording import counted
from iocaudit.core.world import World
from iocaudit.engine.audit import Auditor
from iocaudit.engine.catalogue import Catalogue, indexed_catalogue
from iocaudit.engine.policy_set import PolicySet
from iocaudit.knowledge.pods.places import forget_pods
from iocaudit.scanning.policy_files import (
    PolicyDocument,
    acceptor,
    make_policies,
    make_waivers,
    now_if_needed,
    read_policy_files,
)
from iocaudit.scanning.progress import Progress, Silence
from iocaudit.scanning.reading import (
    MOST_WAITING,
    PendingFile,
    Reader,
    Scan,
    UnreadableInput,
    note_inputs,
    skipped_templates,
)
from iocaudit.scanning.subjects import AuditSubject, RenderSource, subjects
from iocaudit.sources.documents import KUSTOMIZATIONS, Document
from iocaudit.sources.excluded import ExcludedPaths
from iocaudit.sources.files import Inputs, size_of
from iocaudit.sources.lines import LineTable

if TYPE_CHECKING:
    from datetime import datetime

    from iocaudit.repairs.missing import MissingObjects
    from iocaudit.repairs.suggestions import DocumentChanges
    from iocaudit.scanning.rules import RunRules

__all__ = ["Scan", "ScanOptions", "UnreadableInput", "audit_documents", "scan_files"]

WORTH_PROCESSES = 1_000_000
"""From how many characters of documents on a second process saves more time than it costs."""


class ScanOptions(NamedTuple):
    """What the command line says about a scan of files.

    ``jobs`` None: a second process for large inputs. ``render``: run helm and kustomize on what has to be rendered.
    ``values``: files for helm.
    ``suggest``: work repairs out, as patches of the objects or as changes of the text too, or collect what is missing.
    ``exclude``: patterns of files and folders to leave out. ``annotations``: leave out what objects ask to ignore;
    never of what was rendered.
    """

    profile: str = "default"
    policy_files: tuple[str, ...] = ()
    namespace: str = "default"
    each_file_alone: bool = False
    render: bool = False
    values: tuple[str, ...] = ()
    jobs: int | None = None
    suggest: Literal["", "patch", "text", "missing"] = ""
    exclude: tuple[str, ...] = ()
    annotations: bool = True
    most_waiting: int = MOST_WAITING
    policies: tuple[PolicyDocument, ...] | None = None
    """What ``policy_files`` hold, where that was read already."""
    rules: RunRules | None = None
    """What evaluates rules in languages of their own; without it each of them is a Fault."""


_ONE_PROCESS = "--jobs does not hold: with rules in Rego or CEL one process audits, beside what evaluates them"
_PLAIN = ScanOptions(annotations=False)


class Task:
    """All that the audit of a part of the files needs; can be handed to another process."""

    def __init__(
        self,
        catalogue: Catalogue,
        policies: list[PolicyDocument],
        options: ScanOptions,
        reader: Reader,
        now: datetime | None,
    ) -> None:
        """Raises EngineMissingError, EngineError where there are rules that cannot be evaluated."""
        self._catalogue = catalogue
        self._raw_policies = policies
        self._options = options
        self._reader = reader
        self._now = now
        self._policies = make_policies(policies, catalogue, options.profile)
        self.waivers = make_waivers(policies, self._policies.catalogue, now)
        self._rules = options.rules.begin(self._policies.catalogue) if options.rules is not None else None

    def __reduce__(self) -> tuple[Any, ...]:
        ids = [check.id for check in self._catalogue]
        return _task, (ids, self._raw_policies, self._options, self._reader, self._now)

    @property
    def asks(self) -> bool:
        """Whether anything is asked that evaluates rules."""
        return self._rules is not None

    def _auditor(self, world: World) -> Auditor:
        accept = acceptor(self.waivers, self._now)
        return Auditor(self._catalogue, self._policies, world, accept, self._rules)

    def fold(self, scan: Scan) -> Scan:
        """Leave out what owners of the input report already."""
        if scan.dumped:
            from iocaudit.engine.in_force import WaiversInForce  # late: few inputs come from a cluster
            from iocaudit.scanning.dumps import fold_repeated

            in_force = (
                WaiversInForce(self.waivers, self._now) if self.waivers is not None and self._now is not None else None
            )
            fold_repeated(scan, in_force)
        return scan

    def conclude(self, scan: Scan) -> Scan:
        """Put everything in order, and say of the waivers that waived nothing why, and what was not judged."""
        self.fold(scan)
        if self._options.render:
            scan.report.found = _once(scan.report.found)
        scan.sorted()
        if self.waivers is not None and self._now is not None:
            scan.notes += self.waivers.notes((one.waiver for one in scan.report.waived), self._now)
        by_shape = sum(found.origin.by_shape for found in scan.report.found)
        if by_shape:
            hits = counted(by_shape, "hit is", "hits are")
            scan.notes.append(f"{hits} by shape, in kinds that no check knows (byShape in -o json)")
        if scan.others:
            from iocaudit.scanning.unknown_kinds import said, unjudged  # late: so many inputs have none

            scan.unjudged = unjudged(scan.others, self._catalogue)
            scan.notes += filter(None, [said(scan.unjudged)])
        return scan

    def audit(self, part: Iterable[PendingFile], progress: Progress) -> Scan:
        """Audit what waits, in the world that the reader has filled."""
        scan = Scan()
        auditor = self._auditor(self._reader.world)
        for waiting in part:
            progress.step(waiting.file)
            _audit(self._reader.subjects_of(waiting, scan), auditor, scan, self._reader.keeps, self._options)
        return scan

    def audit_alone(self, part: Iterable[str], progress: Progress) -> Scan:
        """Read and audit each file in a world of its own."""
        scan = Scan()
        for file in part:
            progress.step(file)
            reader = Reader(
                self._catalogue,
                self._options.namespace,
                cache=self._reader.cache,
                texts=self._reader.texts,
                named=self._reader.named,
                fragments=self._reader.fragments,
            )
            auditor = self._auditor(reader.world)
            one = Scan()
            found = reader.subjects_of(reader.read(file, one), one)
            _audit(found, auditor, one, reader.keeps, self._options)
            skipped_templates(one)
            scan.extend(self.fold(one))
        return scan


def policies_of(options: ScanOptions, catalogue: Catalogue) -> list[PolicyDocument]:
    """The policies and waivers that a scan is to judge by. Raises PolicyError."""
    if options.policies is not None:
        return list(options.policies)
    return read_policy_files(options.policy_files, catalogue)


def _task(
    ids: list[str], policies: list[PolicyDocument], options: ScanOptions, reader: Reader, now: datetime | None
) -> Task:
    return Task(indexed_catalogue().select(ids), policies, options, reader, now)


def scan_files(
    paths: Iterable[str],
    catalogue: Catalogue,
    options: ScanOptions,
    *,
    progress: Progress | None = None,
    texts: Mapping[str, bytes] | None = None,
) -> Scan:
    """Audit every object of the given files. ``jobs`` other than 1 takes a part of the builtin catalogue.

    ``texts`` stand for the files of these names, which need not be there.

    Raises InputError and PolicyError for what the user named wrongly, WorkerError where a process died.
    """
    progress = progress or Silence()
    excluded = ExcludedPaths(options.exclude)
    inputs = Inputs(paths, excluded)
    reader = Reader(catalogue, options.namespace, most_waiting=options.most_waiting, texts=texts, named=inputs.named)
    policies = policies_of(options, catalogue)
    task = Task(catalogue, policies, options, reader, now_if_needed(policies))
    asked_jobs = options.jobs
    if task.asks:
        options = options._replace(jobs=1)  # what evaluates rules belongs to this process
    files = inputs.files + sorted(set(texts or ()) - set(inputs.files))
    scan = Scan(excluded=excluded.count)
    if task.asks and asked_jobs is not None and asked_jobs > 1:
        scan.notes.append(_ONE_PROCESS)
    note_inputs(inputs, scan)
    reader.reads_twice = options.render
    if options.render or any(os.path.basename(file) in KUSTOMIZATIONS for file in files):
        from iocaudit.sources.kustomize import Kustomizations  # late: few inputs have any

        kustomizations = Kustomizations(files, reader.bytes_of, reader.cache)
        reader.fragments = kustomizations.fragments()
    if options.each_file_alone:
        progress.stage("auditing", len(files))
        _in_parts(task.audit_alone, files, [size_of(file) for file in files], scan, options, progress)
        return task.conclude(scan)
    waiting: list[PendingFile] = []
    if options.render:
        from iocaudit.scanning.render import render  # late: it runs other programs

        rendered = render(files, kustomizations, options.values, scan, reader, progress)
        waiting += rendered.waiting
        files = [file for file in files if file not in rendered.covered]
        scan.files += len(rendered.covered)
    progress.stage("reading", len(files))
    for file in files:
        progress.step(file)
        waiting.append(reader.read(file, scan))
    skipped_templates(scan)
    waiting = [one for one in waiting if one.entries or one.again is not None]
    progress.stage("auditing", len(waiting))
    _in_parts(task.audit, waiting, [one.weight for one in waiting], scan, options, progress)
    skipped_templates(scan)  # those of documents that were parsed only now
    return task.conclude(scan)


def _in_parts(
    audit: Callable[[list[Any], Progress], Scan],
    items: list[Any],
    weights: list[int | None],
    scan: Scan,
    options: ScanOptions,
    progress: Progress,
) -> None:
    """Audit all items, in further processes where that pays or was asked for, and add the outcome to ``scan``."""
    if options.jobs != 1 and len(items) > 1 and None not in weights:
        known = [weight or 0 for weight in weights]
        if options.jobs is not None or sum(known) >= WORTH_PROCESSES:
            from iocaudit.scanning.workers import in_processes, share, usable_cpus  # late: few scans are that large

            jobs = options.jobs or min(2, usable_cpus())
            for part in in_processes(audit, share(items, known, jobs), progress):
                scan.extend(part)
            return
    scan.extend(audit(items, progress))


def audit_documents(documents: Iterable[Document], name: str, catalogue: Catalogue, policies: PolicySet) -> Report:
    """Audit documents that were read already, as one file and a world of their own."""
    scan = Scan()
    loaded = [subject for document in documents for subject in subjects(document, name)]
    world = World()
    for subject in loaded:
        world.add(subject.resource)
    _audit(loaded, Auditor(catalogue, policies, world), scan, lambda _: True)
    return scan.report.sorted()


def _audit(
    found: Iterable[AuditSubject],
    auditor: Auditor,
    scan: Scan,
    keeps: Callable[[Resource], bool],
    options: ScanOptions = _PLAIN,
) -> None:
    suggest = options.suggest
    annotated = options.annotations and not options.render
    table: LineTable | None = None
    changes: DocumentChanges | None = None
    document: Document | None = None
    for subject in found:
        report = auditor.audit(subject.resource)
        if subject.resource.origin.by_shape:
            from iocaudit.scanning.unknown_kinds import certain  # late: few files hold any

            report.found = [one for found in report.found if (one := certain(found, subject.resource)) is not None]
        if annotated and subject.resource.annotations:
            from iocaudit.engine.annotations import leave_out  # late: few objects have any

            scan.notes += leave_out(report, subject.resource, auditor.catalogue)
        if subject.resource.uid:
            from iocaudit.scanning.dumps import dumped  # late: few inputs come from a cluster

            scan.dumped.append(dumped(subject.resource, report))
        if suggest == "missing":
            scan.missing += _missing(report, subject.resource, auditor)
        elif suggest and report.found:
            from iocaudit.repairs.suggestions import suggested  # late: the table needs none

            report.found = [suggested(one, subject.resource) for one in report.found]
        if (source := subject.source) is not None:
            report.place(partial(_sourced, source, subject.resource))
        elif (report.found or report.waived or report.ignored) and subject.resource.origin.line is not None:
            if table is None or subject.document is not document:
                document = subject.document
                table = LineTable.of(document)
                changes = _changes(document) if suggest == "text" else None
            report.place(partial(_placed, table))
            if changes is not None:
                report.found = [changes.add_to(one) for one in report.found]
        scan.report.extend(report)
        if not keeps(subject.resource):
            forget_pods(subject.resource)  # so that it is freed without the garbage collector, which is off


def _once(found: Iterable[ReportedHit]) -> list[ReportedHit]:
    """Each hit once: overlays of one base make the same object of it."""
    return list({(one.origin.file, one.origin.line, one.fingerprint, one.severity): one for one in found}.values())


def _missing(report: Report, resource: Resource, auditor: Auditor) -> list[MissingObjects]:
    from iocaudit.repairs.missing import wanted  # late: on request only

    return [one for found in report.found if (one := wanted(found, resource, auditor.world)) is not None]


def _changes(document: Document) -> DocumentChanges:
    from iocaudit.repairs.suggestions import DocumentChanges  # late: for SARIF only

    return DocumentChanges(document)


def _sourced(source: RenderSource, resource: Resource, found: ReportedHit) -> ReportedHit:
    """The same hit where what was rendered comes from."""
    return found._replace(origin=source.origin(found, resource))


def _placed(table: LineTable, found: ReportedHit) -> ReportedHit:
    """The same hit with the line its path stands on."""
    return found._replace(origin=found.origin._replace(line=table.line(found.path_in_document)))
