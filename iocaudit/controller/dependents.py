"""Which objects are to be audited again because something that their checks look up has changed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from iocaudit.core.kinds import NAMESPACE, Kind
from iocaudit.engine.catalogue import Catalogue

MOST_HOMES = 20
"""Namespaces whose objects of a kind are audited again one by one; of more, all objects of the kind are."""

_SHARE = 4.0
"""Rest between two rounds of auditing dependents, as a multiple of what the round took: a fifth of one core."""

DueNamespaces = dict[Kind, dict[str | None, None]]
"""The namespaces (None: all) whose objects of a kind are due."""


class Dependents:
    """What depends on what, by the declarations of the checks; and what is due, at a bounded pace."""

    def __init__(self, catalogue: Catalogue, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.rebase(catalogue)
        self._due: DueNamespaces = {}
        self._rested_at = 0.0

    def rebase(self, catalogue: Catalogue) -> None:
        """Go by the declarations of other checks from now on: rules have come or gone."""
        self._catalogue = catalogue
        self._of = _dependents(catalogue)

    def of(self, kind: Kind) -> tuple[Kind, ...]:
        """The audited kinds that have to be audited again when an object of a kind changes."""
        return self._of.get(kind, ())

    def concerned(self, before: Mapping[Kind, bytes], now: Mapping[Kind, bytes]) -> frozenset[Kind]:
        """The audited kinds whose every object has to be audited again, given what the world says now."""
        if not before or now.get(NAMESPACE) != before.get(NAMESPACE):
            # Policies may select by the labels of namespaces, whatever a check looks up.
            return frozenset(self._catalogue.audited_kinds)
        return frozenset(one for kind, epoch in now.items() if epoch != before.get(kind) for one in self.of(kind))

    def note(self, kind: Kind, home: str | None) -> None:
        """The objects of a kind are to be audited again: those of one namespace (None: all)."""
        homes = self._due.setdefault(kind, {})
        if home is None or len(homes) >= MOST_HOMES:
            homes.clear()
            homes[None] = None
        elif None not in homes:
            homes[home] = None

    def waits(self, kind: Kind | None, home: str | None) -> bool:
        """Whether objects of a kind in a namespace (None: in cluster scope) are to be audited again."""
        homes = self._due.get(kind) if kind is not None else None
        return homes is not None and (None in homes or home in homes)

    def clear(self) -> None:
        """Everything is audited anyway."""
        self._due.clear()

    @property
    def due_in(self) -> float | None:
        """Seconds until dependents may be audited again; None where none are due."""
        return max(0.0, self._rested_at - self._clock()) if self._due else None

    def take(self) -> DueNamespaces:
        """All that is due."""
        due, self._due = self._due, {}
        return due

    def rest(self, begun: float) -> None:
        """However fast Roles or policies change, auditing what depends on them takes a bounded share of a core."""
        ended = self._clock()
        self._rested_at = ended + _SHARE * (ended - begun)


def _dependents(catalogue: Catalogue) -> dict[Kind, tuple[Kind, ...]]:
    found: dict[Kind, dict[Kind, None]] = {}
    audited = set(catalogue.audited_kinds)
    for check in catalogue:
        if not check.admission_only:
            for kind in (*check.needs, *check.uses, *check.in_audits):
                found.setdefault(kind, {}).update((k, None) for k in check.looks_at if k in audited)
    return {kind: tuple(kinds) for kind, kinds in found.items()}
