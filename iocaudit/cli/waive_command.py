"""``iocaudit waive``: IocWaivers for what stands, to be read, kept and applied."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from iocaudit.cli.kind_names import is_called
from iocaudit.cli.params import check_ids, connection_options, no_connection_without_cluster
from iocaudit.cli.select import known_check
from iocaudit.core.errors import IocauditError
from iocaudit.core.moments import rfc3339
from iocaudit.core.severity import Severity
from iocaudit.core.wording import counted, several
from iocaudit.core.yaml_write import block
from iocaudit.engine.catalogue import Catalogue, indexed_catalogue
from iocaudit.engine.standing import Chosen, FindingKey, ReportError, StandingFinding, Wanted, choose, standing
from iocaudit.engine.waivers import LONGEST
from iocaudit.engine.waiving import Acceptance, NewWaiver, waivers_for
from iocaudit.sinks.escape import visible

Json = dict[str, Any]
_MOST_LEFT = 10
_HEAD = """\
# Accepted risks: kubectl apply -f this file, or iocaudit scan --policy this file.
# What status records counts in files alone: in a cluster the operator records what each is for.
"""
_MOST_DAYS = 3650


class WaiveError(IocauditError):
    """The report cannot be read or the file cannot be written; names it and what to do."""


@click.command("waive")
@click.argument("report", required=False, metavar="[REPORT | -]")
@click.option("--cluster", is_flag=True, help="What stands in a live cluster, read-only; also without REPORT.")
@connection_options
@click.option("-n", "--namespace", "namespaces", multiple=True, metavar="NS", help="Only what is in this namespace.")
@click.option("--cluster-scope", is_flag=True, help="Only what is in no namespace.")
@check_ids("--check", "only", "Only hits of these checks.")
@click.option("--object", "objects", multiple=True, metavar="KIND/NAME", help="Only hits on this object.")
@click.option("--owner", required=True, metavar="WHO", help="Who answers for it, a person or a team.")
@click.option("--reason", required=True, metavar="WHY", help="Why the risk is accepted.")
@click.option("--days", required=True, type=click.IntRange(1, _MOST_DAYS), help="When the waivers end.")
@click.option("--ticket", default="", metavar="WHERE", help="Where it was decided.")
@click.option("--include-critical", is_flag=True, help="Criticals too, each with a waiver of its own.")
@click.option("--output-file", "target", metavar="FILE", help="Write into this file  [default: standard output]")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
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

    Exit code: 2 wrong usage, or a report that cannot be read; 1 the answer was no; 0 otherwise.
    """
    if report is not None and cluster:
        raise click.UsageError("give a REPORT or --cluster, not both")
    if report is not None:
        no_connection_without_cluster(cluster, context, kubeconfig)
    if report == "-" and not yes:
        raise click.UsageError("with the report on standard input nobody can be asked: give --yes")
    why = Acceptance(
        _said(owner, "--owner", 253),
        _said(reason, "--reason", 2048),
        datetime.now(UTC).replace(microsecond=0) + timedelta(days=days),
        ticket.strip()[:512],
    )
    catalogue = indexed_catalogue()
    wanted = Wanted(
        homes=frozenset(_listed(namespaces)) | (frozenset((None,)) if cluster_scope else frozenset()),
        checks=frozenset(known_check(catalogue, name).id for name in only),
        is_object=_objects(objects),
        critical=include_critical,
    )
    found, told = (
        _of_file(report, unset_namespace) if report is not None else _of_cluster(catalogue, context, kubeconfig)
    )
    chosen = choose(found, wanted)
    new = waivers_for(chosen, found)
    for line in (*told, *_left(chosen, new.left)):
        click.echo(visible(line), err=True)
    if not new.waivers:
        click.echo("nothing stands there that a waiver could be made for", err=True)
        return 0
    if days > LONGEST.days:
        click.echo(f"clusters refuse more than {LONGEST.days} days unless they are told otherwise", err=True)
    click.echo(visible(_summary(new.waivers, why)), err=True)
    if not yes and not _agreed(len(new.waivers)):
        click.echo("nothing was written", err=True)
        return 1
    _write(_HEAD + "".join(_document(waiver, why) for waiver in new.waivers), target)
    return 0


def _said(value: str, option: str, most: int) -> str:
    value = value.strip()
    if not value:
        raise click.UsageError(f"{option} is empty: whoever reads the waiver wants to know")
    if len(value) > most:
        raise click.UsageError(f"{option} is longer than {most} characters")
    return value


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

    from iocaudit.sources.documents import Unreadable
    from iocaudit.sources.files import read_bytes

    name = "standard input" if path == "-" else path
    data = read_bytes(path, named=True)
    if isinstance(data, Unreadable):
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
    from iocaudit.sinks.json_report import as_json
    from iocaudit.sinks.summary import ReadingSummary
    from iocaudit.sources.scan import ScanOptions

    claimed: set[str] = set()
    scan = scan_cluster(catalogue, ScanOptions(), context=context, kubeconfig=kubeconfig, claimed=claimed)
    report = as_json(with_causes(scan.report, catalogue), ReadingSummary(), catalogue)
    stays = [entry for entry in report["findings"] if entry["findingFingerprint"] not in claimed]
    told = [f"not read: {one.reason}" for one in scan.report.skipped if one.check is None and one.subject is None]
    if claimed:
        count = counted(len(claimed), "finding")
        told.append(f"left out: {count} on owners that pods only name: no waiver covers those")
    return standing({**report, "findings": stays}), told


def _left(chosen: Chosen, unnameable: list[str]) -> list[str]:
    lines = []
    if chosen.critical:
        objects = len({(one.key.home, one.key.group, one.key.kind, one.key.name) for one in chosen.critical})
        count = counted(len(chosen.critical), "critical finding")
        where = counted(objects, "object")
        lines.append(f"left out: {count} on {where} (--include-critical takes them, one waiver each)")
    rest = [*chosen.left, *unnameable]
    lines += [f"left out: {line}" for line in rest[:_MOST_LEFT]]
    if len(rest) > _MOST_LEFT:
        lines.append(f"left out: {len(rest) - _MOST_LEFT} more")
    return lines


def _summary(waivers: Sequence[NewWaiver], why: Acceptance) -> str:
    findings = [one for waiver in waivers for one in waiver.findings]
    objects = {(one.key.home, one.key.group, one.key.kind, one.key.name) for one in findings}
    hits = sum(waiver.count for waiver in waivers)
    critical = sum(1 for one in findings if one.severity is Severity.CRITICAL)
    places = sorted({f"namespace {waiver.home}" if waiver.home is not None else "cluster scope" for waiver in waivers})
    return (
        f"{counted(len(waivers), 'waiver')} for {counted(hits, 'hit')} on {counted(len(objects), 'object')} "
        f"({critical} of {counted(len(findings), 'finding')} critical), in {several(places)}, "
        f"until {rfc3339(why.expires)}"
    )


def _agreed(count: int) -> bool:
    try:
        return click.confirm(f"Write {'it' if count == 1 else 'them'}?", err=True)
    except click.Abort:
        click.echo("", err=True)
        click.echo("nobody answered: give --yes to write without being asked", err=True)
        return False


def _document(waiver: NewWaiver, why: Acceptance) -> str:
    body = waiver.body(why, datetime.now(UTC))
    count = counted(len({(one.key.kind_name, one.key.name) for one in waiver.findings}), "object")
    where = f"namespace {waiver.home}" if waiver.home is not None else "cluster scope"
    return f"---\n# {counted(waiver.count, 'hit')} on {count} in {where}\n{block(body)}\n"


def _write(text: str, target: str | None) -> None:
    if target is None:
        sys.stdout.buffer.write(text.encode())
        sys.stdout.flush()
        return
    from iocaudit.cli.writing import save_file

    save_file(target, text.encode(), WaiveError)
