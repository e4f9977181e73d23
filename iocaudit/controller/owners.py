"""Whose finding a hit is: pods are folded into the owners they were verifiably made by.

An owner is followed through controller references only, by uid, where its kind is watched and its selector
matches. A hit that an owner's stored template has too is said once, on the owner. Nothing else of a pod is
ever put on a verified owner, or whoever can create pods could hide under its waivers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from iocaudit.controller.kept import Kept, KeptHit
from iocaudit.core.hit import Hit
from iocaudit.core.label_selector import selects
from iocaudit.core.report import Finding, Found, findings_of
from iocaudit.core.resource import CLUSTER, Ref

_DEEPEST = 8

Find = Callable[[str], Kept | None]
Watched = Callable[[str, str], bool]


def lineage(kept: Kept, find: Find) -> list[Kept]:
    """The verified owners, nearest first."""
    owners: list[Kept] = []
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
        if owner.selector is not None and not selects(owner.selector, dict(current.labels)):
            break
        owners.append(owner)
        current = owner
    return owners


def fold(members: Iterable[Kept], find: Find, watched: Watched) -> list[Finding]:
    """The findings of these objects (those of one namespace, or the cluster-scoped ones), sorted.

    ``watched`` says whether a group and kind is one whose objects we list. A ReplicaSet of zero under a
    verified owner is history: it runs nothing, and a rollback goes through the owner's own template.
    """
    own: list[Found] = []
    claimed: list[Found] = []
    templates: dict[str, frozenset[tuple[str, str, str]]] = {}
    for kept in members:
        if not kept.hits:
            continue
        owners = lineage(kept, find)
        if owners and kept.idle:
            continue
        known: set[tuple[str, str, str]] = set()
        for owner in owners:
            if owner.uid not in templates:
                templates[owner.uid] = owner.in_template()
            known |= templates[owner.uid]
        claim = None if owners else _claim(kept, watched)
        for hit in kept.hits:
            if hit.in_template in known:
                continue
            if claim is not None:
                moved = hit.hit._replace(path=hit.template_path, at=None)
                claimed.append(_found(hit, claim, moved))
            else:
                own.append(_found(hit, kept.ref, hit.hit))
    findings = findings_of(own)
    findings += [replace(finding, verified=False) for finding in findings_of(claimed)]
    return sorted(findings, key=lambda finding: (finding.home or "", finding.name))


def _claim(kept: Kept, watched: Watched) -> Ref | None:
    """The owner as claimed, where it is of a kind that we cannot look up. A Node is never an owner."""
    owner = kept.controller
    if owner is None or watched(owner.group, owner.kind) or (owner.group, owner.kind) == ("", "Node"):
        return None
    if not owner.kind or not owner.name:
        return None
    return Ref(owner.group, owner.version, owner.kind, kept.ref.namespace, owner.name)


def _found(kept: KeptHit, subject: Ref, hit: Hit) -> Found:
    return Found(kept.check, kept.severity, kept.iocs, subject, CLUSTER, hit, kept.fix)
