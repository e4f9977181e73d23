"""The options of ``iocaudit scan``, and which of them do not go together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import click

from iocaudit.cli.outputs import FORMATS, Output, OutputType
from iocaudit.cli.params import (
    SEVERITIES,
    check_ids,
    color_option,
    connection_options,
    files_or_cluster,
    rego_option,
    severity_option,
    split_commas,
    words,
)
from iocaudit.core.severity import Severity

_Function = TypeVar("_Function", bound=Callable[..., object])
NEVER = "never"
SETTINGS = ".iocaudit.yaml"
_FILE = click.Path(allow_dash=True)
"""A name as it is; the type tells a shell to complete files."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class ScanArguments:
    """What was given on the command line, each field under the name of its option's variable."""

    paths: tuple[str, ...]
    outputs: tuple[Output, ...]
    output_file: str | None
    profile: str
    policy_files: tuple[str, ...]
    rego: tuple[str, ...]
    fail_on: str
    lowest: str | None
    only: tuple[str, ...]
    skip: tuple[str, ...]
    exclude: tuple[str, ...]
    namespace: str | None
    left_out_namespaces: tuple[str, ...]
    baseline: str | None
    new_baseline: str | None
    prune: bool
    each_file_alone: bool
    cluster: bool
    context: str | None
    kubeconfig: Path | None
    render: bool
    values: tuple[str, ...]
    jobs: int | None
    write: bool
    diff: bool
    unsafe: bool
    target: str | None
    config: str | None
    no_config: bool
    no_annotations: bool
    require_complete: bool
    allow_empty: bool
    color: str
    verbose: bool

    @property
    def fixing(self) -> bool:
        return self.write or self.diff

    @property
    def threshold(self) -> Severity | None:
        """From which severity on a hit fails the run; None for ``never``."""
        return None if self.fail_on == NEVER else Severity.parse(self.fail_on)

    @property
    def shown_from(self) -> Severity:
        """The lowest severity that is reported."""
        return Severity.parse(self.lowest) if self.lowest else Severity.LOW

    def refuse_contradictions(self) -> None:
        """Raises click.UsageError where options do not go together."""
        files_or_cluster(self.paths, self.cluster, self.context, self.kubeconfig)
        if self.config and self.no_config:
            raise click.UsageError("give --config or --no-config, not both")
        if self.left_out_namespaces and not self.cluster:
            raise click.UsageError("--exclude-namespace goes with --cluster")
        if self.exclude and self.cluster:
            raise click.UsageError("--exclude goes with files")
        if self.values and not self.render:
            raise click.UsageError("--values goes with --render")
        if self.render and (self.cluster or self.each_file_alone):
            raise click.UsageError("--render goes with files, and not with --each-file-alone: a chart is many files")
        if self.write and self.diff:
            raise click.UsageError("--diff writes nothing: give --fix or --diff, not both")
        if self.unsafe and not self.fixing:
            raise click.UsageError("--unsafe-fixes goes with --fix or --diff")
        if self.fixing and (self.cluster or self.new_baseline):
            raise click.UsageError("--fix and --diff go with files, and not with --write-baseline")
        if self.target and (self.fixing or self.cluster or self.new_baseline or self.each_file_alone):
            raise click.UsageError("--generate goes with files that are one world, and before --fix, not with it")
        if self.prune and not (self.baseline and not self.new_baseline):
            raise click.UsageError("--prune goes with --baseline, and not with --write-baseline")


_OPTIONS = (
    click.argument("paths", nargs=-1, type=_FILE, metavar="PATH... | -"),
    click.option(
        "-o",
        "--output",
        "outputs",
        type=OutputType(),
        multiple=True,
        metavar="FORMAT[=FILE]",
        help=f"{', '.join(FORMATS)}  [default: table]. May be repeated, each further one with a file.",
    ),
    click.option("--output-file", type=_FILE, metavar="FILE", help="Write the report here, not to standard output."),
    click.option("--profile", type=words(["default", "strict"]), default="default", show_default=True),
    click.option(
        "--policy",
        "policy_files",
        multiple=True,
        type=_FILE,
        metavar="FILE",
        help="AuditPolicy and IocWaiver objects; with --cluster in place of its own.",
    ),
    rego_option,
    click.option(
        "--fail-on",
        type=words([*SEVERITIES, NEVER]),
        default="high",
        show_default=True,
        help="Exit with 1 on a hit of this severity or higher.",
    ),
    severity_option("Report only hits of this severity or higher; --fail-on still counts all."),
    check_ids("--check", "only", "Run only these checks."),
    check_ids("--skip", "skip", "Leave these checks out."),
    click.option(
        "--exclude",
        multiple=True,
        metavar="GLOB",
        help="Leave these files and folders out: a name, or a path below a PATH where it holds a slash (** for any "
        "folders). May be repeated.",
    ),
    click.option(
        "-n",
        "--namespace",
        metavar="NS",
        help="The namespace of objects that name none  [default: default]. With --cluster: audit only this one.",
    ),
    click.option(
        "--exclude-namespace",
        "left_out_namespaces",
        multiple=True,
        metavar="NS,…",
        callback=split_commas,
        help="With --cluster: leave these namespaces out. May be repeated.",
    ),
    click.option("--baseline", type=_FILE, metavar="FILE", help="Leave out the hits this file lists."),
    click.option(
        "--write-baseline",
        "new_baseline",
        type=_FILE,
        metavar="FILE",
        help="Write the hits found into this file and exit with 0; reasons already in it are kept.",
    ),
    click.option("--prune", is_flag=True, help="Remove the entries of --baseline that no longer match anything."),
    click.option("--config", type=_FILE, metavar="FILE", help=f"Settings  [default: {SETTINGS} of the repository]"),
    click.option("--no-config", is_flag=True, help="Use no settings file."),
    click.option(
        "--no-annotations", is_flag=True, help="Report also the hits that annotations of objects ask to ignore."
    ),
    click.option(
        "--each-file-alone", is_flag=True, help="Audit each file on its own, without the objects of the others."
    ),
    click.option("--cluster", is_flag=True, help="Audit a live cluster, read-only."),
    connection_options,
    click.option("--render", is_flag=True, help="Run helm and kustomize from PATH on charts and kustomizations."),
    click.option("--values", "values", multiple=True, metavar="FILE", help="With --render: values for helm."),
    click.option("--jobs", type=click.IntRange(1, 64), help="Processes  [default: two for large inputs]"),
    click.option("--fix", "write", is_flag=True, help="Write repairs that cannot break the workload into the files."),
    click.option("--diff", is_flag=True, help="Show what --fix would change, and write nothing."),
    click.option(
        "--unsafe-fixes", "unsafe", is_flag=True, help="With --fix or --diff: also repairs that may break the workload."
    ),
    click.option(
        "--generate",
        "target",
        type=_FILE,
        metavar="FILE",
        help="Write missing NetworkPolicies and rate limits to a new file (-: print).",
    ),
    click.option(
        "--require-complete", is_flag=True, help="Exit with 3 if anything was skipped, not only if everything was."
    ),
    click.option("--allow-empty", is_flag=True, help="Accept an input without a single Kubernetes object."),
    color_option,
    click.option("-v", "--verbose", is_flag=True, help="In the table: the path of each hit, and all that was skipped."),
)


def scan_options(function: _Function) -> _Function:
    """All of them, in the order of ``--help``."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function
