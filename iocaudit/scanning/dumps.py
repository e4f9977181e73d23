"""A dump of a cluster (``kubectl get deploy,rs,pods -o yaml``): what an owner in the input reports is said once.

Whose hit is whose follows the same rules as in a live cluster (``engine.owners``): an object is left with the hits
that its verified owners don't have.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from iocaudit.core.report import Report, ReportedHit, SameHit
from iocaudit.core.resource import Origin, Resource
from iocaudit.engine.kept import AuditedObject, Interner, keep
from iocaudit.engine.owners import HitWaivers, Templates, lineage

if TYPE_CHECKING:
    from iocaudit.scanning.reading import Scan

_UNSEEN = {
    ("apps", "ReplicaSet"): (re.compile(r"(.+)-[a-z0-9]{1,10}"), "Deployment"),
    ("batch", "Job"): (re.compile(r"(.+)-[0-9]{5,}"), "CronJob"),
}
"""What controllers make in between, the name they give it, and the kind of its owner, of the same group.

Source: getNewReplicaSet of the Deployment controller, getJobName of the CronJob controller.
"""


class DumpedObject(NamedTuple):
    """An object that a cluster has given its uid: where it stands, and what was found on it."""

    file: str | None
    document: int
    item: str
    kept: AuditedObject


def dumped(resource: Resource, report: Report) -> DumpedObject:
    """What has to be known of an object to tell later which of its hits are its own, those under waivers too."""
    accepted = [*(one.found for one in report.waived), *(one.found for one in report.ignored)]
    whole = Report(found=[*report.found, *accepted], images=report.images)
    origin = resource.origin
    return DumpedObject(origin.file, origin.document, origin.item, keep(resource, whole, Interner(), patches=False))


def fold_repeated(scan: Scan, waivers: HitWaivers | None) -> None:
    """Take out of a scan what owners in it report already; the rest is left as it was found."""
    objects, scan.dumped = scan.dumped, []
    if not any(one.kept.controller is not None for one in objects):
        return
    known = _DumpIndex(one.kept for one in objects)
    templates = Templates(waivers)
    own: dict[tuple[str | None, int, str], set[SameHit]] = {}
    for one in objects:
        if owners := known.owners(one.kept):
            own[one[:3]] = {(hit.check, hit.hit.path, hit.hit.evidence) for hit in templates.own(one.kept, owners)}

    def stands(found: ReportedHit) -> bool:
        left = own.get(_place(found.origin))
        return left is None or found.same_hit in left

    scan.report.found = [found for found in scan.report.found if stands(found)]
    scan.report.waived = [one for one in scan.report.waived if stands(one.found)]


def _place(origin: Origin) -> tuple[str | None, int, str]:
    return (origin.file, origin.document, origin.item)


class _DumpIndex:
    """The dumped objects by uid, and by name, as what was left out of the dump may have been made by one."""

    def __init__(self, objects: Iterable[AuditedObject]) -> None:
        self._by_uid = {kept.uid: kept for kept in objects}
        self._named = {
            (kept.ref.group, kept.ref.kind, kept.ref.namespace, kept.ref.name): kept for kept in self._by_uid.values()
        }

    def owners(self, kept: AuditedObject) -> list[AuditedObject]:
        """The verified owners of an object, or who made the owner that it names and that was left out of the dump."""
        return lineage(kept, self._by_uid.get) or self._beyond(kept)

    def _beyond(self, kept: AuditedObject) -> list[AuditedObject]:
        claimed = kept.controller
        if claimed is None or (claimed.group, claimed.kind) not in _UNSEEN:
            return []
        if (claimed.group, claimed.kind, kept.ref.namespace, claimed.name) in self._named:
            return []  # it was not left out, but is not the owner either
        name, kind = _UNSEEN[claimed.group, claimed.kind]
        found = name.fullmatch(claimed.name)
        owner = self._named.get((claimed.group, kind, kept.ref.namespace, found[1])) if found else None
        if owner is None:
            return []
        return lineage(kept.claiming(claimed._replace(kind=kind, name=owner.ref.name, uid=owner.uid)), self._by_uid.get)
