"""``iocaudit waive``: IocWaivers for what stands, to be read, kept and applied."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import click

from iocaudit.cli.kind_names import is_called
from iocaudit.cli.params import check_ids, connection_options, no_connection_without_cluster
from iocaudit.cli.select import known_check
from iocaudit.cli.waiver_text import MOST_DAYS, acceptance, left_out, summary_of, too_long, waiver_file
from iocaudit.core.errors import IocauditError
from iocaudit.core.wording import counted
from iocaudit.engine.catalogue import Catalogue, indexed_catalogue
from iocaudit.engine.standing import (
    FindingCriteria,
    FindingKey,
    ReportError,
    StandingFinding,
    choose,
    standing,
)
from iocaudit.engine.waiving import waivers_for
from iocaudit.sinks.escape import visible


class WaiveError(IocauditError):
    """The report cannot be read or the file cannot be written; names it and what to do."""


@click.command("waive")
@click.argument("report", required=False, metavar="[REPORT | -]")
@click.option(
    "--cluster", is_flag=True, help="Take what is found in a live cluster, read-only; the default without REPORT."
)
@connection_options
@click.option("-n", "--namespace", "namespaces", multiple=True, metavar="NS", help="Only what is in this namespace.")
@click.option("--cluster-scope", is_flag=True, help="Only cluster-scoped objects.")
@check_ids("--check", "only", "Only hits of these checks.")
@click.option("--object", "objects", multiple=True, metavar="KIND/NAME", help="Only hits on this object.")
@click.option("--owner", required=True, metavar="WHO", help="Who owns the risk, a person or a team.")
@click.option("--reason", required=True, metavar="WHY", help="Why the risk is accepted.")
@click.option("--days", required=True, type=click.IntRange(1, MOST_DAYS), help="When the waivers end.")
@click.option("--ticket", default="", metavar="WHERE", help="Where it was decided.")
@click.option("--include-critical", is_flag=True, help="Critical hits too, each with a waiver of its own.")
@click.option("--output-file", "target", metavar="FILE", help="Write into this file  [default: standard output]")
@click.option("-y", "--yes", is_flag=True, help="Do not ask for confirmation.")
@click.option(
    "--unset-namespace",
    default="default",
    show_default=True,
    metavar="NS",
    help="With REPORT: the namespace of objects that name none.",
)
def command(
    report: str | None,
    cluster: bool,
    context: str | None,
    kubeconfig: Path | None,
    namespaces: tuple[str, ...],
    cluster_scope: bool,
    only: tuple[str, ...],
    objects: tuple[str, ...],
    owner: str,
    reason: str,
    days: int,
    ticket: str,
    include_critical: bool,
    target: str | None,
    yes: bool,
    unset_namespace: str,
) -> int:
    """Write IocWaivers for what stands in a live cluster, or in a report of iocaudit scan -o json.

    Each waiver is for one namespace (or cluster scope), names its checks, kinds and objects, covers nothing that comes
    later, and ends. What an accepted hit implies is accepted with it. Apply them with kubectl apply -f: each covers
    something as soon as the operator has recorded what it was made for.

    Exit code: 2 wrong usage, or a report that cannot be read; 1 the answer was negative; 0 otherwise.
    """
    if report is not None and cluster:
        raise click.UsageError("give a REPORT or --cluster, not both")
    if report is not None:
        no_connection_without_cluster(cluster, context, kubeconfig)
    if report == "-" and not yes:
        raise click.UsageError("the report is read from standard input, so there can be no prompt: give --yes")
    why = acceptance(owner, reason, days, ticket)
    catalogue, is_object = indexed_catalogue(), _objects(objects)
    found, told = (
        _of_file(report, unset_namespace) if report is not None else _of_cluster(catalogue, context, kubeconfig)
    )
    wanted = FindingCriteria(
        homes=frozenset(_listed(namespaces)) | (frozenset((None,)) if cluster_scope else frozenset()),
        checks=_checks(only, found, catalogue),
        is_object=is_object,
        critical=include_critical,
    )
    chosen = choose(found, wanted)
    new = waivers_for(chosen, found)
    for line in (*told, *left_out(chosen, new.left)):
        click.echo(visible(line), err=True)
    if not new.waivers:
        click.echo("nothing was found that a waiver could cover", err=True)
        return 0
    if note := too_long(days):
        click.echo(note, err=True)
    click.echo(visible(summary_of(new.waivers, why)), err=True)
    if not yes and not _agreed(len(new.waivers)):
        click.echo("nothing was written", err=True)
        return 1
    _write(waiver_file(new.waivers, why), target)
    return 0


def _checks(names: Iterable[str], found: Iterable[StandingFinding], catalogue: Catalogue) -> frozenset[str]:
    """The ids of checks by their names; what a report holds may be of a rule that is known only where it was made."""
    there = {one.key.check for one in found}
    return frozenset(name if name in there else known_check(catalogue, name).id for name in names)


def _listed(given: Iterable[str]) -> list[str]:
    return [part for one in given for part in one.split(",") if part]


def _objects(given: Sequence[str]) -> Any:
    pairs = []
    for one in _listed(given):
        kind, slash, name = one.partition("/")
        if not (kind and slash and name):
            raise click.UsageError(f"--object {one!r}: write KIND/NAME, such as Deployment/web")
        pairs.append((kind, name))
    if not pairs:
        return lambda _key: True

    def is_object(key: FindingKey) -> bool:
        return any(name == key.name and is_called(kind, key.group, key.kind) for kind, name in pairs)

    return is_object


def _of_file(path: str, unset: str) -> tuple[list[StandingFinding], list[str]]:
    import orjson  # late, as what follows

    from iocaudit.sources.documents import ReadFailure
    from iocaudit.sources.files import read_bytes

    name = "standard input" if path == "-" else path
    data = read_bytes(path, named=True)
    if isinstance(data, ReadFailure):
        raise WaiveError(f"{name}: the report {data.reason}")
    try:
        report = orjson.loads(data)
    except ValueError as error:
        raise WaiveError(f"{name}: not JSON ({error}): write one with iocaudit scan -o json") from error
    try:
        return standing(report if isinstance(report, dict) else {}, unset), []
    except ReportError as error:
        raise WaiveError(f"{name}: {error}") from error


def _of_cluster(
    catalogue: Catalogue, context: str | None, kubeconfig: Path | None
) -> tuple[list[StandingFinding], list[str]]:
    from iocaudit.cli.live import scan_cluster  # late: it imports the Kubernetes client
    from iocaudit.engine.causes import with_causes
    from iocaudit.scanning.rules import RunRules
    from iocaudit.scanning.scan import ScanOptions
    from iocaudit.sinks.json_report import as_json
    from iocaudit.sinks.summary import ReadingSummary

    claimed: set[str] = set()
    with RunRules() as rules:
        options = ScanOptions(rules=rules)
        scan = scan_cluster(catalogue, options, context=context, kubeconfig=kubeconfig, claimed=claimed)
    catalogue = scan.catalogue or catalogue
    report = as_json(with_causes(scan.report, catalogue), ReadingSummary(), catalogue)
    stays = [entry for entry in report["findings"] if entry["findingFingerprint"] not in claimed]
    told = [f"not read: {one.reason}" for one in scan.report.skipped if one.check is None and one.subject is None]
    if claimed:
        count = counted(len(claimed), "finding")
        told.append(f"left out: {count} on owners that pods only name: no waiver covers those")
    return standing({**report, "findings": stays}), told


def _agreed(count: int) -> bool:
    try:
        return click.confirm(f"Write {'it' if count == 1 else 'them'}?", err=True)
    except click.Abort:
        click.echo("", err=True)
        click.echo("no answer: give --yes to write without a prompt", err=True)
        return False


def _write(text: str, target: str | None) -> None:
    if target is None:
        sys.stdout.buffer.write(text.encode())
        sys.stdout.flush()
        return
    from iocaudit.cli.writing import save_file

    save_file(target, text.encode(), WaiveError)
