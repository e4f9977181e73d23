"""Why a check is judged as it is in a place: the policy that decides, by which rule, and what would otherwise."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from iocaudit.core.check import Check
from iocaudit.core.kinds import Kind
from iocaudit.core.request import Request
from iocaudit.core.severity import Severity
from iocaudit.engine.policy import CheckRule, Policy
from iocaudit.engine.policy_set import PolicySet
from iocaudit.engine.presets import Mode, Preset
from iocaudit.engine.setting import PresetChoice, Setting

_NAMED_BY = {3: "id", 2: "group", 1: "profile"}


@dataclass(frozen=True, slots=True)
class PolicyClaim:
    """A policy that names the check in this place, and the rule of it that counts."""

    policy: str
    priority: int
    rule: str
    """Where in the spec: ``checks[0]``, or ``rules[0]`` of a rule that the policy declares itself."""
    named_by: str
    """``id``, ``group`` or ``profile``."""
    mode: Mode | None
    severity: Severity | None
    params: Mapping[str, Any]
    preset: Preset
    """The one in force: it decides the mode where the rule gives none."""
    ceiling: Mode = Mode.DENY
    """The strictest mode that the policy gives a hit there, as far as its rollout is."""

    def mode_for(self, check: Check) -> Mode:
        """The mode of a hit of the check's severity under this claim."""
        found = Setting(check, self.mode, self.severity, {}, preset=self.preset, ceiling=self.ceiling)
        return found.mode_for(self.severity or check.severity)


@dataclass(frozen=True, slots=True)
class Decision:
    """What holds for one check in one place. ``by`` None: the preset in force, ``setting`` says which.

    ``shadowed`` are the other claims, in the order in which they would decide, first that of a policy under rollout
    that does not decide yet, and ``default`` is what would hold without any. ``conflicts`` are the policies among them
    that have the priority of the one that decides, so only their names decide.
    """

    check: Check
    setting: Setting
    by: PolicyClaim | None
    shadowed: tuple[PolicyClaim, ...]
    default: Setting

    @property
    def severity(self) -> Severity:
        return self.setting.severity or self.check.severity

    @property
    def mode(self) -> Mode:
        """The mode for a hit of its severity."""
        return self.setting.mode_for(self.severity)

    @property
    def worst_mode(self) -> Mode:
        """The mode for the worst hit there may be: where the mode follows the hit's severity, it may be another."""
        return self.setting.mode_for(self.setting.severity or self.check.worst)

    @property
    def conflicts(self) -> tuple[str, ...]:
        if self.by is None:
            return ()
        return tuple(claim.policy for claim in self.shadowed if claim.priority == self.by.priority)


def trace(
    policies: PolicySet,
    namespace: str | None,
    labels: Mapping[str, Any],
    checks: Iterable[Check],
    *,
    kind: Kind | None = None,
    request: Request | None = None,
) -> list[Decision]:
    """What holds for each check in a namespace with these labels (None: for cluster-scoped objects), and why.

    ``kind`` None asks of the policies that are for every kind, ``request`` None of what stands.
    """
    matching = policies.matching(namespace, labels, kind=kind, request=request)
    choice = policies.chosen(matching)
    return [_decision(policies, check, matching, choice) for check in checks]


def _decision(policies: PolicySet, check: Check, matching: list[Policy], choice: PresetChoice) -> Decision:
    claims = [_claim(policy, rule, check, choice.preset) for policy in matching if (rule := policy.rule_for(check))]
    setting = policies.setting(check, matching)
    by = next((claim for claim in claims if claim.policy == setting.policy), None)
    others = tuple(claim for claim in claims if claim is not by)
    return Decision(check, setting, by, others, policies.default(check, choice))


def _claim(policy: Policy, rule: CheckRule, check: Check, preset: Preset) -> PolicyClaim:
    named_by = _NAMED_BY[rule.specificity(check)]
    return PolicyClaim(
        policy.name,
        policy.priority,
        rule.at,
        named_by,
        rule.mode,
        rule.severity,
        rule.params,
        preset,
        policy.ceiling,
    )
