"""What an object in a file asks to leave out: an annotation for each check, with the reason.

``ignore.iocaudit.io/host-pid: "the node agent reads every process"`` leaves out the hits of that one check on that very
object. It counts in files alone: in a cluster anyone who may write an object would accept its risks, which is what
waivers are for.
"""

from __future__ import annotations

from collections.abc import Iterator

from iocaudit.core.report import IgnoredHit, Report
from iocaudit.core.resource import Resource
from iocaudit.engine.catalogue import Catalogue
from iocaudit.engine.fields import nearest
from iocaudit.knowledge.clipping import clip

PREFIX = "ignore.iocaudit.io/"
SHORTEST_REASON = 10
"""How many characters a reason has at least."""


def leave_out(report: Report, resource: Resource, catalogue: Catalogue) -> Iterator[str]:
    """Move the hits that the object's annotations name to ``report.ignored``; yields what is wrong with these."""
    for name, value in resource.annotations.items():
        if not name.startswith(PREFIX):
            continue
        reason = value.strip() if isinstance(value, str) else ""
        named = name[len(PREFIX) :]
        check = catalogue.whole.find(named)
        if check is None:
            near = nearest(named, catalogue.whole.names)
            yield _said(resource, name, f"there is no check {clip(named)!r}{near}")
        elif len(reason) < SHORTEST_REASON:
            yield _said(resource, name, f"its reason has to have {SHORTEST_REASON} characters or more")
        else:
            ignored = [found for found in report.found if found.check == check.id]
            if ignored:
                report.found = [found for found in report.found if found.check != check.id]
                report.ignored += (IgnoredHit(found, reason) for found in ignored)
            elif catalogue.find(named) and not _open(report, check.id):
                yield _said(resource, name, "the check finds nothing here: remove the annotation")


def _open(report: Report, check: str) -> bool:
    """Whether it is not known that a check does not hit."""
    return any(one.check == check for one in report.skipped) or any(one.check == check for one in report.faults)


def _said(resource: Resource, name: str, what: str) -> str:
    origin = resource.origin
    place = f"{origin.file}:{origin.line}: " if origin.line else f"{origin.file}: " if origin.file else ""
    return f"{place}{resource.ref}: annotation {clip(name)}: {what}"
