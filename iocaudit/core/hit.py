"""What a check yields."""

from typing import NamedTuple

from iocaudit.core.place import AffectedParts, GrantedRole
from iocaudit.core.repair import Repair
from iocaudit.core.severity import Severity


class Hit(NamedTuple):
    """One place in one object that is bad, and the value that makes it so.

    ``path`` follows ``core.paths`` and survives reordering; ``at`` is where the value stands now, if that
    differs (a rule by its position). ``evidence`` is the value in a canonical spelling: two hits of one check
    with the same path and evidence are the same hit. ``severity`` is None where the check's own holds.
    ``repair`` is how to undo it, where that takes no more than the object itself. ``grant``, of a hit on a binding,
    says what it grants of whom; ``within``, of a hit in a pod, is filled in by the engine where it is wanted. ``about``
    is what it has in common with a hit of another check at the same path, where that is not the evidence. ``alone``: it
    implies no hit of another check, whatever its own declares.
    """

    path: str
    message: str
    evidence: str = ""
    severity: Severity | None = None
    at: str | None = None
    fix: str | None = None
    repair: Repair | None = None
    grant: GrantedRole | None = None
    within: AffectedParts | None = None
    about: str = ""
    alone: bool = False

    @property
    def place(self) -> str:
        return self.at or self.path


class Skip(NamedTuple):
    """What a check yields in place of a Hit where it could not evaluate a part of the subject."""

    reason: str
