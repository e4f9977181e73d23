"""The checks in force, indexed by what they look at, and the kinds that follow from them."""

import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property

from iocaudit.core.check import Check
from iocaudit.core.errors import CatalogueError
from iocaudit.core.kinds import CONNECTIONS, DEPLOYMENT, Kind
from iocaudit.core.kinds.unknown import SHAPED
from iocaudit.core.request import Operation
from iocaudit.engine.check_packages import is_any_installed
from iocaudit.engine.completes import COMPLETES, is_completed

_WRITES = frozenset({Operation.CREATE, Operation.UPDATE})


class Catalogue:
    """An immutable set of checks. Raises CatalogueError where two claim one id or alias.

    ``whole`` is what it was selected from: what a policy or a waiver may name, whatever runs.
    """

    def __init__(self, checks: Iterable[Check], whole: "Catalogue | None" = None) -> None:
        self.whole: Catalogue = whole if whole is not None else self
        self._checks: dict[str, Check] = {}
        self._aliases: dict[str, str] = {}
        for check in sorted(checks, key=lambda c: c.id):
            if check.id in self._checks:
                raise CatalogueError(f"check {check.id!r} is declared twice: ids must be unique")
            self._checks[check.id] = check
        for check in self._checks.values():
            for alias in check.aliases:
                if alias in self._checks or alias in self._aliases:
                    raise CatalogueError(f"check {check.id!r}: its alias {alias!r} is already taken")
                self._aliases[alias] = check.id
        self._completed: dict[Kind, Catalogue | None] = {}
        by_kind: defaultdict[Kind, list[Check]] = defaultdict(list)
        for check in self._checks.values():
            for kind in check.looks_at:
                by_kind[kind].append(check)
        # What reaches a pod of an unknown kind depends on what its controller makes of it.
        by_kind[SHAPED] = [
            check for check in by_kind[DEPLOYMENT] if (check.on_pods and check.group != "network") or check.asks
        ]
        self._by_kind = {kind: tuple(found) for kind, found in by_kind.items() if found}

    def __iter__(self) -> Iterator[Check]:
        return iter(self._checks.values())

    def __len__(self) -> int:
        return len(self._checks)

    def find(self, name: str) -> Check | None:
        """The check of that id or alias."""
        return self._checks.get(self._aliases.get(name, name))

    def for_kind(self, kind: Kind | None) -> tuple[Check, ...]:
        """The checks that look at a kind, by id."""
        return self._by_kind.get(kind, ()) if kind is not None else ()

    def select(self, keep: Iterable[str]) -> "Catalogue":
        """A catalogue of only these ids."""
        wanted = set(keep)
        return Catalogue((check for check in self if check.id in wanted), self.whole)

    def also(self, checks: Iterable[Check]) -> "Catalogue":
        """With these besides: rules that policies declare. An id that is known already, be it left out, stays as it is.

        Its selection holds for the others: it was made before the new ones were known.
        """
        new = [check for check in checks if self.whole.find(check.id) is None]
        if not new:
            return self
        if self.whole is self:
            return Catalogue((*self, *new))
        return Catalogue((*self, *new), self.whole.also(new))

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Every id and alias."""
        return tuple(name for check in self for name in (check.id, *check.aliases))

    @cached_property
    def asks(self) -> bool:
        """Whether it has a rule in a language of its own."""
        return any(check.asks for check in self)

    @cached_property
    def groups(self) -> frozenset[str]:
        return frozenset(check.group for check in self)

    @cached_property
    def kinds(self) -> tuple[Kind, ...]:
        """Every stored kind that some check looks at or looks up: what a source of files has to read."""
        seen = {kind for c in self for kind in (*c.looks_at, *c.needs, *c.uses, *c.in_files, *c.in_audits)}
        return tuple(sorted(seen - set(CONNECTIONS), key=lambda kind: (kind.group, kind.name)))

    @cached_property
    def audited_kinds(self) -> tuple[Kind, ...]:
        """The stored kinds that a check which runs in an audit looks at."""
        seen = {kind for check in self if not check.admission_only for kind in check.looks_at}
        return tuple(sorted(seen - set(CONNECTIONS), key=lambda kind: (kind.group, kind.name)))

    @cached_property
    def world_kinds(self) -> tuple[Kind, ...]:
        """The kinds that checks look up in the World during an audit."""
        seen = {kind for check in self for kind in (*check.needs, *check.uses, *check.in_audits)}
        return tuple(sorted(seen, key=lambda kind: (kind.group, kind.name)))

    @cached_property
    def file_world_kinds(self) -> tuple[Kind, ...]:
        """The kinds that checks look up in the World where it is one of files."""
        seen = {kind for c in self for kind in (*c.needs, *c.uses, *c.in_audits, *c.in_files)}
        return tuple(sorted(seen, key=lambda kind: (kind.group, kind.name)))

    @cached_property
    def admission_world_kinds(self) -> tuple[Kind, ...]:
        """The kinds that checks which run at admission look up: what the webhook lists and watches."""
        seen = {kind for c in self if not c.audit_only for kind in (*c.needs, *c.uses)}
        return tuple(sorted(seen, key=lambda kind: (kind.group, kind.name)))

    @cached_property
    def admission_rules(self) -> Mapping[Kind, frozenset[Operation]]:
        """Kind to operations that the checks want to see at admission."""
        rules: dict[Kind, frozenset[Operation]] = {}
        for check in self:
            if check.audit_only:
                continue
            for kind in check.looks_at:
                rules[kind] = rules.get(kind, frozenset()).union(check.operations)
            for kind, dependents in COMPLETES.items():
                if is_completed(check, kind, dependents):
                    rules[kind] = rules.get(kind, frozenset()) | _WRITES
        return rules

    def completed_by(self, kind: Kind) -> "Catalogue | None":
        """The checks to whose hits a request for an object of that kind may be the last that was wanting."""
        if kind not in self._completed:
            dependents = COMPLETES.get(kind, ())
            ids = [check.id for check in self if is_completed(check, kind, dependents)]
            self._completed[kind] = self.select(ids) if ids else None
        return self._completed[kind]


def builtin_catalogue() -> Catalogue:
    """The checks that ship with the product, and no others: what the repository's own files are generated from."""
    from checks import declared  # imported late: reading the catalogue is the dear part of a start

    return Catalogue(declared())


def installed_catalogue() -> Catalogue:
    """The checks that ship with the product, and those of installed packages. Raises OwnCheckError for a broken one."""
    from checks import declared

    return _with_own(Catalogue(declared()))


def indexed_catalogue() -> Catalogue:
    """The same for a process that ends soon: each of the product's checks is imported when it is first called."""
    from iocaudit.engine.check_index import indexed

    return _with_own(Catalogue(indexed()))


def _with_own(shipped: Catalogue) -> Catalogue:
    if not is_any_installed(sys.path):
        return shipped
    from iocaudit.engine.own_checks import own_checks  # late: it is dear, and most have no such package

    return Catalogue((*shipped, *own_checks(shipped.names)))
