"""``iocaudit activity``: what one account did, by audit logs."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click

from iocaudit.cli.params import words
from iocaudit.cli.progress import scan_progress
from iocaudit.core.errors import IocauditError
from iocaudit.core.moments import rfc3339
from iocaudit.core.wording import counted

if TYPE_CHECKING:
    from datetime import datetime

    from iocaudit.detecting.activity import AccountActivity, DeedKey, DeedSpan

_MOST_ROWS = 200


class NoActivityError(IocauditError):
    """The logs hold nothing of the account; says what they do hold."""


@click.command("activity")
@click.argument("account", metavar="USER|NAMESPACE/SERVICEACCOUNT")
@click.argument("paths", nargs=-1, required=True, metavar="AUDIT-LOG... | -")
@click.option("-o", "--output", type=words(["table", "json"]), default="table", show_default=True)
def command(account: str, paths: tuple[str, ...], output: str) -> int:
    """What one account did: pods it entered and commands, Secrets it read, tokens, changes, refusals, from where.

    The account is a username, or NAMESPACE/NAME of a ServiceAccount. Requests that it made in another's name count, and
    those that others made in its name. AUDIT-LOGs are files, or - for standard input, plain or compressed, as the API
    server writes them or as EKS, GKE and AKS wrap them; they are read as a stream.

    Exit code: 2 wrong usage, a file that cannot be opened, or logs that hold nothing of the account; 3 a line that
    could not be read; 0 otherwise.
    """
    from iocaudit.detecting.activity import account_activity  # late: --help needs none of it
    from iocaudit.sinks.escape import json_text, visible

    if list(paths).count("-") > 1:
        raise click.UsageError("standard input can be read only once")
    with scan_progress() as progress:
        found = account_activity(account, paths, progress)
    for one in found.tally.unread:
        click.echo(visible(f"not read: {one}"), err=True)
    if not found.whole.count:
        raise NoActivityError(
            f"the logs hold nothing of {found.account} ({counted(found.tally.events, 'event')} read); "
            "a ServiceAccount is NAMESPACE/NAME"
        )
    if output == "json":
        click.echo(json_text(json.dumps(_json(found), indent=2, ensure_ascii=False)))
    else:
        click.echo(_table(found), nl=False)
    return 3 if found.tally.unread_count else 0


def _table(found: AccountActivity) -> str:
    from iocaudit.detecting.activity import DeedKind
    from iocaudit.sinks.columns import columns
    from iocaudit.sinks.escape import visible
    from iocaudit.sinks.look import width_of

    rows = [_row(key, span) for kind in DeedKind for key, span in found.of(kind)]
    lines = [
        columns(("SORT", "VERB", "TARGET", "DETAIL", "COUNT", "FIRST", "LAST"), rows[:_MOST_ROWS], width_of(sys.stdout))
    ]
    if len(rows) > _MOST_ROWS:
        lines.append(f"{counted(len(rows) - _MOST_ROWS, 'more row')} (-o json lists all)\n")
    places = [(address, agent, str(span.count), _time(span.last) or "") for (address, agent), span in _places(found)]
    lines += ["\n", columns(("FROM", "CLIENT", "COUNT", "LAST"), places[:_MOST_ROWS], width_of(sys.stdout))]
    if found.beyond:
        lines.append(f"{counted(found.beyond, 'event')} beyond the rows that are kept\n")
    lines.append(
        visible(
            f"{found.account}: {counted(found.whole.count, 'request')}, {found.reads} of them reads of other things"
        )
        + "\n"
    )
    return "".join(lines)


def _places(found: AccountActivity) -> list[tuple[tuple[str, str], DeedSpan]]:
    return sorted(found.places.items(), key=lambda row: (-row[1].count, row[0]))


def _row(key: DeedKey, span: DeedSpan) -> tuple[str, ...]:
    return (
        key.kind,
        key.verb,
        key.target,
        key.detail,
        str(span.count),
        _time(span.first) or "",
        _time(span.last) or "",
    )


def _json(found: AccountActivity) -> dict[str, Any]:
    from iocaudit.detecting.activity import DeedKind

    return {
        "account": found.account,
        "requests": found.whole.count,
        "otherReads": found.reads,
        **_span_json(found.whole),
        "deeds": [
            {"sort": str(kind), "verb": key.verb, "target": key.target, "detail": key.detail, "count": span.count}
            | _span_json(span)
            for kind in DeedKind
            for key, span in found.of(kind)
        ],
        "places": [
            {"address": address, "client": agent, "count": span.count} | _span_json(span)
            for (address, agent), span in _places(found)
        ],
        "beyondRows": found.beyond,
        "notReadCount": found.tally.unread_count,
    }


def _span_json(span: DeedSpan) -> dict[str, str | None]:
    return {"first": _time(span.first), "last": _time(span.last)}


def _time(when: datetime | None) -> str | None:
    return rfc3339(when) if when is not None else None
