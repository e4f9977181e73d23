"""What is said of kinds that no check knows: hits of pods found by their shape, and what is not judged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from iocaudit.core.kinds import kind_of
from iocaudit.core.kinds.unknown import SHAPED
from iocaudit.core.report import ReportedHit
from iocaudit.core.resource import Resource
from iocaudit.core.wording import counted
from iocaudit.engine.catalogue import Catalogue
from iocaudit.knowledge.pods.by_shape import is_gap_at, stands

_MOST_NAMED = 10


def certain(found: ReportedHit, resource: Resource) -> ReportedHit | None:
    """A hit by shape as far as it is certain; None where it is not.

    Of a pod in an unknown kind only what is written counts: its controller may add the rest. Whether its API would take
    a repair is not known either.
    """
    if resource.kind is not SHAPED:
        return None if is_gap_at(resource.raw, found.hit.path) else found
    return found._replace(hit=found.hit._replace(repair=None)) if stands(resource.raw, found.hit.path) else None


def unjudged(others: Mapping[tuple[str, str], int], catalogue: Catalogue) -> dict[str, int]:
    """How many objects there were of each kind that no check looks at, whichever checks were chosen: ``Kind.group``."""
    judged = {kind.key for kind in catalogue.whole.kinds}
    counts: Counter[str] = Counter()
    for (group, name), count in others.items():
        kind = kind_of(group, name)
        if kind is None or kind.key not in judged:
            counts[f"{name}.{group}" if group else name] += count
    return dict(sorted(counts.items()))


def said(counts: Mapping[str, int]) -> str:
    """One line on what was not judged, the most frequent kinds first; empty where there is nothing to say."""
    by_name: Counter[str] = Counter()
    for name, count in counts.items():
        by_name[name.partition(".")[0]] += count
    if not by_name:
        return ""
    total = by_name.total()
    ranked = sorted(by_name.items(), key=lambda one: (-one[1], one[0]))
    named = ", ".join(f"{name} ({count})" for name, count in ranked[:_MOST_NAMED])
    left = len(ranked) - _MOST_NAMED
    more = f" and {counted(left, 'more kind')}" if left > 0 else ""
    objects = counted(total, "object of a kind", "objects of kinds")
    return f"{objects} that no check looks at: {named}{more}"
