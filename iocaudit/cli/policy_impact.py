"""``iocaudit policy impact``: who would be denied by a policy, in files, in a cluster, and in what went on before."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from iocaudit.cli.history_report import (
    HistoryOutcome,
    attempts_json,
    history_json,
    print_attempts,
    print_history,
)
from iocaudit.cli.params import connection_options, no_connection_without_cluster, rego_option, words
from iocaudit.cli.policy_try import TrialOutcome, print_trial, trial_json, try_on_files
from iocaudit.cli.progress import scan_progress
from iocaudit.cli.waiver_text import MOST_DAYS, acceptance, left_out, summary_of, too_long, waiver_file
from iocaudit.core.errors import IocauditError
from iocaudit.core.shape import Json
from iocaudit.engine.audit import Auditor
from iocaudit.engine.catalogue import Catalogue, installed_catalogue
from iocaudit.sinks.escape import json_text, visible

if TYPE_CHECKING:
    from iocaudit.cluster.api import Api
    from iocaudit.engine.waiving import Acceptance
    from iocaudit.impact.going_on import GoingOn
    from iocaudit.impact.history import JudgedRequest
    from iocaudit.impact.past_attempts import PastAttempt
    from iocaudit.scanning.policy_files import PolicyDocument
    from iocaudit.scanning.rules import RunRules

_NO_WORLD = "neither files nor a cluster are given to look it up in"


class ImpactError(IocauditError):
    """The waivers cannot be written; names the file and the reason."""


@click.command("impact")
@click.argument("paths", nargs=-1, metavar="[PATH... | -]")
@click.option("--policy", "files", multiple=True, required=True, metavar="FILE", help="The policies; may be repeated.")
@click.option("--cluster", is_flag=True, help="Look at a live cluster, read-only, beside its other policies.")
@connection_options
@rego_option
@click.option("--audit-log", "logs", multiple=True, metavar="FILE", help="An audit log of the API server, or - .")
@click.option(
    "-n",
    "--namespace",
    metavar="NS",
    help="With --cluster or without PATHs: only this namespace; with PATHs: where an unset namespace means.",
)
@click.option("--profile", type=words(["default", "strict"]), default="default", show_default=True)
@click.option("-o", "--output", type=words(["table", "json"]), default="table", show_default=True)
@click.option("--write-waivers", "target", metavar="FILE", help="Write IocWaivers for what should go on.")
@click.option("--owner", metavar="WHO", help="With --write-waivers: who answers for it, a person or a team.")
@click.option("--reason", metavar="WHY", help="With --write-waivers: why the risk is accepted.")
@click.option("--days", type=click.IntRange(1, MOST_DAYS), help="With --write-waivers: when they end.")
@click.option("--ticket", default="", metavar="WHERE", help="With --write-waivers: where it was decided.")
@click.option("--include-critical", is_flag=True, help="With --write-waivers: criticals too, each with one of its own.")
def command(
    paths: tuple[str, ...],
    files: tuple[str, ...],
    cluster: bool,
    context: str | None,
    kubeconfig: Path | None,
    rego: tuple[str, ...],
    logs: tuple[str, ...],
    namespace: str | None,
    profile: str,
    output: str,
    target: str | None,
    owner: str | None,
    reason: str | None,
    days: int | None,
    ticket: str,
    include_critical: bool,
) -> int:
    """Who would be denied by the AuditPolicies of --policy, how often, and when last.

    Objects in PATHs or in a live cluster are tried as policy try does. Each request in an audit log is judged by itself
    as the webhook would have judged it: by its user and groups, by the object as it was stored, and by how that was
    before. What other objects say is taken as it is today, in PATHs or in the cluster. What cannot be judged is listed
    with the reason. A log is JSON lines as the API server, EKS, GKE and AKS write them, plain or compressed.

    Exit code, the first that applies: 2 wrong usage, or a policy, document or log that cannot be read; 1 something
    would be denied; 3 something in the cluster, or a line of a log, could not be read; 0 otherwise.
    """
    if not (paths or cluster or logs):
        raise click.UsageError("give PATHs to files, --cluster or --audit-log FILE")
    if paths and cluster:
        raise click.UsageError("give PATHs or --cluster (and not both)")
    no_connection_without_cluster(cluster, context, kubeconfig)
    if [*files, *paths, *logs].count("-") > 1:
        raise click.UsageError("only one of policies, objects and logs can be on standard input")
    why = _acceptance(target, owner, reason, days, ticket, include_critical)
    from iocaudit.impact.going_on import GoingOn  # late, as what follows: `policy explain` needs none of it
    from iocaudit.install.selection import selection_cost
    from iocaudit.scanning.rules import RunRules

    rules = RunRules()
    click.get_current_context().call_on_close(rules.close)
    catalogue = rules.with_folders(installed_catalogue(), rego)
    documents = rules.read(files, catalogue) if not cluster else []
    outcome: TrialOutcome | None = None
    attempts: list[PastAttempt] = []
    client: Api | None = None
    if cluster:
        from iocaudit.cli.live_trial import try_cluster  # late: it imports the Kubernetes client

        live = try_cluster(
            partial(rules.read, files),
            catalogue,
            profile,
            namespace,
            context=context,
            kubeconfig=kubeconfig,
            rules=rules,
        )
        client = live.client
        outcome = TrialOutcome(live.trial, live.auditor, True, live.notes, live.not_read)
        attempts = _attempts(client, live.auditor, namespace, outcome.not_read)
    elif paths:
        outcome = try_on_files(documents, paths, catalogue, profile, namespace or "default", rules=rules)
    auditor = outcome.auditor if outcome is not None else _without_world(documents, catalogue, profile, rules)
    catalogue = auditor.catalogue
    going_on = GoingOn(auditor)
    only = namespace if not paths else None
    judged = going_on.take if target is not None else None
    past = _history(auditor, catalogue, logs, client, only, outcome is not None, judged) if logs else None
    costs = selection_cost(catalogue, auditor.policies, auditor.world.own_namespace)
    if output == "json":
        click.echo(json_text(json.dumps(_json(outcome, past, attempts, costs), indent=2, ensure_ascii=False)))
    else:
        if outcome is not None:
            print_trial(outcome, costs)
        for line in (*(print_history(past) if past is not None else ()), *print_attempts(attempts)):
            click.echo(line)
        for line in () if outcome is not None else costs:
            click.echo(visible(line))
    not_read = [*outcome.not_read] if outcome is not None else []
    unreadable = [*outcome.unreadable] if outcome is not None else []
    if past is not None:
        not_read += _unread(past)
    for line in (*unreadable, *not_read):
        click.echo(visible(line), err=True)
    if target is not None and why is not None and days is not None:
        if note := too_long(days):
            click.echo(note, err=True)
        _write_waivers(going_on, outcome, target, why, include_critical)
    if unreadable:
        return 2
    denied = bool(outcome is not None and outcome.trial.denied) or bool(past and past.history.tally.denied)
    return 1 if denied else 3 if not_read else 0


def _acceptance(
    target: str | None, owner: str | None, reason: str | None, days: int | None, ticket: str, critical: bool
) -> Acceptance | None:
    given = {"--owner": owner, "--reason": reason, "--days": days, "--ticket": ticket, "--include-critical": critical}
    if target is None:
        for option, value in given.items():
            if value:
                raise click.UsageError(f"{option} goes with --write-waivers")
        return None
    if owner is None or reason is None or days is None:
        missing = [option for option in ("--owner", "--reason", "--days") if given[option] is None]
        raise click.UsageError(f"--write-waivers needs {' and '.join(missing)}: a waiver needs it")
    return acceptance(owner, reason, days, ticket)


def _without_world(documents: Sequence[PolicyDocument], catalogue: Catalogue, profile: str, rules: RunRules) -> Auditor:
    """An auditor that can look nothing up: what checks need of other objects they say they lack."""
    from iocaudit.core.world import World
    from iocaudit.scanning.policy_files import acceptor, make_policies, make_waivers

    now = datetime.now(UTC)
    policies = make_policies(documents, catalogue, profile)
    catalogue = policies.catalogue
    world = World()
    for kind in catalogue.admission_world_kinds:
        world.mark_incomplete(kind, _NO_WORLD)
    accept = acceptor(make_waivers(documents, catalogue, now), now)
    return Auditor(catalogue, policies, world, accept, rules.begin(catalogue))


def _history(
    auditor: Auditor,
    catalogue: Catalogue,
    logs: tuple[str, ...],
    client: Api | None,
    namespace: str | None,
    has_world: bool,
    judged: Callable[[JudgedRequest], None] | None,
) -> HistoryOutcome:
    from iocaudit.impact.asked import AskedRequests
    from iocaudit.impact.history import History
    from iocaudit.signals.audit_log import AuditLog

    asked = AskedRequests(catalogue)
    history = History(auditor, asked, today=client.get if client is not None else None, has_world=has_world)
    with scan_progress() as progress:
        log = AuditLog(logs, asked.wants, progress)
        for event in log:
            if namespace is not None and event.target.namespace != namespace:
                history.tally.elsewhere += 1
                continue
            request = history.take(event)
            if request is not None and judged is not None:
                judged(request)
    if not log.tally.events and not log.tally.left_out and (log.tally.unread_count or log.tally.foreign):
        first = log.tally.unread[0] if log.tally.unread else log.tally.first_foreign
        raise IocauditError(f"there is no event of an audit log in the input: {first}")
    return HistoryOutcome(history, log.tally)


def _attempts(client: Api, auditor: Auditor, namespace: str | None, not_read: list[str]) -> list[PastAttempt]:
    """The denied attempts on record; none where iocaudit is not installed."""
    from iocaudit.cluster.errors import ApiError, NotFoundError
    from iocaudit.core.kinds.ours import CLUSTER_IOC_FINDING, IOC_FINDING
    from iocaudit.impact.past_attempts import past_attempts

    bodies: list[Json] = []
    for kind in (IOC_FINDING, CLUSTER_IOC_FINDING):
        if namespace is not None and not kind.namespaced:
            continue
        try:
            bodies += client.each(kind, namespace=namespace)
        except NotFoundError:
            continue
        except ApiError as error:
            not_read.append(f"what was denied already could not be read: {error}")
    return past_attempts(bodies, auditor)


def _unread(past: HistoryOutcome) -> list[str]:
    tally = past.log
    lines = [f"not read: {one}" for one in tally.unread]
    if tally.unread_count > len(tally.unread):
        lines.append(f"not read: {tally.unread_count - len(tally.unread)} more lines")
    return lines


def _json(
    outcome: TrialOutcome | None, past: HistoryOutcome | None, attempts: list[PastAttempt], costs: list[str]
) -> Json:
    return {
        "objects": trial_json(outcome, costs) if outcome is not None else None,
        "history": history_json(past) if past is not None else None,
        "deniedAlready": attempts_json(attempts),
        "whileAway": costs,
        "notRead": [str(one) for one in past.log.unread] if past is not None else [],
    }


def _write_waivers(
    going_on: GoingOn, outcome: TrialOutcome | None, target: str, why: Acceptance, critical: bool
) -> None:
    from iocaudit.cli.writing import save_file
    from iocaudit.engine.standing import FindingCriteria, choose
    from iocaudit.engine.waiving import waivers_for

    for one in outcome.trial.denied if outcome is not None else ():
        going_on.take_object(one)
    found = going_on.findings
    chosen = choose(found, FindingCriteria(critical=critical))
    new = waivers_for(chosen, found)
    for line in (*going_on.left, *left_out(chosen, new.left)):
        click.echo(visible(line), err=True)
    if not new.waivers:
        click.echo("nothing was written: there is nothing that a waiver could be made for", err=True)
        return
    save_file(target, waiver_file(new.waivers, why).encode(), ImpactError)
    click.echo(visible(f"{target}: {summary_of(new.waivers, why)}"), err=True)
