"""What a finding is told for: the hits that it implies, in one line."""

from collections.abc import Sequence

from iocaudit.core.report import ReportedHit
from iocaudit.core.wording import several

_MOST = 5


def implies(cause: ReportedHit, parts: Sequence[ReportedHit]) -> str:
    """``Implies host-path-mount, writable-host-path (3 hits) and secret-access of ClusterRoleBinding web.``

    Nothing where it implies nothing.
    """
    counted: dict[str, int] = {}
    for part in parts:
        named = part.check if part.subject == cause.subject else f"{part.check} of {part.subject}"
        counted[named] = counted.get(named, 0) + 1
    names = [named if number == 1 else f"{named} ({number} hits)" for named, number in counted.items()]
    if not names:
        return ""
    if len(names) > _MOST:
        return f"Implies {several(names, _MOST)}."
    *first, last = names
    return f"Implies {', '.join(first)} and {last}." if first else f"Implies {last}."
