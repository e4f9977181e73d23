"""``iocaudit scan``: audit what is in files, or in a live cluster."""

from __future__ import annotations

import gc
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, TextIO

import click

from iocaudit.cli.progress import scan_progress
from iocaudit.cli.select import select_checks
from iocaudit.core.check import Check
from iocaudit.core.report import Report
from iocaudit.core.severity import Severity
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.engine.causes import with_causes
from iocaudit.sinks.summary import ReadingSummary, UnreadableDocument

if TYPE_CHECKING:
    from iocaudit.sources.scan import Scan

OUTPUTS = ("table", "json", "sarif", "junit", "github")


@click.command("scan")
@click.argument("paths", nargs=-1, metavar="PATH... | -")
@click.option("-o", "--output", type=click.Choice(OUTPUTS), default="table", show_default=True)
@click.option("--profile", type=click.Choice(["default", "strict"]), default="default", show_default=True)
@click.option(
    "--policy",
    "policy_files",
    multiple=True,
    metavar="FILE",
    help="AuditPolicy and IocWaiver objects; with --cluster in place of its own.",
)
@click.option(
    "--fail-on",
    type=click.Choice([severity.label for severity in Severity]),
    default="high",
    show_default=True,
    help="Exit with 1 from this severity on.",
)
@click.option("--check", "only", multiple=True, metavar="ID", help="Run only these checks.")
@click.option("--skip", "skip", multiple=True, metavar="ID", help="Leave these checks out.")
@click.option("-n", "--namespace", default="default", show_default=True, help="Where an unset namespace means.")
@click.option("--baseline", metavar="FILE", help="Leave out the hits this file lists.")
@click.option(
    "--write-baseline", "new_baseline", metavar="FILE", help="Write the hits found into this file and exit with 0."
)
@click.option("--each-file-alone", is_flag=True, help="Every file is a world of its own.")
@click.option("--cluster", is_flag=True, help="Audit a live cluster, read-only.")
@click.option("--context", metavar="NAME", help="With --cluster: the context of the kubeconfig.")
@click.option("--render", is_flag=True, help="Run helm and kustomize from PATH on charts and kustomizations.")
@click.option("--jobs", type=click.IntRange(1, 64), help="Processes  [default: two for large inputs]")
@click.option("--fix", "write", is_flag=True, help="Write repairs that cannot break the workload into the files.")
@click.option("--diff", is_flag=True, help="Show what --fix would change, and write nothing.")
@click.option("--unsafe-fixes", "unsafe", is_flag=True, help="With --fix or --diff: also those that may break it.")
@click.option(
    "--generate",
    "target",
    metavar="FILE",
    help="Write missing NetworkPolicies and rate limits to a new file (-: print).",
)
@click.option("--require-complete", is_flag=True, help="Exit with 3 if anything was skipped.")
def command(
    paths: tuple[str, ...],
    output: str,
    profile: str,
    policy_files: tuple[str, ...],
    fail_on: str,
    only: tuple[str, ...],
    skip: tuple[str, ...],
    namespace: str,
    baseline: str | None,
    new_baseline: str | None,
    each_file_alone: bool,
    cluster: bool,
    context: str | None,
    render: bool,
    jobs: int | None,
    write: bool,
    diff: bool,
    unsafe: bool,
    target: str | None,
    require_complete: bool,
) -> int:
    """Audit the Kubernetes objects in files and folders, or on standard input (-).

    With --fix what is left decides the exit code, with --diff what was found. Where standard output holds a
    difference, new documents or the fixed text of standard input, the report goes to standard error.

    Exit code, the first that applies: 2 wrong usage or an unreadable document; 1 findings at or above
    --fail-on; 3 a check failed, or with --require-complete something was skipped; 0 otherwise.
    """
    if cluster == bool(paths):
        raise click.UsageError("give PATHs to files, - for standard input, or --cluster (and not both)")
    if context and not cluster:
        raise click.UsageError("--context goes with --cluster")
    if render and (cluster or each_file_alone):
        raise click.UsageError("--render goes with files, and not with --each-file-alone: a chart is many files")
    fixing = write or diff
    if write and diff:
        raise click.UsageError("--diff writes nothing: give --fix or --diff, not both")
    if unsafe and not fixing:
        raise click.UsageError("--unsafe-fixes goes with --fix or --diff")
    if fixing and (cluster or new_baseline):
        raise click.UsageError("--fix and --diff go with files, and not with --write-baseline")
    if target and (fixing or cluster or new_baseline or each_file_alone):
        raise click.UsageError("--generate goes with files that are one world, and before --fix, not with it")
    from iocaudit.sources.scan import ScanOptions, scan_files  # late: after usage is known good

    # One short run that frees nothing before its end: collecting cycles would cost a fifth of it.
    gc.disable()
    catalogue = select_checks(builtin_catalogue(), only, skip)
    options = ScanOptions(
        profile="strict" if only else profile,
        policy_files=policy_files,
        namespace=namespace,
        each_file_alone=each_file_alone,
        render=render,
        jobs=jobs,
        suggest="missing" if target else "patch" if output == "json" else "text" if output == "sarif" else "",
    )
    known = None
    if baseline and not new_baseline:  # a new one holds every hit: written over the old one, it would else be empty
        from iocaudit.cli.baseline import read_baseline  # late: few scans have one

        known = read_baseline(baseline)
    baselined = 0

    def rescan(texts: Mapping[str, bytes] | None = None) -> Scan:
        nonlocal baselined
        with scan_progress() as progress:
            scan = scan_files(paths, catalogue, options, progress=progress, texts=texts)
        if known is not None:
            scan.report, baselined = known.without(scan.report)
        return scan

    if cluster:
        from iocaudit.cli.live import scan_cluster  # late: it imports the Kubernetes client

        scan = scan_cluster(catalogue, options, context=context)
        if known is not None:
            scan.report, baselined = known.without(scan.report)
    elif fixing:
        from iocaudit.cli.fix import repaired  # late: few scans change anything

        outcome = repaired(rescan, paths, unsafe=unsafe, write=write)
        scan = outcome.scan if write else outcome.first
    elif target:
        from iocaudit.cli.generate import generated  # late

        scan = generated(rescan, paths, target)
    else:
        scan = rescan()
    report = with_causes(scan.report, catalogue, namespace=namespace, alone=each_file_alone)
    reading = ReadingSummary(
        files=scan.files,
        documents=scan.documents,
        not_kubernetes=scan.not_kubernetes,
        other_kinds=scan.others.total(),
        unjudged=scan.unjudged,
        errors=[UnreadableDocument(error.file, error.line, error.reason) for error in scan.errors],
        baselined=baselined,
        notes=scan.notes,
    )
    if new_baseline:
        from iocaudit.cli.baseline import Baseline, write_baseline

        entries = Baseline.of(report)
        write_baseline(new_baseline, entries)
        click.echo(f"{new_baseline}: {len(entries.entries)} hits written", err=True)
        return 2 if reading.errors else 0
    stream = sys.stderr if diff or target == "-" or (write and "-" in paths) else sys.stdout
    _print(output, report, reading, tuple(catalogue), stream)
    return exit_code(report, reading, Severity.parse(fail_on), require_complete=require_complete)


def exit_code(report: Report, reading: ReadingSummary, fail_on: Severity, *, require_complete: bool = False) -> int:
    """The first that applies, as documented on the command."""
    if reading.errors:
        return 2
    if any(found.severity >= fail_on for found in report.found):
        return 1
    if report.faults or (require_complete and report.skipped):
        return 3
    return 0


def _print(output: str, report: Report, reading: ReadingSummary, checks: tuple[Check, ...], stream: TextIO) -> None:
    if output == "table":
        from iocaudit.sinks import table

        table.render(report, reading, stream)
        return
    if output == "json":
        from iocaudit.sinks import json_report

        text = json_report.render(report, reading)
    elif output == "sarif":
        from iocaudit.sinks import sarif

        text = sarif.render(report, reading, checks)
    elif output == "junit":
        from iocaudit.sinks import junit

        text = junit.render(report, reading)
    else:
        from iocaudit.sinks import github

        text = github.render(report, reading)
    stream.buffer.write(text.encode("utf-8", "backslashreplace"))
    stream.flush()
