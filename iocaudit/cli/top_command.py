"""``iocaudit top``, ``kubectl iocaudit top``: what is wrong now in a cluster, worst first."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from iocaudit.cli.params import check_ids, connection_options, severity_option, words
from iocaudit.core.severity import Severity
from iocaudit.core.shape import Json, mapping, text
from iocaudit.engine.enforcement import NOTHING
from iocaudit.records.finding import DENIED, OPEN, RECORDED, RESOLVED, WAIVED
from iocaudit.sinks.columns import columns
from iocaudit.sinks.escape import json_text, visible

_STATES = (OPEN, DENIED, RECORDED, WAIVED, RESOLVED)
_NOW = (OPEN, DENIED, RECORDED)
"""What is wrong now: open findings, attempts that were denied, and policies that were weakened."""


@click.command("top")
@click.option("-n", "--namespace", metavar="NS", help="Only findings in this namespace  [default: everywhere]")
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True, help="At most this many.")
@click.option("--all", "everything", is_flag=True, help="All of them.")
@severity_option("Only findings of this severity or a higher one.")
@check_ids("--check", "checks", "Only findings of these checks.")
@click.option(
    "--state",
    "states",
    multiple=True,
    type=words(_STATES),
    help=f"Only findings in this state  [default: {', '.join(_NOW)}]",
)
@connection_options
@click.option("-o", "--output", type=words(["table", "wide", "json"]), default="table", show_default=True)
def command(
    namespace: str | None,
    limit: int,
    everything: bool,
    lowest: str | None,
    checks: tuple[str, ...],
    states: tuple[str, ...],
    context: str | None,
    kubeconfig: Path | None,
    output: str,
) -> int:
    """The worst findings in a live cluster, read-only: what, where, in which state, and since when.

    Exit code: 2 wrong usage, or no findings could be read; 3 some could not be read; 0 otherwise.
    """
    from iocaudit.cli.live_findings import FindingFilter, read_findings  # late: it imports the Kubernetes client

    wanted = FindingFilter(
        namespace=namespace,
        lowest=Severity.parse(lowest) if lowest else Severity.LOW,
        checks=frozenset(checks),
        states=frozenset(states or _NOW),
    )
    found = read_findings(wanted, None if everything else limit, context=context, kubeconfig=kubeconfig)
    if output == "json":
        content = _json(found.worst, found.total, found.not_read) | {"enforcement": found.enforcement or None}
        shown = json.dumps(content, indent=2, ensure_ascii=False)
        click.echo(json_text(shown))
    else:
        _print(found.worst, found.total, wide=output == "wide")
        if found.enforcement.startswith(NOTHING):
            click.echo(visible(found.enforcement))
    for reason in found.not_read:
        click.echo(visible(f"not read: {reason}"), err=True)
    return 3 if found.not_read else 0


def _print(worst: list[Json], total: int, *, wide: bool) -> None:
    now = datetime.now(UTC)
    header = ("SEVERITY", "CHECK", "IOC", "NAMESPACE", "TARGET", "STATE", "SINCE", "COUNT")
    rows = [(*_row(raw, now), text(mapping(raw.get("finding")).get("message"))) for raw in worst]
    if wide:
        click.echo(columns((*header, "MESSAGE"), rows), nl=False)
    else:
        click.echo(columns(header, [row[:-1] for row in rows]), nl=False)
    if not worst:
        click.echo("no findings")
    elif total > len(worst):
        click.echo(f"{total - len(worst)} more (--all shows them)")


def _row(raw: Json, now: datetime) -> tuple[str, ...]:
    finding, metadata = mapping(raw.get("finding")), mapping(raw.get("metadata"))
    number = finding.get("count", finding.get("hitCount"))
    return (
        text(finding.get("severity")),
        text(finding.get("check")),
        text(finding.get("ioc")),
        text(metadata.get("namespace")) or text(mapping(finding.get("subject")).get("namespace")),
        text(finding.get("target")),
        text(finding.get("state")),
        age(text(finding.get("firstSeen")), now),
        str(number) if isinstance(number, int) else "",
    )


def age(since: str, now: datetime) -> str:
    """How long ago a time of the API is, as kubectl says it: ``45s``, ``12m``, ``5h``, ``3d``; empty where unknown."""
    try:
        then = datetime.fromisoformat(since)
    except ValueError:
        return ""
    if then.tzinfo is None:
        return ""
    seconds = max(0, int((now - then).total_seconds()))
    for unit, length, most in (("s", 1, 120), ("m", 60, 120), ("h", 3600, 48)):
        if seconds < most * length:
            return f"{seconds // length}{unit}"
    return f"{seconds // 86400}d"


def _json(worst: list[Json], total: int, not_read: list[str]) -> dict[str, Any]:
    return {
        "findings": [
            {
                "kind": raw["kind"],
                "namespace": mapping(raw.get("metadata")).get("namespace"),
                "name": mapping(raw.get("metadata")).get("name"),
                **mapping(raw.get("finding")),
            }
            for raw in worst
        ],
        "total": total,
        "notRead": not_read,
    }
