"""Whose finding a hit is: pods are folded into the owners they were verifiably made by.

An owner is followed through controller references only, by uid, where its kind is watched and its selector
matches. A hit that an owner's stored template has too is said once, on the owner; a critical one only where the
images behind it are of the same repositories. Nothing else of a pod is ever put on a verified owner, or anyone who can
create or change pods could hide under its waivers. What pods only claim is covered by no waiver.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple, Protocol

from iocaudit.core.hit import Hit
from iocaudit.core.images_behind import Images, ImagesBehind
from iocaudit.core.label_selector import selects
from iocaudit.core.report import Finding, ImpliedHit, ReportedHit, WaivedHit, findings_of, parts_of
from iocaudit.core.resource import CLUSTER, Ref
from iocaudit.core.severity import Severity
from iocaudit.core.shape import mapping
from iocaudit.core.stored_patch import StoredPatch
from iocaudit.engine.kept import AuditedObject, SharedHit
from iocaudit.knowledge.pods.images import gained

_DEEPEST = 8

ObjectLookup = Callable[[str], AuditedObject | None]
WatchTest = Callable[[str, str], bool]


class HitWaivers(Protocol):
    """What waivers say of hits."""

    def speaks_of(self, check: str) -> bool:
        """Whether a hit of the check needs to be asked about at all."""
        ...

    def accept(self, found: ReportedHit, kept: AuditedObject, images: Images) -> WaivedHit | None:
        """Whether a waiver covers a hit on an object, with these images behind it."""
        ...

    def reaches(self, found: ReportedHit, kept: AuditedObject, images: Images, other: Images) -> bool | None:
        """Whether what covers a hit with the images behind it covers it with others too; None where nothing does."""
        ...


def lineage(kept: AuditedObject, find: ObjectLookup) -> list[AuditedObject]:
    """The verified owners, nearest first."""
    owners: list[AuditedObject] = []
    current = kept
    while current.controller is not None and len(owners) < _DEEPEST:
        claimed = current.controller
        owner = find(claimed.uid)
        if owner is None or (owner.ref.group, owner.ref.kind, owner.ref.name) != (
            claimed.group,
            claimed.kind,
            claimed.name,
        ):
            break
        if owner.ref.namespace is not None and owner.ref.namespace != current.ref.namespace:
            break
        if owner.selector is not None and not selects(owner.selector, _labels(current)):
            break
        owners.append(owner)
        current = owner
    return owners


def _labels(kept: AuditedObject) -> dict[str, object]:
    """The labels of an object; of one that was written without any, those that it asks of its own pods."""
    return dict(kept.labels) or dict(mapping(mapping(kept.selector).get("matchLabels")))


class Templates:
    """What owners' stored templates hit, worked out once for each owner."""

    def __init__(self, waivers: HitWaivers | None = None) -> None:
        self._waivers = waivers
        self._known: dict[str, dict[tuple[str, str, str], tuple[AuditedObject, SharedHit]]] = {}

    def own(self, kept: AuditedObject, owners: Sequence[AuditedObject]) -> list[SharedHit]:
        """The hits of an object that none of its verified owners has too: those that are to be told of itself.

        A ReplicaSet of zero under a verified owner is history: it runs nothing, and a rollback goes through the
        owner's own template.
        """
        if not owners:
            return list(kept.hits)
        if kept.idle:
            return []
        known: dict[tuple[str, str, str], tuple[AuditedObject, SharedHit]] = {}
        for owner in owners:
            if owner.uid not in self._known:
                self._known[owner.uid] = {key: (owner, hit) for key, hit in owner.in_template().items()}
            known |= self._known[owner.uid]
        return [
            hit
            for hit in kept.hits
            if (place := known.get(hit.in_template)) is None or _stands_alone(hit, *place, self.asked(hit))
        ]

    def asked(self, hit: SharedHit) -> HitWaivers | None:
        """The waivers, where they may have something to say of a hit."""
        return self._waivers if self._waivers is not None and self._waivers.speaks_of(hit.check) else None


class AttributedHits(NamedTuple):
    """The hits of some objects, each on whom it is told of, and the patches of checks on subjects.

    ``claimed`` are those on owners that pods only claim to have.
    """

    own: list[ReportedHit]
    claimed: list[ReportedHit]
    waived: list[WaivedHit]
    patches: dict[tuple[str, Ref], StoredPatch]


def attributed(
    members: Iterable[AuditedObject], find: ObjectLookup, watched: WatchTest, waivers: HitWaivers | None = None
) -> AttributedHits:
    """Put the hits of these objects (those of one namespace, or the cluster-scoped ones) on owners.

    ``watched`` says whether a group and kind is one whose objects we list.
    """
    own: list[ReportedHit] = []
    waived: list[WaivedHit] = []
    claimed: list[ReportedHit] = []
    patches: dict[tuple[str, Ref], StoredPatch] = {}
    templates = Templates(waivers)
    for kept in members:
        if not kept.hits:
            continue
        patches.update(((check, kept.ref), patch) for check, patch in kept.patches)
        owners = lineage(kept, find)
        claim = None if owners else _claim(kept, watched)
        for hit in templates.own(kept, owners):
            if claim is not None:
                moved = hit.hit._replace(path=hit.template_path, at=None)
                claimed.append(_found(hit, claim, moved))
            else:
                found = _found(hit, kept.ref, hit.hit)
                accepted = asked.accept(found, kept, hit.images) if (asked := templates.asked(hit)) else None
                if accepted is None:
                    own.append(found)
                else:
                    waived.append(accepted)
    return AttributedHits(own, claimed, waived, patches)


def findings_in(hits: AttributedHits, implied: Iterable[ImpliedHit] = ()) -> list[Finding]:
    """The findings that these hits are, sorted; those that others imply are listed with them."""
    parts = parts_of(implied)
    findings = findings_of(hits.own, hits.waived, hits.patches, parts)
    findings += [replace(finding, verified=False) for finding in findings_of(hits.claimed, parts=parts)]
    return sorted(findings, key=lambda finding: (finding.home or "", finding.name))


def _stands_alone(hit: SharedHit, owner: AuditedObject, owners: SharedHit, waivers: HitWaivers | None) -> bool:
    """Whether a hit is the pod's own although its owner's template has it: it gives the power to other images.

    Where a waiver covers it on the owner, that waiver says which images it is for.
    """
    if hit.images == owners.images:
        return False
    if waivers is not None:
        reaches = waivers.reaches(_found(owners, owner.ref, owners.hit), owner, owners.images, hit.images)
        if reaches is not None:
            return not reaches
    return hit.severity >= Severity.CRITICAL and bool(gained(_behind(hit), _behind(owners)))


def _behind(hit: SharedHit) -> ImagesBehind:
    return ImagesBehind(hit.images, hit.images)


def _claim(kept: AuditedObject, watched: WatchTest) -> Ref | None:
    """The owner as claimed, where it is of a kind that we cannot look up. A Node is never an owner."""
    owner = kept.controller
    if owner is None or watched(owner.group, owner.kind) or (owner.group, owner.kind) == ("", "Node"):
        return None
    if not owner.kind or not owner.name:
        return None
    return Ref(owner.group, owner.version, owner.kind, kept.ref.namespace, owner.name)


def _found(kept: SharedHit, subject: Ref, hit: Hit) -> ReportedHit:
    return ReportedHit(kept.check, kept.severity, kept.iocs, subject, CLUSTER, hit, kept.fix, None, kept.weight)
