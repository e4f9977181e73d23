"""``iocaudit policy try``: what a policy would do, before it is in force."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from iocaudit.cli.params import connection_options, files_or_cluster, rego_option, words
from iocaudit.cli.request_options import request_of, user_options
from iocaudit.core.errors import IocauditError
from iocaudit.core.shape import Json
from iocaudit.core.wording import counted, several
from iocaudit.core.world import World
from iocaudit.engine.audit import Auditor
from iocaudit.engine.catalogue import Catalogue, installed_catalogue
from iocaudit.sinks.columns import columns
from iocaudit.sinks.escape import json_text, visible
from iocaudit.sinks.json_report import subject_json
from iocaudit.sinks.summary import UnreadableDocument, place

if TYPE_CHECKING:
    from iocaudit.core.request import Request
    from iocaudit.engine.posture import Verdict
    from iocaudit.impact.trial import Trial, TriedObject
    from iocaudit.scanning.policy_files import PolicyDocument
    from iocaudit.scanning.rules import RunRules

_MOST_CHECKS = 4


@dataclass(slots=True)
class TrialOutcome:
    """What was tried, and what is to be said beside it. ``unreadable``: documents that could not be read.

    ``auditor`` judges by the policies that were tried, in the world of all that was read.
    """

    trial: Trial
    auditor: Auditor
    live: bool
    notes: list[str] = field(default_factory=list)
    not_read: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)


@click.command("try")
@click.argument("file", metavar="FILE")
@click.argument("paths", nargs=-1, metavar="[PATH... | -]")
@click.option("--cluster", is_flag=True, help="Try it on a live cluster, read-only, beside its other policies.")
@connection_options
@click.option(
    "-n",
    "--namespace",
    metavar="NS",
    help="With --cluster: only this namespace; with PATHs: where an unset namespace means.",
)
@rego_option
@user_options
@click.option("--profile", type=words(["default", "strict"]), default="default", show_default=True)
@click.option("-o", "--output", type=words(["table", "json"]), default="table", show_default=True)
def command(
    file: str,
    paths: tuple[str, ...],
    cluster: bool,
    context: str | None,
    kubeconfig: Path | None,
    namespace: str | None,
    rego: tuple[str, ...],
    user: str | None,
    groups: tuple[str, ...],
    profile: str,
    output: str,
) -> int:
    """What the AuditPolicies in FILE would deny if it were made anew, what goes on as it is, what is unaffected.

    Objects in PATHs are tried in the order in which kubectl apply -R -f makes them, by FILE alone. In a cluster
    the policies of FILE stand in place of those of the same names, beside all others and the waivers. The objects are
    made by --user, in the groups that are given and those that the API server adds by itself; without it, by someone
    whom no policy names. What controllers make, they make anew. What the policies cost while the webhook is away is
    told as well.

    Exit code, the first that applies: 2 wrong usage, or a policy or document that cannot be read; 1 something would be
    denied; 3 something in the cluster could not be read; 0 otherwise.
    """
    files_or_cluster(paths, cluster, context, kubeconfig)
    if file == "-" and "-" in paths:
        raise click.UsageError("the policy and the objects cannot both be on standard input")
    from iocaudit.install.selection import selection_cost  # late, as the rest: `policy explain` needs none of it
    from iocaudit.scanning.rules import RunRules

    rules = RunRules()
    click.get_current_context().call_on_close(rules.close)
    catalogue = rules.with_folders(installed_catalogue(), rego)
    documents = rules.read((file,), catalogue) if not cluster else []
    request = request_of(user, groups, None)
    if cluster:
        from iocaudit.cli.live_trial import try_cluster  # late: it imports the Kubernetes client

        live = try_cluster(
            partial(rules.read, (file,)),
            catalogue,
            profile,
            namespace,
            context=context,
            kubeconfig=kubeconfig,
            request=request,
            rules=rules,
        )
        outcome = TrialOutcome(live.trial, live.auditor, True, live.notes, live.not_read)
    else:
        outcome = try_on_files(documents, paths, catalogue, profile, namespace or "default", request, rules)
    auditor = outcome.auditor
    costs = selection_cost(auditor.catalogue, auditor.policies, auditor.world.own_namespace)
    if output == "json":
        click.echo(json_text(json.dumps(trial_json(outcome, costs), indent=2, ensure_ascii=False)))
    else:
        print_trial(outcome, costs)
    for line in (*outcome.unreadable, *outcome.not_read):
        click.echo(visible(line), err=True)
    if outcome.unreadable:
        return 2
    return 1 if outcome.trial.denied else 3 if outcome.not_read else 0


def try_on_files(
    documents: Sequence[PolicyDocument],
    paths: tuple[str, ...],
    catalogue: Catalogue,
    profile: str,
    namespace: str,
    request: Request | None = None,
    rules: RunRules | None = None,
) -> TrialOutcome:
    from iocaudit.impact.files import try_files
    from iocaudit.scanning.policy_files import acceptor, make_policies, make_waivers

    now = datetime.now(UTC)
    policies = make_policies(documents, catalogue, profile)
    accept = acceptor(make_waivers(documents, policies.catalogue, now), now)
    answers = rules.begin(policies.catalogue) if rules is not None else None
    world = World(default_namespace=namespace)
    trial, scan = try_files(paths, catalogue, policies, accept, namespace, world, request=request, answers=answers)
    if not scan.documents and not scan.errors:
        raise IocauditError("there is no Kubernetes object in the input")
    skipped = [f"not tried: {one.reason}" for one in scan.report.skipped]
    unreadable = [str(UnreadableDocument(*error)) for error in scan.errors]
    auditor = Auditor(catalogue, policies, world, accept, answers)
    return TrialOutcome(trial, auditor, False, not_read=skipped, unreadable=unreadable)


def print_trial(outcome: TrialOutcome, costs: Iterable[str]) -> None:
    trial = outcome.trial
    anew = [one for one in trial.denied if one.anew]
    stopping = [one for one in trial.denied if one.stops]
    total = len(trial.denied) + trial.unaffected
    click.echo(f"would be denied if made anew: {len(anew)} of {counted(total, 'object')}")
    if anew:
        where = () if outcome.live else ("WHERE",)
        rows = [_row(one)[: 3 + len(where)] for one in anew]
        click.echo(columns(("NAMESPACE", "OBJECT", "CHECKS", *where), rows), nl=False)
    on = len(anew) - sum(1 for one in stopping if one.anew)
    if outcome.live:
        click.echo(f"goes on as it is: {on}, until a change of it adds something that is denied")
    elif anew:
        click.echo(f"goes on as it is, where a cluster has it already: {on}")
    if stopping:
        click.echo(f"does not go on as it is: {len(stopping)}")
        rows = [(one.ref.namespace or "", f"{one.ref.kind}/{one.ref.name}", several(one.stops, 2)) for one in stopping]
        click.echo(columns(("NAMESPACE", "OBJECT", "WHY"), rows), nl=False)
    warned = f", {trial.warned} of them with warnings" if trial.warned else ""
    click.echo(f"unaffected: {trial.unaffected}{warned}")
    for line in (*costs, *outcome.notes):
        click.echo(visible(line))


def _row(one: TriedObject) -> tuple[str, ...]:
    return (
        one.ref.namespace or "",
        f"{one.ref.kind}/{one.ref.name}",
        several(_checks(one.verdict), _MOST_CHECKS),
        place(one.origin.file, one.origin.line),
    )


def _checks(verdict: Verdict) -> list[str]:
    """The checks that deny, worst first; those that failed or could not be evaluated behind them."""
    found = [one.check for one in verdict.denials]
    found += [f"{one.check} (fault)" for one in verdict.fault_denials]
    found += [f"{one.check or 'object'} (not evaluated)" for one in verdict.incomplete_denials]
    return list(dict.fromkeys(found))


def trial_json(outcome: TrialOutcome, costs: list[str]) -> Json:
    trial = outcome.trial
    return {
        "denied": [_tried(one) for one in trial.denied if one.anew],
        "stopped": [_tried(one) for one in trial.denied if one.stops],
        "goesOn": sum(1 for one in trial.denied if not one.stops),
        "unaffected": trial.unaffected,
        "warned": trial.warned,
        "whileAway": costs,
        "notes": outcome.notes,
        "notRead": [*outcome.unreadable, *outcome.not_read],
    }


def _tried(one: TriedObject) -> Json:
    verdict = one.verdict
    reasons: list[Json] = [
        {"check": found.check, "severity": found.severity.label, "message": found.message} for found in verdict.denials
    ]
    reasons += [{"check": fault.check, "severity": None, "message": fault.error} for fault in verdict.fault_denials]
    reasons += [{"check": gap.check, "severity": None, "message": gap.reason} for gap in verdict.incomplete_denials]
    return {
        "subject": subject_json(one.ref),
        "reasons": reasons,
        "stops": one.stops,
        "file": one.origin.file,
        "line": one.origin.line,
    }
