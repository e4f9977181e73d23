"""Why a check is judged as it is in a place: the policy that decides, by which rule, and what would otherwise."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from iocaudit.core.check import Check
from iocaudit.core.severity import Severity
from iocaudit.engine.policy import Mode, Policy, PolicySet, Preset, PresetChoice, Rule, Setting

_NAMED_BY = {3: "id", 2: "group", 1: "profile"}


@dataclass(frozen=True, slots=True)
class Claim:
    """A policy that names the check in this place, and the rule of it that counts."""

    policy: str
    priority: int
    rule: int
    """The index in ``spec.checks``."""
    named_by: str
    """``id``, ``group`` or ``profile``."""
    mode: Mode | None
    severity: Severity | None
    params: Mapping[str, Any]
    preset: Preset
    """The one in force: it decides the mode where the rule gives none."""

    def mode_for(self, check: Check) -> Mode:
        """The mode of a hit of the check's severity under this claim."""
        return Setting(check, self.mode, self.severity, {}, preset=self.preset).mode_for(
            self.severity or check.severity
        )


@dataclass(frozen=True, slots=True)
class Decision:
    """What holds for one check in one place. ``by`` None: the preset in force, ``setting`` says which.

    ``shadowed`` are the other claims, in the order in which they would decide, and ``default`` is what would hold
    without any. ``conflicts`` are the policies among them that have the priority of the one that decides, so that
    only their names decide.
    """

    check: Check
    setting: Setting
    by: Claim | None
    shadowed: tuple[Claim, ...]
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
    policies: PolicySet, namespace: str | None, labels: Mapping[str, Any], checks: Iterable[Check]
) -> list[Decision]:
    """What holds for each check in a namespace with these labels (None: for cluster-scoped objects), and why."""
    matching = policies.matching(namespace, labels)
    choice = policies.chosen(matching)
    return [_decision(policies, check, matching, choice) for check in checks]


def _decision(policies: PolicySet, check: Check, matching: list[Policy], choice: PresetChoice) -> Decision:
    claims = [_claim(policy, rule, check, choice.preset) for policy in matching if (rule := policy.rule_for(check))]
    first = claims[0] if claims else None
    default = policies.default(check, choice)
    return Decision(check, policies.setting(check, matching), first, tuple(claims[1:]), default)


def _claim(policy: Policy, rule: Rule, check: Check, preset: Preset) -> Claim:
    named_by = _NAMED_BY[rule.specificity(check)]
    return Claim(policy.name, policy.priority, rule.index, named_by, rule.mode, rule.severity, rule.params, preset)
