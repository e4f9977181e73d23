"""``iocaudit profile``: expected activity, learned from recorded signals and checked against them."""

from __future__ import annotations

import json
import re
import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from iocaudit.cli.detect_command import NoSignalError, unread_lines, why_empty
from iocaudit.cli.groups import CommandGroup
from iocaudit.cli.params import words
from iocaudit.cli.progress import scan_progress
from iocaudit.cli.writing import save_file
from iocaudit.core.errors import IocauditError
from iocaudit.core.moments import rfc3339
from iocaudit.core.wording import counted

if TYPE_CHECKING:
    from datetime import datetime

    from iocaudit.detecting.learning import LearnedProfiles
    from iocaudit.detecting.profile_check import ActivitySpan, ProfileUse

_MOST_ROWS = 200
_WINDOW = re.compile(r"([1-9][0-9]{0,4})([mhd])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}
_PROFILE_ENDS = (".yaml", ".yml")


class NothingLearnedError(IocauditError):
    """The logs show nothing that a profile could say; says what was left out."""


@click.group("profile", cls=CommandGroup)
def command() -> None:
    """Learn what activity is expected in a namespace, and check what lies outside of it."""


@command.command("learn")
@click.argument("paths", nargs=-1, required=True, metavar="LOG...")
@click.option("--window", metavar="TIME", help="Only the last so long of the logs: 30m, 12h, 7d.")
@click.option("-n", "--namespace", metavar="NS", help="Only what is in this namespace.")
@click.option(
    "-o", "--output", "target", required=True, metavar="FILE", help="The file to write; - for standard output."
)
def learn_command(paths: tuple[str, ...], window: str | None, namespace: str | None, target: str) -> int:
    """Write ActivityProfiles of what LOGs show, to be read and changed by a person.

    LOGs are files, plain or compressed, as iocaudit detect reads them: audit logs of the API server, Falco's output.
    There is a profile a namespace, in mode learn, with comments that say how often and when each entry was seen. What
    an incident in the logs holds is never learned: what its accounts did and what happened at its targets, from an
    hour before until an hour after. Nor are refused requests, and the work of the cluster and its cloud. What was left
    out is said.

    Exit code: 2 wrong usage, a file that cannot be opened or written, or nothing to learn; 3 a line that could not be
    read, or a fault of ours; 0 otherwise.
    """
    from iocaudit.detecting.learned_text import profile_text  # late, as what follows: --help needs none of it
    from iocaudit.detecting.learning import learn
    from iocaudit.engine.catalogue import installed_catalogue
    from iocaudit.engine.policy_reader import read_policies
    from iocaudit.sinks.escape import visible

    if "-" in paths:
        raise click.UsageError("the logs are read twice, which standard input cannot be: name files")
    span = _window(window)
    catalogue = installed_catalogue()
    policies = read_policies([], catalogue)
    with scan_progress() as progress:
        found = learn(paths, catalogue, policies, window=span, namespace=namespace, progress=progress)
    if not found.tally.events:
        raise NoSignalError(why_empty(found.tally))
    for line in (*_left_out(found), *unread_lines(found.tally, found.faults)):
        click.echo(visible(line), err=True)
    if not found.rows:
        raise NothingLearnedError("the logs show no activity that a profile could say, so nothing is written")
    text = profile_text(found)
    if target == "-":
        click.echo(text, nl=False)
    else:
        save_file(target, text.encode(), NothingLearnedError)
    return 3 if found.tally.unread_count or found.faults else 0


@command.command("check")
@click.argument("paths", nargs=-1, required=True, metavar="PROFILE... LOG...")
@click.option("-o", "--output", type=words(["table", "json"]), default="table", show_default=True)
@click.option("--unused", is_flag=True, help="List the entries that nothing used.")
def check_command(paths: tuple[str, ...], output: str, unused: bool) -> int:
    """How much of PROFILEs was used by LOGs, and what lies outside of them.

    PROFILEs are the arguments that end in .yaml or .yml, LOGs the others (- is standard input), as iocaudit detect
    reads them. What lies outside is in a namespace of which some profile speaks, and of a sort of activity that it
    speaks of.

    Exit code, the first that applies: 2 wrong usage, a file that cannot be opened, a profile that cannot be used, or
    not a single signal; 1 something lies outside a profile of mode warn or enforce; 3 a line that could not be read; 0
    otherwise.
    """
    from iocaudit.detecting.profile_check import check_profiles  # late, as what follows: --help needs none of it
    from iocaudit.detecting.profile_files import read_profile_files
    from iocaudit.sinks.escape import json_text, visible

    files = tuple(one for one in paths if one.endswith(_PROFILE_ENDS))
    logs = tuple(one for one in paths if not one.endswith(_PROFILE_ENDS))
    if not files or not logs:
        raise click.UsageError("give at least one PROFILE (a file that ends in .yaml or .yml) and one LOG")
    if logs.count("-") > 1:
        raise click.UsageError("standard input can be read only once")
    profiles = read_profile_files(files)
    with scan_progress() as progress:
        found = check_profiles(profiles, logs, progress)
    if not found.tally.events:
        raise NoSignalError(why_empty(found.tally))
    if output == "json":
        click.echo(json_text(json.dumps(_json(found), indent=2, ensure_ascii=False)))
    else:
        click.echo(_table(found, unused), nl=False)
    for line in unread_lines(found.tally, []):
        click.echo(visible(line), err=True)
    return 1 if found.is_broken else 3 if found.tally.unread_count else 0


def _window(given: str | None) -> timedelta | None:
    if given is None:
        return None
    found = _WINDOW.fullmatch(given)
    if found is None:
        raise click.UsageError(f"--window {given!r} is not a time such as 30m, 12h or 7d")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def _left_out(found: LearnedProfiles) -> list[str]:
    lines = [f"left out, {reason}: {number}" for reason, number in sorted(found.left_out.items())]
    for one in found.incidents:
        where = ", ".join((*one.accounts[:3], *one.targets[:3]))
        lines.append(f"not learned from incident of severity {one.severity.label}: {where}, {rfc3339(one.first)}")
    return lines


def _table(found: ProfileUse, unused: bool) -> str:
    from iocaudit.sinks.columns import columns
    from iocaudit.sinks.escape import visible
    from iocaudit.sinks.look import width_of

    width = width_of(sys.stdout)
    rows = [
        (one.title, one.mode, f"{found.used_of(one)} of {len(list(one.entries))}", _last(found, one.title))
        for one in found.profiles.profiles
    ]
    text = columns(("PROFILE", "MODE", "USED", "LAST"), rows, width)
    if unused:
        entries = [
            (entry.profile, entry.path, entry.shown) for one in found.profiles.profiles for entry in found.unused(one)
        ]
        text += "\n" + (columns(("PROFILE", "UNUSED", "WHAT"), entries, width) or "every entry was used\n")
    outside = [
        (key.namespace, key.sort, key.actor, key.what, str(span.count), _time(span.last) or "")
        for key, span in found.rows
    ]
    if outside:
        header = ("NAMESPACE", "OUTSIDE", "BY", "WHAT", "COUNT", "LAST")
        text += "\n" + columns(header, outside[:_MOST_ROWS], width)
    lines = []
    if len(outside) > _MOST_ROWS:
        lines.append(f"{counted(len(outside) - _MOST_ROWS, 'more row')} (-o json lists all)")
    if found.beyond:
        lines.append(f"{counted(found.beyond, 'activity', 'activities')} beyond the rows that are kept")
    number = sum(span.count for span in found.outside.values()) + found.beyond
    lines.append(f"{found.inside} inside, {number} outside; {counted(found.tally.events, 'signal')} read")
    return text + "".join(f"{visible(line)}\n" for line in lines)


def _last(found: ProfileUse, title: str) -> str:
    times = [span.last for entry, span in found.used.items() if entry.profile == title and span.last is not None]
    return _time(max(times, default=None)) or ""


def _json(found: ProfileUse) -> dict[str, Any]:
    return {
        "profiles": [
            {
                "namespace": one.namespace,
                "name": one.name,
                "mode": str(one.mode),
                "entries": [
                    {"path": entry.path, "what": entry.shown} | _span(found.used.get(entry)) for entry in one.entries
                ],
                "used": found.used_of(one),
            }
            for one in found.profiles.profiles
        ],
        "outside": [
            {
                "namespace": key.namespace,
                "sort": key.sort,
                "by": key.actor,
                "what": key.what,
                "mode": str(found.modes[key]),
            }
            | _span(span)
            for key, span in found.rows
        ],
        "inside": found.inside,
        "beyondRows": found.beyond,
        "signals": found.tally.events,
        "notReadCount": found.tally.unread_count,
    }


def _span(span: ActivitySpan | None) -> dict[str, Any]:
    if span is None:
        return {"count": 0, "first": None, "last": None}
    return {"count": span.count, "first": _time(span.first), "last": _time(span.last)}


def _time(when: datetime | None) -> str | None:
    return rfc3339(when) if when is not None else None
