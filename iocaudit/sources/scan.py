"""Audit files: read them all into a world, then audit each object in it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from iocaudit.core.errors import PolicyError
from iocaudit.core.report import Found, Report, Skipped
from iocaudit.core.resource import Origin, Resource
from iocaudit.core.shape import items
from iocaudit.core.world import World
from iocaudit.engine.audit import Auditor
from iocaudit.engine.catalogue import Catalogue
from iocaudit.engine.policy import API_VERSION, PolicySet, read_policies
from iocaudit.sources.documents import (
    Document,
    NotKubernetes,
    OtherKind,
    Template,
    Unreadable,
    read_documents,
)
from iocaudit.sources.files import expand, read_bytes
from iocaudit.sources.lines import LineTable

MOST_LIST_DEPTH = 5


@dataclass(frozen=True, slots=True)
class Unread:
    """An input that could not be read: file, line if known, reason."""

    file: str
    line: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class ScanOptions:
    """What the command line says about a scan of files."""

    profile: str = "default"
    policy_files: tuple[str, ...] = ()
    namespace: str = "default"
    each_file_alone: bool = False


@dataclass(slots=True)
class Scan:
    """What came in: counts, errors, and the report."""

    report: Report = field(default_factory=Report)
    files: int = 0
    documents: int = 0
    not_kubernetes: int = 0
    other_kinds: int = 0
    errors: list[Unread] = field(default_factory=list)


@dataclass(slots=True)
class _Loaded:
    resource: Resource
    document: Document


def scan_files(
    paths: Iterable[str],
    catalogue: Catalogue,
    options: ScanOptions,
    *,
    progress: Callable[[str], None] | None = None,
) -> Scan:
    """Audit every object of the given files. Raises InputError and PolicyError for what the user named wrongly."""
    policies = load_policies(options, catalogue)
    wanted = _wanted(catalogue)
    scan = Scan()
    loaded: list[_Loaded] = []
    for file in expand(paths):
        if progress is not None:
            progress(file)
        if options.each_file_alone:
            alone = list(_load(file, wanted, scan))
            _audit(alone, catalogue, policies, options, scan)
        else:
            loaded += _load(file, wanted, scan)
    if not options.each_file_alone:
        _audit(loaded, catalogue, policies, options, scan)
    scan.report = scan.report.sorted()
    scan.errors.sort(key=lambda error: (error.file, error.line or 0, error.reason))
    return scan


def audit_documents(documents: Iterable[Document], name: str, catalogue: Catalogue, policies: PolicySet) -> Report:
    """Audit documents that were read already, as one file and a world of their own."""
    scan = Scan()
    loaded = [entry for document in documents for entry in _resources(document, name)]
    _audit(loaded, catalogue, policies, ScanOptions(), scan)
    return scan.report.sorted()


def load_policies(options: ScanOptions, catalogue: Catalogue) -> PolicySet:
    """The AuditPolicies of ``--policy``; raises PolicyError naming the file."""
    raws: list[dict[str, Any]] = []
    for file in options.policy_files:
        data = read_bytes(file)
        if isinstance(data, Unreadable):
            raise PolicyError(f"{file}: {data.reason}")
        before = len(raws)
        for outcome in read_documents(data, file, lambda _version, _kind: True):
            if isinstance(outcome, Unreadable | Template):
                raise PolicyError(f"{file}:{outcome.line or 1}: {outcome.reason}")
            if isinstance(outcome, Document) and outcome.value["apiVersion"] == API_VERSION:
                if outcome.value["kind"] != "AuditPolicy":
                    raise PolicyError(f"{file}:{outcome.line}: {outcome.value['kind']} is no AuditPolicy")
                raws.append(outcome.value)
        if len(raws) == before:
            raise PolicyError(f"{file}: holds no AuditPolicy of {API_VERSION}")
    policies = read_policies(raws, catalogue, profile=options.profile)
    for policy in policies.policies:
        if policy.unknown_ids:
            raise PolicyError(f"AuditPolicy {policy.name}: unknown checks: {', '.join(policy.unknown_ids)}")
    return policies


def _wanted(catalogue: Catalogue) -> Callable[[str, str], bool]:
    names = {kind.name for kind in catalogue.kinds} | {"Kustomization", "AdmissionReview"}
    return lambda _version, kind: kind in names


def _load(file: str, wanted: Callable[[str, str], bool], scan: Scan) -> Iterator[_Loaded]:
    scan.files += 1
    name = "<stdin>" if file == "-" else file
    data = read_bytes(file)
    if isinstance(data, Unreadable):
        scan.errors.append(Unread(name, data.line, data.reason))
        return
    for outcome in read_documents(data, name, wanted):
        if isinstance(outcome, Unreadable):
            scan.errors.append(Unread(name, outcome.line, outcome.reason))
            continue
        scan.documents += 1
        if isinstance(outcome, OtherKind):
            scan.other_kinds += 1
        elif isinstance(outcome, NotKubernetes):
            scan.not_kubernetes += 1
        elif isinstance(outcome, Template):
            origin = Origin("file", name, outcome.line)
            scan.report.skipped.append(Skipped(None, None, outcome.reason, origin))
        else:
            yield from _resources(outcome, name)


def _resources(document: Document, name: str) -> Iterator[_Loaded]:
    origin = Origin("file", name, document.line, document.index)
    for raw, item in _exploded(document.value, "", 0):
        yield _Loaded(Resource(raw, replace(origin, item=item) if item else origin), document)


def _exploded(value: dict[str, Any], path: str, depth: int) -> Iterator[tuple[dict[str, Any], str]]:
    """The objects inside a List; a typed list (PodList) gives its items their kind, as the API does."""
    kind = value["kind"]
    if not (kind.endswith("List") and isinstance(value.get("items"), list)) or depth >= MOST_LIST_DEPTH:
        yield value, path
        return
    for index, item in enumerate(items(value["items"])):
        if not isinstance(item, dict):
            continue
        if kind != "List":
            item = {"apiVersion": value["apiVersion"], "kind": kind.removesuffix("List")} | item
        if isinstance(item.get("kind"), str) and isinstance(item.get("apiVersion"), str):
            yield from _exploded(item, f"{path}{'.' if path else ''}items[{index}]", depth + 1)


def _audit(loaded: list[_Loaded], catalogue: Catalogue, policies: PolicySet, options: ScanOptions, scan: Scan) -> None:
    world = World(default_namespace=options.namespace)
    for entry in loaded:
        world.add(entry.resource)
    auditor = Auditor(catalogue, policies, world)
    tables: dict[int, LineTable] = {}
    for entry in loaded:
        report = auditor.audit(entry.resource)
        if report.found:
            report.found = [_placed(found, entry.document, tables) for found in report.found]
        scan.report.extend(report)


def _placed(found: Found, document: Document, tables: dict[int, LineTable]) -> Found:
    """The same hit with the line its path stands on."""
    table = tables.get(id(document))
    if table is None:
        tables.clear()  # documents come one after another: one table at a time bounds the memory
        table = tables[id(document)] = LineTable(document.text, document.text_line, document.line)
    item, place = found.origin.item, found.hit.place
    path = f"{item}.{place}" if item and place else item or place
    return found._replace(origin=replace(found.origin, line=table.line(path)))
