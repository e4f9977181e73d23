"""What policies would have denied of a log, as text and as JSON."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from iocaudit.core.moments import rfc3339
from iocaudit.core.shape import Json
from iocaudit.core.wording import counted, several
from iocaudit.knowledge.credentials.credential import redacted
from iocaudit.sinks.columns import columns
from iocaudit.sinks.escape import visible

if TYPE_CHECKING:
    from iocaudit.impact.denied_causes import DeniedCause
    from iocaudit.impact.history import History
    from iocaudit.impact.past_attempts import PastAttempt
    from iocaudit.signals.audit_log import LogTally

_MOST_ROWS = 40
_MOST_LISTED = 1_000
"""How many causes and attempts JSON holds; the counts are of all."""
_NAMED = 2
_LONGEST_IMAGE = 60
_LOGIN = re.compile(r"(?<![^/])[^/@]*:[^/@]*@(?!sha(?:256|384|512):)")


@dataclass(slots=True)
class HistoryOutcome:
    """What a log holds, and what would have become of it."""

    history: History
    log: LogTally


def print_history(outcome: HistoryOutcome) -> Iterator[str]:
    """The lines, without line ends."""
    tally, log = outcome.history.tally, outcome.log
    yield (
        f"history: {counted(tally.asked, 'request')} that the webhook would have been asked about{_span(log)}, "
        f"{tally.judged} of them judged{_percent(tally.judged, tally.asked)}"
    )
    yield f"would have been denied: {counted(tally.denied, 'request')}"
    causes = outcome.history.causes.all
    if causes:
        header = ("NAMESPACE", "OBJECT", "CHECK", "REQUESTS", "FIRST", "LAST", "USERS", "IMAGES", "")
        yield columns(header, [_row(cause) for cause in causes[:_MOST_ROWS]]).rstrip("\n")
        if len(causes) > _MOST_ROWS:
            yield f"and {counted(len(causes) - _MOST_ROWS, 'more cause')}: -o json lists them"
        if any(cause.on_today for cause in causes[:_MOST_ROWS]):
            yield "today: the hit depends on other objects, which are taken as they are today"
    for line in _beside(outcome):
        yield visible(line)


def _row(cause: DeniedCause) -> tuple[str, ...]:
    key = cause.key
    return (
        key.namespace or "",
        key.target,
        key.check,
        str(cause.count),
        _moment(cause.first),
        _moment(cause.last),
        _most(cause.users),
        _most(Counter({_image(image): count for image, count in cause.images.items()})),
        "today" if cause.on_today else "",
    )


def _beside(outcome: HistoryOutcome) -> Iterator[str]:
    """What was not judged and not counted, and why."""
    history, log = outcome.history, outcome.log
    tally = history.tally
    if history.causes.beyond:
        yield f"and {counted(history.causes.beyond, 'more reason')} that there was no room to tell apart"
    if tally.not_judged:
        yield f"not judged: {counted(tally.not_judged.total(), 'request')}"
        for reason, count in sorted(tally.not_judged.items(), key=lambda one: (-one[1], one[0])):
            yield f"  {count}: {reason} ({several(tally.examples[reason], 3)})"
    if tally.refused:
        by = ", ".join(f"{count} by {who}" for who, count in sorted(tally.refused.items()))
        yield f"did not go on then, and not counted: {by}"
    if tally.dry_runs:
        yield f"not counted: {counted(tally.dry_runs, 'dry run')}"
    if tally.unasked:
        yield f"not counted, as no webhook is asked: {counted(tally.unasked, 'request')} (such as deletions and scales)"
    if tally.elsewhere:
        yield f"not counted: {counted(tally.elsewhere, 'request')} in other namespaces"
    if tally.as_sent:
        yield (
            f"judged as it was sent, without what the API server and webhooks filled in: "
            f"{counted(tally.as_sent, 'request')}"
        )
    if tally.without_groups:
        yield (
            f"{counted(tally.without_groups, 'request')} from a log that holds neither groups nor dry runs: policies "
            "that select by other groups than those of every user may judge otherwise"
        )
    if tally.not_evaluated:
        named = several([f"{check} on {count}" for check, count in tally.not_evaluated.most_common()], 4)
        yield f"not evaluated, as what they look up is not known: {named} (give PATHs or --cluster)"
    if log.foreign:
        yield f"not events of an audit log: {counted(log.foreign, 'entry', 'entries')}, the first {log.first_foreign}"


def print_attempts(attempts: list[PastAttempt]) -> Iterator[str]:
    """What was denied already, as the cluster has it on record."""
    if not attempts:
        return
    total = sum(one.times for one in attempts)
    yield f"denied already, as the cluster has it on record: {counted(total, 'request')}"
    rows = [
        (
            one.namespace or "",
            f"{one.kind}/{one.name}",
            one.check,
            str(one.times),
            one.first,
            one.last,
            one.user,
            "" if one.still else "would go on",
        )
        for one in attempts[:_MOST_ROWS]
    ]
    yield columns(("NAMESPACE", "OBJECT", "CHECK", "REQUESTS", "FIRST", "LAST", "USER", ""), rows).rstrip("\n")
    if len(attempts) > _MOST_ROWS:
        yield f"and {counted(len(attempts) - _MOST_ROWS, 'more attempt')}: -o json lists them"


def history_json(outcome: HistoryOutcome) -> Json:
    """All of it, of the causes the most frequent."""
    tally, log, causes = outcome.history.tally, outcome.log, outcome.history.causes.all
    return {
        "from": _moment(log.first) or None,
        "to": _moment(log.last) or None,
        "requests": tally.asked,
        "judged": tally.judged,
        "judgedShare": round(tally.share, 4),
        "denied": tally.denied,
        "judgedAsSent": tally.as_sent,
        "withoutGroups": tally.without_groups,
        "dryRuns": tally.dry_runs,
        "notAsked": tally.unasked,
        "otherNamespaces": tally.elsewhere,
        "refused": {who.name.lower().replace("_", "-"): count for who, count in sorted(tally.refused.items())},
        "notJudged": [
            {"reason": reason.value, "requests": count, "examples": tally.examples[reason]}
            for reason, count in sorted(tally.not_judged.items(), key=lambda one: (-one[1], one[0]))
        ],
        "notEvaluated": dict(sorted(tally.not_evaluated.items())),
        "causes": len(causes),
        "beyond": outcome.history.causes.beyond,
        "wouldHaveBeenDenied": [_cause_json(cause) for cause in causes[:_MOST_LISTED]],
        "log": {
            "lines": log.lines,
            "events": log.events,
            "leftOut": log.left_out,
            "repeated": log.repeated,
            "notRead": log.unread_count,
            "foreign": log.foreign,
            "wrappers": dict(sorted(log.wrappers.items())),
        },
    }


def attempts_json(attempts: list[PastAttempt]) -> list[Json]:
    return [
        {
            "check": one.check,
            "severity": one.severity.label,
            "namespace": one.namespace,
            "kind": one.kind,
            "group": one.group,
            "name": one.name,
            "user": one.user,
            "requests": one.times,
            "first": one.first or None,
            "last": one.last or None,
            "message": one.message,
            "wouldBeDenied": one.still,
        }
        for one in attempts[:_MOST_LISTED]
    ]


def _cause_json(cause: DeniedCause) -> Json:
    key = cause.key
    return {
        "check": key.check,
        "severity": cause.severity.label if cause.severity is not None else None,
        "namespace": key.namespace,
        "group": key.group,
        "kind": key.kind,
        "name": key.name,
        "requests": cause.count,
        "first": _moment(cause.first) or None,
        "last": _moment(cause.last) or None,
        "users": dict(cause.users.most_common()),
        "images": {_without_login(image): count for image, count in cause.images.most_common()},
        "objects": dict(cause.subjects.most_common()),
        "operations": dict(cause.operations.most_common()),
        "message": cause.message,
        "dependsOnToday": cause.on_today,
        "example": str(cause.place) if cause.place is not None else None,
    }


def _moment(when: datetime | None) -> str:
    return rfc3339(when) if when is not None else ""


def _span(log: LogTally) -> str:
    return f", from {_moment(log.first)} to {_moment(log.last)}" if log.first is not None else ""


def _percent(part: int, whole: int) -> str:
    return f" ({100 * part / whole:.1f} %)" if whole else ""


def _most(names: Counter[str]) -> str:
    return several([name for name, _ in names.most_common()], _NAMED)


def _image(image: str) -> str:
    shown = _without_login(image)
    return shown if len(shown) <= _LONGEST_IMAGE else f"…{shown[1 - _LONGEST_IMAGE :]}"


def _without_login(image: str) -> str:
    """The image without credentials. Nothing in a reference stands before ``@`` but a name, where a digest follows."""
    return _LOGIN.sub("(a login, not shown)@", redacted(image))
