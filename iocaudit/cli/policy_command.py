"""``iocaudit policy``: which policy decides in a namespace, and why; what one would do."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import click

from iocaudit.cli.groups import CommandGroup
from iocaudit.cli.params import check_ids, connection_options, no_connection_without_cluster, rego_option, words
from iocaudit.cli.policy_convert import command as convert_command
from iocaudit.cli.policy_impact import command as impact_command
from iocaudit.cli.policy_question import KnownPolicies, PolicyQuestion
from iocaudit.cli.policy_test import command as test_command
from iocaudit.cli.policy_try import command as try_command
from iocaudit.cli.request_options import kind_named, operation_option, request_of, user_options
from iocaudit.cli.select import known_check
from iocaudit.core.severity import Severity
from iocaudit.core.shape import Json
from iocaudit.engine.catalogue import Catalogue, installed_catalogue
from iocaudit.engine.escapes import escapes
from iocaudit.engine.policy import Policy
from iocaudit.engine.policy_kinds import is_wide
from iocaudit.engine.policy_set import PolicySet
from iocaudit.engine.policy_trace import Decision, PolicyClaim, trace
from iocaudit.engine.presets import Mode
from iocaudit.engine.rollout import Rollout, RolloutState
from iocaudit.engine.setting import Setting
from iocaudit.knowledge.clipping import clip
from iocaudit.sinks.columns import columns
from iocaudit.sinks.escape import visible

_MOST_PARAMETERS = 60


@click.group("policy", cls=CommandGroup)
def command() -> None:
    """Ask what the policies amount to."""


command.add_command(test_command)
command.add_command(try_command)
command.add_command(impact_command)
command.add_command(convert_command)


@command.command("explain")
@click.option("-n", "--namespace", metavar="NS", help="What holds in this namespace.")
@click.option("--cluster-scope", is_flag=True, help="What holds for cluster-scoped objects.")
@click.option("--policy", "files", multiple=True, metavar="FILE", help="The policies are those in this file.")
@click.option("--cluster", is_flag=True, help="The policies are those of a live cluster, read-only.")
@connection_options
@rego_option
@click.option("--label", "labels", multiple=True, metavar="KEY=VALUE", help="With --policy: a label of the namespace.")
@click.option("--kind", "kind_name", metavar="KIND", help="What holds for objects of this kind.")
@user_options
@operation_option
@check_ids("--check", "only", "Only these checks.")
@click.option("--profile", type=words(["default", "strict"]), default="default", show_default=True)
@click.option("-o", "--output", type=words(["table", "json"]), default="table", show_default=True)
def explain(
    namespace: str | None,
    cluster_scope: bool,
    files: tuple[str, ...],
    cluster: bool,
    context: str | None,
    kubeconfig: Path | None,
    rego: tuple[str, ...],
    labels: tuple[str, ...],
    kind_name: str | None,
    user: str | None,
    groups: tuple[str, ...],
    operation: str | None,
    only: tuple[str, ...],
    profile: str,
    output: str,
) -> int:
    """Which policy decides for each check in a namespace, by which of its rules, and what would decide otherwise.

    With --user, --group or --operation: what decides for such a request, with the groups that the API server adds by
    itself. Without them: what decides what is recorded, where policies for some requests alone have no say.

    Without --policy and --cluster: what holds without any policy, preset warn. --profile is what the operator and the
    webhook (or scan) run with. Exit code, the first that applies: 2 wrong usage, or policies that cannot be used; 3
    something in the cluster could not be read; 0 otherwise.
    """
    if cluster_scope == (namespace is not None):
        raise click.UsageError("give -n NAMESPACE or --cluster-scope (and not both)")
    if cluster and (files or labels):
        raise click.UsageError("--cluster reads policies and labels from the cluster: leave out --policy and --label")
    no_connection_without_cluster(cluster, context, kubeconfig)
    from iocaudit.scanning.rules import catalogue_with  # late: after usage is known good

    catalogue = catalogue_with(installed_catalogue(), rego, ())
    if cluster:
        found = _of_cluster(catalogue, profile, namespace, context, kubeconfig)
    else:
        found = KnownPolicies(_of_files(files, catalogue, profile), _labels(labels))
    policies = found.policies
    kind = kind_named(kind_name, policies.catalogue) if kind_name is not None else None
    if kind is not None and is_wide(kind) is not cluster_scope:
        scope = "of cluster scope: give --cluster-scope" if is_wide(kind) else "of a namespace: give -n NAMESPACE"
        raise click.UsageError(f"{kind} is {scope}")
    named = list(dict.fromkeys(known_check(policies.catalogue, name) for name in only))
    question = PolicyQuestion(policies, namespace, found.labels, kind, request_of(user, groups, operation))
    checks = named or list(filter(question.concerns, policies.catalogue))
    decisions = trace(policies, namespace, found.labels, checks, kind=question.kind, request=question.request)
    if output == "json":
        click.echo(json.dumps(_json(question, decisions, found), indent=2))
    else:
        _print(question, decisions, found)
    for line in found.unread:
        click.echo(visible(f"caution: {line}"), err=True)
    return 2 if found.refused else 3 if found.unread else 0


def _of_cluster(
    catalogue: Catalogue, profile: str, namespace: str | None, context: str | None, kubeconfig: Path | None
) -> KnownPolicies:
    from iocaudit.cli.live_policies import read_policy_set  # late: it imports the Kubernetes client
    from iocaudit.scanning.rules import RunRules

    with RunRules() as rules:
        return read_policy_set(catalogue, profile, namespace, context=context, kubeconfig=kubeconfig, rules=rules)


def _labels(given: Iterable[str]) -> dict[str, str]:
    found = {}
    for one in given:
        key, equals, value = one.partition("=")
        if not (key and equals):
            raise click.UsageError(f"--label {one!r}: write KEY=VALUE")
        found[key] = value
    return found


def _of_files(files: tuple[str, ...], catalogue: Catalogue, profile: str) -> PolicySet:
    from iocaudit.scanning.policy_files import make_policies  # late: after usage is known good
    from iocaudit.scanning.rules import RunRules

    with RunRules() as rules:
        return make_policies(rules.read(files, catalogue), catalogue, profile)


def _print(question: PolicyQuestion, decisions: list[Decision], found: KnownPolicies) -> None:
    policies, here = question.policies, question.asked
    order = ", ".join(f"{policy.name} (priority {policy.priority})" for policy in here)
    click.echo(visible(f"{question.title}: " + (f"asked in this order: {order}" if order else "no policy applies")))
    if elsewhere := question.elsewhere:
        click.echo(visible(f"not here: {', '.join(elsewhere)}"))
    if others := question.others:
        listed = "; ".join(f"{name} ({what})" for name, what in others.items())
        click.echo(visible(f"not asked: {listed}{_hint(question)}"))
    choice = policies.chosen(here)
    by = f"chosen by {choice.policy}" if choice.policy is not None else "no policy here chooses one"
    click.echo(visible(f"preset: {choice.preset} ({by}): {choice.preset.summary}"))
    for one in here:
        if one.rollout is not None:
            click.echo(visible(f"rollout of {one.name}: {_stage(one, one.rollout)}"))
    escaped = _escaped(policies, here, decisions)
    if escaped:
        click.echo(visible(f"escapes it: {', '.join(f'{check} ({policy})' for check, policy in escaped.items())}"))
    click.echo()
    header = ("CHECK", "MODE", "SEVERITY", "DECIDED BY", "PARAMETERS", "OTHERWISE")
    click.echo(columns(header, [_row(decision) for decision in decisions]), nl=False)
    said = sorted({(d.by.policy, other) for d in decisions if d.by is not None for other in d.conflicts})
    for policy, other in said:
        click.echo(
            visible(
                f"conflict: {policy} and {other} have the same priority and name the same checks: the first by name "
                "decides; give them different priorities"
            )
        )
    cautions = (f"caution: {line}" for line in question.cautions)
    for note in (*_not_configured(decisions), *cautions, *found.notes, *_refusals(found.refused)):
        click.echo(visible(note))


def _stage(policy: Policy, rollout: Rollout) -> str:
    """How far a rollout is here; a policy in a file counts as it ends."""
    if policy.standing is RolloutState.TO:
        return f"promoted here: at most {rollout.end}"
    if policy.standing is RolloutState.BACK:
        return f"taken back here: at most {rollout.start}, but for what preset guard denies"
    return f"not promoted here: at most {rollout.start}, later {rollout.end}; its status says what it waits for"


def _hint(question: PolicyQuestion) -> str:
    """How to ask of the policies that are for something else."""
    others = [policy for policy in question.policies.policies if policy.name in question.others]
    options = ["--kind"] if question.kind is None and any(one.kinds is not None for one in others) else []
    if question.request is None and any(one.by_request for one in others):
        options += ["--user", "--group", "--operation"]
    return f"; ask with {', '.join(options)}" if options else ""


def _escaped(policies: PolicySet, here: list[Policy], decisions: list[Decision]) -> dict[str, str]:
    """Check to the policy that is milder than the preset in force."""
    found = escapes(policies, here, (decision.check for decision in decisions))
    return {check.id: policy for check, policy in found.items()}


def _not_configured(decisions: list[Decision]) -> list[str]:
    return [
        f"not configured: {d.check.id} does not run: a policy has to set its parameter {', '.join(d.setting.missing)}"
        for d in decisions
        if d.mode is not Mode.OFF and d.setting.missing
    ]


def _refusals(refused: Mapping[str, str]) -> list[str]:
    return [
        f"refused: {line} (a running operator keeps its last good state)"
        for reason in refused.values()
        for line in reason.splitlines()
    ]


def _row(decision: Decision) -> tuple[str, ...]:
    mode = decision.mode.value
    if decision.worst_mode is not decision.mode:
        mode += f" ({decision.check.worst.label} hits: {decision.worst_mode})"
    given = decision.by.params if decision.by is not None else {}
    parameters = clip(json.dumps(dict(given), ensure_ascii=False), _MOST_PARAMETERS) if given else ""
    return (
        decision.check.id,
        mode,
        decision.severity.label,
        _by(decision.by) if decision.by is not None else _default(decision),
        parameters,
        "; ".join(f"{_by(claim)}: {claim.mode_for(decision.check)}" for claim in decision.shadowed)
        or (f"preset {decision.setting.preset}: {_mode(decision.default)}" if decision.by is not None else ""),
    )


def _by(claim: PolicyClaim) -> str:
    return f"{claim.policy}, spec.{claim.rule} by {claim.named_by}"


def _default(decision: Decision) -> str:
    if decision.setting.mode is Mode.OFF:
        return f"default (profile {decision.check.profile} is not on)"
    return f"preset {decision.setting.preset}"


def _mode(setting: Setting) -> Mode:
    return setting.mode_for(setting.severity or setting.check.severity)


def _json(question: PolicyQuestion, decisions: list[Decision], found: KnownPolicies) -> Json:
    policies, here, request = question.policies, question.asked, question.request
    choice = policies.chosen(here)
    return {
        "namespace": question.namespace,
        "labels": dict(question.labels),
        "kind": None if question.kind is None else str(question.kind),
        "request": None
        if request is None
        else {"operation": request.operation, "user": request.username, "groups": list(request.groups)},
        "profile": policies.profile,
        "asked": [{"name": policy.name, "priority": policy.priority, **_rollout(policy)} for policy in here],
        "notHere": question.elsewhere,
        "notAsked": [{"name": name, "for": what} for name, what in question.others.items()],
        "preset": {"name": choice.preset.value, "chosenBy": choice.policy},
        "escapes": [
            {"check": check, "policy": policy} for check, policy in _escaped(policies, here, decisions).items()
        ],
        "refused": [{"policy": name, "reason": reason} for name, reason in sorted(found.refused.items())],
        "cautions": question.cautions,
        "notes": list(found.notes),
        "notRead": list(found.unread),
        "checks": [_decision(decision) for decision in decisions],
    }


def _decision(decision: Decision) -> Json:
    setting = decision.setting
    return {
        "check": decision.check.id,
        "mode": decision.mode.value,
        "modeFollowsSeverity": setting.mode is None,
        "worstMode": decision.worst_mode.value,
        "severity": decision.severity.label,
        "parameters": dict(setting.params),
        "notConfigured": list(setting.missing),
        "onFault": setting.on_fault,
        "onIncomplete": setting.on_incomplete,
        "existing": setting.existing,
        "images": setting.images,
        "forRequestsAlone": setting.by_request,
        "exemptSubjects": [
            {"kind": one.kind, "name": one.name, "namespace": one.namespace or None} for one in setting.exempt
        ],
        "decidedBy": _claim(decision.by, decision) if decision.by is not None else None,
        "shadowed": [_claim(claim, decision) for claim in decision.shadowed],
        "conflicts": list(decision.conflicts),
        "default": {"mode": _mode(decision.default).value, "severity": decision.check.severity.label},
    }


def _claim(claim: PolicyClaim, decision: Decision) -> Json:
    severity: Severity = claim.severity or decision.check.severity
    return {
        "policy": claim.policy,
        "priority": claim.priority,
        "rule": f"spec.{claim.rule}",
        "namedBy": claim.named_by,
        "mode": claim.mode_for(decision.check).value,
        "severity": severity.label,
        "parameters": dict(claim.params),
    }


def _rollout(policy: Policy) -> Json:
    """How a policy under rollout counts here; nothing for any other."""
    if policy.rollout is None:
        return {}
    return {"rollout": {"standing": policy.standing.value, "atMost": policy.ceiling.value}}
