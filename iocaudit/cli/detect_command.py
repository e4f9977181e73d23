"""``iocaudit detect``: which indicators of compromise recorded signals show."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from iocaudit.cli.params import SEVERITIES, words
from iocaudit.cli.progress import scan_progress
from iocaudit.core.errors import IocauditError
from iocaudit.core.severity import Severity

if TYPE_CHECKING:
    from iocaudit.signals.timed_log import LogTally


class NoSignalError(IocauditError):
    """The input holds no signal; says what the first line was."""


@click.command("detect")
@click.argument("paths", nargs=-1, required=True, metavar="PATH... | -")
@click.option("-n", "--namespace", metavar="NS", help="Only what concerns this namespace.")
@click.option(
    "--severity",
    "lowest",
    type=words(SEVERITIES),
    default="medium",
    show_default=True,
    help="Show only this severity and worse ones.",
)
@click.option(
    "--fail-on",
    type=words(SEVERITIES),
    default="high",
    show_default=True,
    help="Exit code 1 from this severity on.",
)
@click.option("--profile", "files", multiple=True, metavar="FILE", help="ActivityProfiles; may be repeated.")
@click.option("--incidents", is_flag=True, help="Show the incidents behind what was seen; --fail-on is of these then.")
@click.option("--allow-empty", is_flag=True, help="Accept an input without a single signal.")
@click.option("-o", "--output", type=words(["table", "json"]), default="table", show_default=True)
def command(
    paths: tuple[str, ...],
    namespace: str | None,
    lowest: str,
    fail_on: str,
    files: tuple[str, ...],
    incidents: bool,
    allow_empty: bool,
    output: str,
) -> int:
    """Which indicators of compromise recorded signals show.

    PATHs are files, or - for standard input, plain or compressed: audit logs of the API server (as it writes them, and
    as EKS, GKE and AKS wrap them), Falco's output as JSON lines, messages of Alertmanager's webhook. A file may hold
    several sorts. Each signal is shown to the detections of the ten indicators; objects in audit events are judged by
    the checks. What is the same is counted: one line a rule, an account and a target. The log is read as a stream, and
    memory does not grow with it. With --incidents, what shares an account or a target within an hour is told as one.
    With --profile, what lies outside the expected activity of a namespace is seen as well.

    Exit code, the first that applies: 2 wrong usage, a file that cannot be opened, or not a single signal; 1 something
    of the severity of --fail-on or worse; 3 a line that could not be read, or a fault of ours; 0 otherwise.
    """
    from iocaudit.cli.detect_report import as_json, as_table  # late, as what follows: --help needs none of it
    from iocaudit.cli.incident_report import incident_json, incident_table
    from iocaudit.detecting.profile_files import read_profile_files
    from iocaudit.detecting.run import detect
    from iocaudit.engine.catalogue import installed_catalogue
    from iocaudit.engine.policy_reader import read_policies
    from iocaudit.incidents.correlation import incidents_of
    from iocaudit.sinks.escape import visible

    if list(paths).count("-") > 1:
        raise click.UsageError("standard input can be read only once")
    catalogue = installed_catalogue()
    policies = read_policies([], catalogue)
    profiles = read_profile_files(files) if files else None
    with scan_progress() as progress:
        outcome = detect(paths, catalogue, policies, namespace=namespace, profiles=profiles, progress=progress)
    if not outcome.tally.events and not allow_empty:
        raise NoSignalError(why_empty(outcome.tally))
    shown = Severity.parse(lowest)
    found = incidents_of(outcome.strands) if incidents else None
    if found is not None:
        click.echo(
            incident_json(outcome, found, shown) if output == "json" else incident_table(outcome, found, shown),
            nl=False,
        )
    else:
        click.echo(as_json(outcome, shown) if output == "json" else as_table(outcome, shown), nl=False)
    for line in unread_lines(outcome.tally, outcome.faults):
        click.echo(visible(line), err=True)
    worst = outcome.summary.worst if found is None else max((one.severity for one in found), default=None)
    if worst is not None and worst >= Severity.parse(fail_on):
        return 1
    return 3 if outcome.tally.unread_count or outcome.faults else 0


def why_empty(tally: LogTally) -> str:
    """Why there is no signal in what was read."""
    first = tally.unread[0] if tally.unread else tally.first_foreign
    if first is not None:
        return f"there is no signal in the input: {first}"
    held = f"{tally.left_out} events that had no answer yet" if tally.left_out else "nothing"
    return f"there is no signal in the input, which holds {held} (--allow-empty accepts that)"


def unread_lines(tally: LogTally, faults: list[str]) -> list[str]:
    """What is said of lines that could not be read, and of faults."""
    lines = [f"not read: {one}" for one in tally.unread]
    if tally.unread_count > len(tally.unread):
        lines.append(f"not read: {tally.unread_count - len(tally.unread)} more lines")
    if tally.foreign:
        others = "1 line is" if tally.foreign == 1 else f"{tally.foreign} lines are"
        lines.append(f"{others} JSON, but not a signal (the first: {tally.first_foreign})")
    return lines + [f"fault: {one}" for one in faults]
