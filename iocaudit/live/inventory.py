"""Everything audited so far, by uid and by namespace, and the findings that follow from it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from iocaudit.core.kinds import Kind
from iocaudit.core.report import Finding, ImpliedHit
from iocaudit.engine.catalogue import Catalogue
from iocaudit.engine.causes import causes_of
from iocaudit.engine.kept import AuditedObject
from iocaudit.engine.owners import AttributedHits, HitWaivers, attributed, findings_in

Scope = str | None
"""A namespace with its Namespace object, or None for all else in cluster scope: what is folded together."""


class Causes(NamedTuple):
    """The findings of a scope that stand by themselves, and the hits that are told with one of them."""

    findings: list[Finding]
    implied: list[ImpliedHit]


class Inventory:
    """The objects of the kinds that are watched. ``serve`` says which kinds those are."""

    def __init__(self) -> None:
        self._kept: dict[str, AuditedObject] = {}
        self._scopes: dict[Scope, dict[str, None]] = {}
        self._watched: frozenset[tuple[str, str]] = frozenset()

    def serve(self, kinds: Iterable[Kind]) -> None:
        """Take these as the kinds whose objects we list."""
        self._watched = frozenset(kind.key for kind in kinds)

    def watched(self, group: str, kind: str) -> bool:
        return (group, kind) in self._watched

    def get(self, uid: str) -> AuditedObject | None:
        return self._kept.get(uid)

    def put(self, kept: AuditedObject) -> None:
        self._kept[kept.uid] = kept
        self._scopes.setdefault(kept.home, {})[kept.uid] = None

    def drop(self, uid: str) -> AuditedObject | None:
        """Forget an object; returns what was known of it."""
        kept = self._kept.pop(uid, None)
        if kept is not None:
            members = self._scopes[kept.home]
            members.pop(uid, None)
            if not members:
                del self._scopes[kept.home]
        return kept

    def drop_missing(self, kind: Kind, seen: set[str], namespace: Scope = None) -> None:
        """After a full list of a kind (in one namespace, or everywhere): forget what it did not hold."""
        gone = [
            uid
            for uid, kept in self._kept.items()
            if kept.kind == kind and uid not in seen and namespace in (None, kept.ref.namespace)
        ]
        for uid in gone:
            self.drop(uid)

    def __iter__(self) -> Iterator[AuditedObject]:
        return iter(self._kept.values())

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def scopes(self) -> list[Scope]:
        return list(self._scopes)

    def members(self, scope: Scope) -> Iterator[AuditedObject]:
        return (self._kept[uid] for uid in self._scopes.get(scope, {}))

    def findings(self, scope: Scope, waivers: HitWaivers | None = None) -> list[Finding]:
        """The findings on the objects of a scope, sorted, as the waivers have it, those that others imply included."""
        return findings_in(self.attributed(scope, waivers))

    def causes(self, scope: Scope, catalogue: Catalogue, waivers: HitWaivers | None = None) -> Causes:
        """The same without those that others imply."""
        hits = self.attributed(scope, waivers)
        shown, implied = causes_of([*hits.own, *hits.claimed], catalogue)
        claimed = {id(one) for one in hits.claimed}
        own = [one for one in shown if id(one) not in claimed]
        left = hits._replace(own=own, claimed=[one for one in shown if id(one) in claimed])
        return Causes(findings_in(left, implied), implied)

    def attributed(self, scope: Scope, waivers: HitWaivers | None) -> AttributedHits:
        """The hits of a scope, each on the object that it is told of."""
        return attributed(self.members(scope), self.get, self.watched, waivers)

    def unsure(self, scope: Scope) -> set[tuple[str | None, str, str, str]]:
        """(check, group, kind, name) that could not be evaluated: what was found there before still holds.

        Group, kind and name as stored findings have them.
        """
        found: set[tuple[str | None, str, str, str]] = set()
        for kept in self.members(scope):
            if not kept.skipped and not kept.faults:
                continue
            ref = kept.ref.shown
            found.update((skipped.check, ref.group, ref.kind, ref.name) for skipped in kept.skipped)
            found.update((fault.check, ref.group, ref.kind, ref.name) for fault in kept.faults)
        return found
