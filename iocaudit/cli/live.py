"""``iocaudit scan --cluster``: audit a live cluster, read-only, page by page."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

from iocaudit.cli.live_part import ClusterPart
from iocaudit.cli.live_policies import Judgement, read_judgement
from iocaudit.cluster.api import Api
from iocaudit.cluster.client import Client
from iocaudit.cluster.discovery import NOT_SERVED, ServedKinds, discover
from iocaudit.cluster.errors import ApiError, ForbiddenError, NotFoundError
from iocaudit.core.kinds import NAMESPACE, Kind
from iocaudit.core.repair import Suggestion
from iocaudit.core.report import ReportedHit, Skipped, finding_fingerprint
from iocaudit.core.resource import CLUSTER, Ref, Resource
from iocaudit.core.world import World
from iocaudit.engine.audit import Auditor
from iocaudit.engine.catalogue import Catalogue
from iocaudit.engine.in_force import WaiversInForce
from iocaudit.engine.kept import Interner, keep
from iocaudit.engine.waivers import Waivers
from iocaudit.knowledge.keeping import Keeper
from iocaudit.knowledge.mutability import is_fixed
from iocaudit.knowledge.pods.places import forget_pods
from iocaudit.live.inventory import Inventory
from iocaudit.repairs.suggestions import suggested
from iocaudit.scanning.policy_files import make_policies, make_waivers
from iocaudit.scanning.scan import Scan, ScanOptions, policies_of

_WHOLE = ClusterPart()


def scan_cluster(
    catalogue: Catalogue,
    options: ScanOptions,
    *,
    context: str | None = None,
    kubeconfig: Path | None = None,
    claimed: set[str] | None = None,
    part: ClusterPart = _WHOLE,
    select: Callable[[Catalogue], Catalogue] = lambda known: known,
) -> Scan:
    """Audit every object that some check looks at. What may not be read is Skipped with that reason.

    The rules that the cluster's policies and ConfigMaps bring along are checks of the scan, and known to ``select``,
    which chooses those that are audited.

    Hits are put on owners and waived as the operator does it, by the cluster's own policies and waivers or, where
    the options name files, by those alone. ``claimed`` gets the fingerprints of findings on owners that pods only name.
    Of the cluster only ``part`` is audited; all of it is looked up. Raises IocauditError where its namespace is absent.
    """
    client = Client.connect(kubeconfig, context)
    part.require(client)
    now = datetime.now(UTC)
    if options.policy_files:
        judgement = _of_files(catalogue, options, now, select)
    else:
        judgement = read_judgement(client, catalogue, options.profile, now, options.rules, select)
    catalogue = judgement.catalogue
    scan = Scan(notes=[*judgement.notes, *part.notes], catalogue=catalogue)
    scan.report.skipped += [Skipped(None, None, reason) for reason in judgement.unread]
    served = discover(client)
    world = World(default_namespace=options.namespace, own_namespace=judgement.own_namespace)
    world.install(served.groups)
    world.knows_rules = judgement.knows_rules
    load_kinds(client, (NAMESPACE, *catalogue.world_kinds, *judgement.policies.catalogue.world_kinds), world, served)
    rules = options.rules.begin(catalogue) if options.rules is not None else None
    auditor = Auditor(catalogue, judgement.policies, world, answers=rules)
    audit = _Audit(client, auditor, scan, part, suggest=bool(options.suggest))
    for kind in served.present(catalogue.audited_kinds):
        if part.has(kind):
            audit.kind(kind, served)
    audit.conclude(judgement.waivers, now, claimed)
    scan.documents = scan.report.audited
    scan.report = scan.report.sorted()
    scan.notes += judgement.waivers.notes((one.waiver for one in scan.report.waived), now)
    return scan


def _of_files(
    catalogue: Catalogue, options: ScanOptions, now: datetime, select: Callable[[Catalogue], Catalogue]
) -> Judgement:
    raws = policies_of(options, catalogue)
    waivers = make_waivers(raws, catalogue, now) or Waivers()
    files = ", ".join(options.policy_files)
    note = f"the cluster is judged by {files} alone, not by its own AuditPolicies and IocWaivers"
    policies = make_policies(raws, catalogue, options.profile)
    return Judgement(policies, waivers, select(policies.catalogue), [note])


class _Audit:
    """Audits kind by kind into a scan. Of an object only its hits are kept."""

    def __init__(self, client: Api, auditor: Auditor, scan: Scan, part: ClusterPart, *, suggest: bool) -> None:
        self._client, self._auditor, self._scan, self._suggest = client, auditor, scan, suggest
        self._part = part
        self._inventory, self._intern = Inventory(), Interner()
        self._listed: list[Kind] = []
        self._suggestions: dict[tuple[Ref, tuple[str, str, str]], Suggestion] = {}

    def kind(self, kind: Kind, served: ServedKinds) -> None:
        try:
            for raw in self._part.objects(self._client, kind):
                resource = Resource(raw, CLUSTER, kind=kind)
                if self._inventory.get(resource.uid) is None:
                    self._object(resource)
                    forget_pods(resource)  # so that a page is freed without the garbage collector, which is off
        except ApiError as error:
            if isinstance(error, NotFoundError) and not served.only_as(kind):
                return  # removed meanwhile: there are none
            self._scan.report.skipped.append(Skipped(None, None, f"{kind.plural} were not audited: {error}"))
            if isinstance(error, ForbiddenError):
                return
        self._listed.append(kind)

    def _object(self, resource: Resource) -> None:
        report = self._auditor.audit(resource)
        self._inventory.put(keep(resource, report, self._intern))
        # Whatever made an object would undo a patch of it.
        if self._suggest and resource.controller is None:
            for found in report.found:
                if resource.kind is not None and is_fixed(resource.kind, resource.raw, found.hit):
                    continue
                if (suggestion := suggested(found, resource).suggestion) is not None:
                    self._suggestions[found.subject, found.same_hit] = suggestion
        report.found = []
        self._scan.report.extend(report)

    def conclude(self, waivers: Waivers, now: datetime, claimed: set[str] | None) -> None:
        """Put the hits on owners and under waivers."""
        self._inventory.serve(self._listed)
        in_force = WaiversInForce(waivers, now) if waivers else None
        report = self._scan.report
        for scope in self._inventory.scopes:
            for finding in self._inventory.findings(scope, in_force):
                if claimed is not None and not finding.verified:
                    claimed.add(finding_fingerprint(finding.check, finding.subject))
                for hit in finding.hits:
                    found = self._with_suggestion(hit)
                    waived = finding.waived.get(hit.same_hit)
                    if waived is None:
                        report.found.append(found)
                    else:
                        report.waived.append(waived._replace(found=found))

    def _with_suggestion(self, found: ReportedHit) -> ReportedHit:
        suggestion = self._suggestions.get((found.subject, found.same_hit))
        return found if suggestion is None else found._replace(suggestion=suggestion)


def read_world(kinds: Iterable[Kind], *, context: str | None = None, kubeconfig: Path | None = None) -> World:
    """The objects of these kinds in a live cluster; a kind that may not be read is incomplete."""
    client = Client.connect(kubeconfig, context)
    world = World()
    served = discover(client)
    load_kinds(client, kinds, world, served)
    return world


def load_kinds(client: Api, kinds: Iterable[Kind], world: World, served: ServedKinds) -> None:
    """Take the objects of kinds into a world, in which those are incomplete that may not be read."""
    for named in dict.fromkeys(kinds):
        kind = served.resolved(named)
        if kind is None:
            world.mark_incomplete(named, NOT_SERVED)
        elif not served.absent(kind):
            _load_kind(client, kind, world, served)


def _load_kind(client: Api, kind: Kind, world: World, served: ServedKinds) -> None:
    try:
        found, _ = client.collect(kind, Keeper(kind).keep)
    except ApiError as error:
        if not isinstance(error, NotFoundError) or served.only_as(kind):
            world.mark_incomplete(kind, str(error))
        return
    world.replace(kind, found)
