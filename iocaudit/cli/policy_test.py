"""``iocaudit policy test``: unit tests of policies, run without a cluster."""

from __future__ import annotations

import re
import sys

import click

from iocaudit.cli.outputs import Output, OutputType, outputs_of, write_outputs
from iocaudit.cli.params import color_option, rego_option
from iocaudit.engine.catalogue import indexed_catalogue

_FORMATS = ("table", "json", "junit")


@click.command("test")
@click.argument("paths", nargs=-1, required=True, metavar="PATH... | -")
@click.option(
    "-o",
    "--output",
    "given",
    type=OutputType(_FORMATS),
    multiple=True,
    metavar="FORMAT[=FILE]",
    help=f"{', '.join(_FORMATS)}  [default: table]. May be repeated, each further one with a file.",
)
@click.option("--output-file", metavar="FILE", help="Write the report here, not to standard output.")
@click.option("--run", "pattern", metavar="REGEX", help="Only tests whose file or name it is found in.")
@rego_option
@click.option("-v", "--verbose", is_flag=True, help="List the tests that passed, too.")
@color_option
def command(
    paths: tuple[str, ...],
    given: tuple[Output, ...],
    output_file: str | None,
    pattern: str | None,
    rego: tuple[str, ...],
    verbose: bool,
    color: str,
) -> int:
    """Run the unit tests of policies in files, and in folders those named *.policytest.yaml.

    A test says which request comes, under which policies and waivers and with what in the cluster, and what the
    webhook is to answer; it is answered by the webhook's own functions. Rules that no test touches are listed.

    Exit code, the first that applies: 2 wrong usage, or a file of tests that cannot be used (the others are run all the
    same); 1 a test failed; 0 otherwise.
    """
    outputs = outputs_of(given, output_file)
    try:
        wanted = re.compile(pattern) if pattern is not None else None
    except (re.error, RecursionError, OverflowError) as error:
        raise click.UsageError(f"--run {pattern!r} is not a regular expression: {error}") from error
    from iocaudit.cli import policy_test_reports as reports  # late, as the rest: after usage is known good
    from iocaudit.impact.policy_tests.coverage import RuleCoverage
    from iocaudit.impact.policy_tests.reader import read_suites
    from iocaudit.impact.policy_tests.runner import run_suite
    from iocaudit.scanning.rules import RunRules
    from iocaudit.sinks.look import look_of

    rules = RunRules()
    click.get_current_context().call_on_close(rules.close)
    catalogue = rules.with_folders(indexed_catalogue(), rego)
    read = read_suites(paths, catalogue, rules.compile)
    coverage = RuleCoverage(catalogue)
    tested = reports.PolicyTestRun([], [], read.unusable)
    for suite in read.suites:
        cases = list(suite.matching(wanted))
        tested.left_out += len(suite.cases) - len(cases)
        tested.results += run_suite(suite, cases, catalogue, coverage, rules)
    tested.rules = list(coverage.rules())
    if not tested.results and not tested.unusable:
        raise click.UsageError(f"--run {pattern!r} is found in none of {tested.left_out} tests")

    def text_of(output: Output) -> str:
        if output.format == "json":
            return reports.json_report(tested)
        if output.format == "junit":
            return reports.junit(tested)
        stream = sys.stdout if output.file is None else None
        return reports.table(tested, look_of(stream, color), verbose=verbose)

    write_outputs(outputs, text_of, sys.stdout)
    return 2 if tested.unusable else 1 if tested.failed else 0
