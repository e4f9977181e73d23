"""``iocaudit policy``: which policy decides in a namespace, and why; what one would do."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import click

from iocaudit.cli.groups import Group
from iocaudit.cli.params import check_ids, connection_options, no_connection_without_cluster, words
from iocaudit.cli.policy_try import command as try_command
from iocaudit.cli.select import known_check
from iocaudit.core.severity import Severity
from iocaudit.core.wording import clip
from iocaudit.engine.catalogue import Catalogue, builtin_catalogue
from iocaudit.engine.escapes import escapes
from iocaudit.engine.policy import Mode, Policy, PolicySet, Setting
from iocaudit.engine.policy_trace import Claim, Decision, trace
from iocaudit.sinks.columns import columns
from iocaudit.sinks.escape import visible

Json = dict[str, Any]
_MOST_PARAMETERS = 60


@click.group("policy", cls=Group)
def command() -> None:
    """Ask what the policies amount to."""


command.add_command(try_command)


@command.command("explain")
@click.option("-n", "--namespace", metavar="NS", help="What holds in this namespace.")
@click.option("--cluster-scope", is_flag=True, help="What holds for cluster-scoped objects.")
@click.option("--policy", "files", multiple=True, metavar="FILE", help="The policies are those in this file.")
@click.option("--cluster", is_flag=True, help="The policies are those of a live cluster, read-only.")
@connection_options
@click.option("--label", "labels", multiple=True, metavar="KEY=VALUE", help="With --policy: a label of the namespace.")
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
    labels: tuple[str, ...],
    only: tuple[str, ...],
    profile: str,
    output: str,
) -> int:
    """Which policy decides for each check in a namespace, by which of its rules, and what would decide otherwise.

    Without --policy and --cluster: what holds without any policy, preset warn. --profile is what the operator and the
    webhook (or scan) run with. Exit code: 2 wrong usage, or policies that cannot be used; 0 otherwise.
    """
    if cluster_scope == (namespace is not None):
        raise click.UsageError("give -n NAMESPACE or --cluster-scope (and not both)")
    if cluster and (files or labels):
        raise click.UsageError("--cluster reads policies and labels from the cluster: leave out --policy and --label")
    no_connection_without_cluster(cluster, context, kubeconfig)
    catalogue = builtin_catalogue()
    checks = list(dict.fromkeys(known_check(catalogue, name) for name in only)) or list(catalogue)
    found_labels: Mapping[str, Any] = _labels(labels)
    refused: Mapping[str, str] = {}
    if cluster:
        from iocaudit.cli.live_policies import read_policy_set  # late: it imports the Kubernetes client

        policies, found_labels, refused = read_policy_set(
            catalogue, profile, namespace, context=context, kubeconfig=kubeconfig
        )
    else:
        policies = _of_files(files, catalogue, profile)
    decisions = trace(policies, namespace, found_labels, checks)
    if output == "json":
        click.echo(json.dumps(_json(policies, namespace, found_labels, decisions, refused), indent=2))
    else:
        _print(policies, namespace, found_labels, decisions, refused)
    return 2 if refused else 0


def _labels(given: Iterable[str]) -> dict[str, str]:
    found = {}
    for one in given:
        key, equals, value = one.partition("=")
        if not (key and equals):
            raise click.UsageError(f"--label {one!r}: write KEY=VALUE")
        found[key] = value
    return found


def _of_files(files: tuple[str, ...], catalogue: Catalogue, profile: str) -> PolicySet:
    from iocaudit.sources.policy_files import make_policies, read_policy_files  # late: after usage is known good

    return make_policies(read_policy_files(files, catalogue), catalogue, profile)


def _in_place(policies: PolicySet, namespace: str | None, labels: Mapping[str, Any]) -> tuple[list[Policy], list[str]]:
    """The policies that apply, in the order they are asked, and the names of the others."""
    here = [policy for policy in policies.policies if policy.matches(namespace, labels)]
    return here, [policy.name for policy in policies.policies if policy not in here]


def _print(
    policies: PolicySet,
    namespace: str | None,
    labels: Mapping[str, Any],
    decisions: list[Decision],
    refused: Mapping[str, str],
) -> None:
    here, elsewhere = _in_place(policies, namespace, labels)
    place = f"namespace {namespace}" if namespace is not None else "cluster-scoped objects"
    order = ", ".join(f"{policy.name} (priority {policy.priority})" for policy in here)
    click.echo(visible(f"{place}: " + (f"asked in this order: {order}" if order else "no policy applies")))
    if elsewhere:
        click.echo(visible(f"not here: {', '.join(elsewhere)}"))
    choice = policies.chosen(here)
    by = f"chosen by {choice.policy}" if choice.policy is not None else "no policy here chooses one"
    click.echo(visible(f"preset: {choice.preset} ({by}): {choice.preset.summary}"))
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
    for note in (*_not_configured(decisions), *_refusals(refused)):
        click.echo(visible(note))


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


def _by(claim: Claim) -> str:
    return f"{claim.policy}, spec.checks[{claim.rule}] by {claim.named_by}"


def _default(decision: Decision) -> str:
    if decision.setting.mode is Mode.OFF:
        return f"default (profile {decision.check.profile} is not on)"
    return f"preset {decision.setting.preset}"


def _mode(setting: Setting) -> Mode:
    return setting.mode_for(setting.severity or setting.check.severity)


def _json(
    policies: PolicySet,
    namespace: str | None,
    labels: Mapping[str, Any],
    decisions: list[Decision],
    refused: Mapping[str, str],
) -> Json:
    here, elsewhere = _in_place(policies, namespace, labels)
    choice = policies.chosen(here)
    return {
        "namespace": namespace,
        "labels": dict(labels),
        "profile": policies.profile,
        "asked": [{"name": policy.name, "priority": policy.priority} for policy in here],
        "notHere": elsewhere,
        "preset": {"name": choice.preset.value, "chosenBy": choice.policy},
        "escapes": [
            {"check": check, "policy": policy} for check, policy in _escaped(policies, here, decisions).items()
        ],
        "refused": [{"policy": name, "reason": reason} for name, reason in sorted(refused.items())],
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
        "exemptSubjects": [
            {"kind": one.kind, "name": one.name, "namespace": one.namespace or None} for one in setting.exempt
        ],
        "decidedBy": _claim(decision.by, decision) if decision.by is not None else None,
        "shadowed": [_claim(claim, decision) for claim in decision.shadowed],
        "conflicts": list(decision.conflicts),
        "default": {"mode": _mode(decision.default).value, "severity": decision.check.severity.label},
    }


def _claim(claim: Claim, decision: Decision) -> Json:
    severity: Severity = claim.severity or decision.check.severity
    return {
        "policy": claim.policy,
        "priority": claim.priority,
        "rule": f"spec.checks[{claim.rule}]",
        "namedBy": claim.named_by,
        "mode": claim.mode_for(decision.check).value,
        "severity": severity.label,
        "parameters": dict(claim.params),
    }
