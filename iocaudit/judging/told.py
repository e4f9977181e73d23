"""Which hits of a verdict its answer names: causes, as one cause is one finding. The verdict stays what it is."""

from __future__ import annotations

from iocaudit.engine.catalogue import Catalogue
from iocaudit.engine.causes import causes_of
from iocaudit.engine.posture import RootCauses, Verdict


def with_told(verdict: Verdict, catalogue: Catalogue) -> Verdict:
    """The same, knowing what to name. What denies is told with another denial alone, a warning with either."""
    if len(verdict.denials) + len(verdict.warnings) < 2:
        return verdict
    denials, _ = causes_of(verdict.denials, catalogue)
    every = denials
    if verdict.warnings:
        every, _ = causes_of([*verdict.denials, *verdict.warnings], catalogue)
    denied = {(found.group, found.same_hit) for found in verdict.denials}
    warnings = (found for found in every if (found.group, found.same_hit) not in denied)
    return verdict._replace(told=RootCauses(tuple(denials), tuple(warnings)))
