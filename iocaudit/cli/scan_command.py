"""``iocaudit scan``: audit what is in files, or in a live cluster."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from iocaudit.cli.outputs import Output, outputs_of, say, write_outputs
from iocaudit.cli.progress import scan_progress
from iocaudit.cli.scan_options import ScanArguments, scan_options
from iocaudit.cli.select import select_checks
from iocaudit.cli.settings_file import apply_settings, find_settings, read_settings
from iocaudit.core.report import Report
from iocaudit.core.severity import Severity
from iocaudit.core.wording import counted
from iocaudit.engine.catalogue import Catalogue, indexed_catalogue
from iocaudit.engine.causes import with_causes
from iocaudit.sinks.summary import (
    ReadingSummary,
    SettingsInForce,
    UnreadableDocument,
    empty_input,
    gate,
    headline,
    is_empty,
)

if TYPE_CHECKING:
    from iocaudit.cli.baseline import Baseline
    from iocaudit.scanning.scan import Scan, ScanOptions


@click.command("scan")
@scan_options
def command(**given: Any) -> int:
    """Audit the Kubernetes objects in files and folders, or on standard input (-).

    With --fix what is left decides the exit code, with --diff what was found; --diff prints the difference alone,
    unless a format is asked for. Where standard output holds a difference, new documents or the fixed text of standard
    input, the report goes to standard error.

    Exit code, the first that applies: 2 wrong usage, an unreadable document, no Kubernetes object at all, or a report
    that cannot be written; 1 findings at or above --fail-on; 3 a check failed, everything was skipped, or with
    --require-complete anything was; 0 otherwise.
    """
    settings, notes = _settings(given)
    asked = ScanArguments(**given)
    asked.refuse_contradictions()
    outputs = outputs_of(asked.outputs, asked.output_file)
    if asked.diff and not asked.outputs and not asked.output_file:
        outputs = ()
    from iocaudit.scanning.rules import RunRules, with_declared  # late, as what follows: after usage is known good
    from iocaudit.scanning.scan import ScanOptions

    # One short run that frees nothing before its end: collecting cycles would cost a fifth of it.
    gc.disable()
    rules = RunRules()
    click.get_current_context().call_on_close(rules.close)
    catalogue = rules.with_folders(indexed_catalogue(), asked.rego)
    policies = rules.read(asked.policy_files, catalogue)
    select = partial(select_checks, only=asked.only, skip=asked.skip)
    # What a cluster brings along is known once it was read.
    catalogue = catalogue if asked.cluster else select(with_declared(catalogue, policies))
    options = ScanOptions(
        profile="strict" if asked.only else asked.profile,
        policy_files=asked.policy_files,
        namespace=asked.namespace or "default",
        each_file_alone=asked.each_file_alone,
        render=asked.render,
        values=asked.values,
        jobs=asked.jobs,
        suggest=_suggestions(asked, outputs),
        exclude=asked.exclude,
        annotations=not asked.no_annotations,
        policies=tuple(policies),
        rules=rules,
    )
    run = _Run(asked, catalogue, options, select)
    scan = run.scan()
    catalogue = scan.catalogue or catalogue
    reading = run.reading(scan)
    reading.settings = settings
    reading.notes[:0] = notes
    if not (asked.cluster or asked.allow_empty) and is_empty(scan.report, reading):
        reading.errors.append(empty_input(asked.paths, reading))
        if asked.new_baseline:
            say(f"error: {reading.errors[0]}")
            return 2
    if asked.new_baseline:
        return run.write_baseline(asked.new_baseline, scan.report, reading)
    shown = with_causes(
        _from(scan.report, asked.shown_from, reading),
        catalogue,
        namespace=options.namespace,
        alone=asked.each_file_alone,
    )
    stream = sys.stderr if asked.diff or asked.target == "-" or (asked.write and "-" in asked.paths) else sys.stdout
    texts = _Texts(asked, shown, reading, catalogue, stream)
    files = write_outputs(outputs, texts.of, stream)
    if all(output.file is not None for output in outputs):
        if own := gate(shown, reading):
            say(own)
        say(headline(shown, reading) + (f"; written to {', '.join(files)}" if files else ""))
    return exit_code(scan.report, reading, asked.threshold, require_complete=asked.require_complete)


def _settings(given: dict[str, Any]) -> tuple[SettingsInForce | None, list[str]]:
    """Put the settings of the repository into what was given; what of them is in force, and what is to be said."""
    if given["no_config"] or (given["cluster"] and not given["config"]):
        return None, []
    named = given["config"]
    try:
        path, notes = (Path(named), []) if named else find_settings(Path.cwd())
    except FileNotFoundError:  # the working folder was removed: there is no repository around it
        return None, []
    if path is None:
        return None, notes
    return apply_settings(given, read_settings(path, named=bool(named)), click.get_current_context()), notes


def _suggestions(asked: ScanArguments, outputs: tuple[Output, ...]) -> Any:
    """Which repairs the outputs need worked out."""
    formats = {output.format for output in outputs}
    return "missing" if asked.target else "text" if "sarif" in formats else "patch" if "json" in formats else ""


class _Run:
    """One scan, and what the baseline makes of it."""

    def __init__(
        self,
        asked: ScanArguments,
        catalogue: Catalogue,
        options: ScanOptions,
        select: Callable[[Catalogue], Catalogue],
    ) -> None:
        self._asked, self._catalogue, self._options, self._select = asked, catalogue, options, select
        self._known: Baseline | None = None
        self._baselined = 0
        self._seen: set[str] = set()
        # A new baseline holds every hit: written over the old one, it would else be empty.
        if asked.baseline and not asked.new_baseline:
            from iocaudit.cli.baseline import read_baseline  # late: few scans have one

            self._known = read_baseline(asked.baseline)

    def scan(self) -> Scan:
        """Audit what was asked for, and repair or generate what is to be."""
        asked = self._asked
        if asked.cluster:
            from iocaudit.cli.live import scan_cluster  # late: it imports the Kubernetes client
            from iocaudit.cli.live_part import ClusterPart

            part = ClusterPart(asked.namespace, frozenset(asked.left_out_namespaces))
            return self._without_known(
                scan_cluster(
                    self._catalogue,
                    self._options,
                    context=asked.context,
                    kubeconfig=asked.kubeconfig,
                    part=part,
                    select=self._select,
                )
            )
        if asked.fixing:
            from iocaudit.cli.fix import repaired  # late: few scans change anything

            outcome = repaired(self._files, asked.paths, unsafe=asked.unsafe, write=asked.write)
            return outcome.scan if asked.write else outcome.first
        if asked.target:
            from iocaudit.cli.generate import generated  # late

            return generated(self._files, asked.paths, asked.target)
        return self._files()

    def _files(self, texts: Mapping[str, bytes] | None = None) -> Scan:
        from iocaudit.scanning.scan import scan_files

        with scan_progress() as progress:
            scan = scan_files(self._asked.paths, self._catalogue, self._options, progress=progress, texts=texts)
        return self._without_known(scan)

    def _without_known(self, scan: Scan) -> Scan:
        if self._known is not None:
            self._seen = {found.fingerprint for found in scan.report.found}
            self._seen |= {one.found.fingerprint for one in scan.report.waived}
            self._seen |= {one.found.fingerprint for one in scan.report.ignored}
            scan.report, self._baselined = self._known.without(scan.report)
        return scan

    def reading(self, scan: Scan) -> ReadingSummary:
        """How the input was read; says which entries of the baseline match nothing any more, and removes them."""
        reading = ReadingSummary(
            files=scan.files,
            documents=scan.documents,
            not_kubernetes=scan.not_kubernetes,
            other_kinds=scan.others.total(),
            unjudged=scan.unjudged,
            excluded=scan.excluded,
            errors=[UnreadableDocument(error.file, error.line, error.reason) for error in scan.errors],
            baselined=self._baselined,
            notes=scan.notes,
        )
        if self._known is not None and self._asked.baseline:
            from iocaudit.cli.baseline import stale_note

            whole = not (scan.errors or scan.report.faults or scan.report.skipped)
            catalogue = scan.catalogue or self._catalogue
            note = stale_note(
                self._asked.baseline, self._known, self._seen, catalogue, prune=self._asked.prune, whole=whole
            )
            reading.notes += [note] if note else []
        return reading

    def write_baseline(self, path: str, report: Report, reading: ReadingSummary) -> int:
        """Write the hits; with the reasons that the file, or the one named by ``--baseline``, has for them."""
        from iocaudit.cli.baseline import Baseline, earlier_reasons, write_baseline

        entries = Baseline.of(report, earlier_reasons(path, self._asked.baseline))
        write_baseline(path, entries)
        for error in reading.errors:
            say(f"error: {error}")
        if own := gate(report, reading):
            say(own)
        say(f"{path}: {counted(len(entries.entries), 'hit')} written")
        return 2 if reading.errors else 0


def _from(report: Report, lowest: Severity, reading: ReadingSummary) -> Report:
    """The report without hits below a severity, which are counted."""
    if lowest is Severity.LOW:
        return report
    found = [one for one in report.found if one.severity >= lowest]
    reading.below = len(report.found) - len(found)
    return replace(report, found=found)


def exit_code(
    report: Report, reading: ReadingSummary, fail_on: Severity | None, *, require_complete: bool = False
) -> int:
    """The first that applies, as documented on the command. ``fail_on`` None: no finding fails the run."""
    if reading.errors:
        return 2
    if fail_on is not None and any(found.severity >= fail_on for found in report.found):
        return 1
    if report.faults or (report.skipped and (require_complete or not report.audited)):
        return 3
    return 0


class _Texts:
    """The report in each format. A format's module is imported where it is wanted."""

    def __init__(
        self, asked: ScanArguments, report: Report, reading: ReadingSummary, catalogue: Catalogue, stream: TextIO
    ) -> None:
        self._asked, self._report, self._reading = asked, report, reading
        self._catalogue, self._stream = catalogue, stream

    def of(self, output: Output) -> str:
        report, reading = self._report, self._reading
        if output.format == "table":
            from iocaudit.sinks import table
            from iocaudit.sinks.look import look_of

            stream = self._stream if output.file is None else None
            return table.render(report, reading, look_of(stream, self._asked.color, verbose=self._asked.verbose))
        if output.format == "json":
            from iocaudit.sinks import json_report

            return json_report.render(report, reading, self._catalogue)
        if output.format == "sarif":
            from iocaudit.sinks import sarif

            return sarif.render(report, reading, self._catalogue)
        if output.format == "junit":
            from iocaudit.sinks import junit

            return junit.render(report, reading, self._asked.threshold)
        from iocaudit.cli.step_summary import write_step_summary
        from iocaudit.sinks import github

        write_step_summary(report, reading)
        return github.render(report, reading)
