"""What the author of an AuditPolicy should know of what it selects: where others choose it, and where it is
idle."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from iocaudit.core.check import Check
from iocaudit.core.kinds import PODS
from iocaudit.core.request import Operation
from iocaudit.core.wording import several
from iocaudit.engine.catalogue import Catalogue
from iocaudit.engine.fields import nearest
from iocaudit.engine.languages.rule_fields import RULE_PREFIXES
from iocaudit.engine.policy import CheckRule, Policy
from iocaudit.engine.presets import Mode, Preset
from iocaudit.knowledge.clipping import clip

_WRITES = frozenset({Operation.CREATE, Operation.UPDATE})
_MOST_NAMES = 5


class Caution(NamedTuple):
    """One word, as conditions have it, and the sentence."""

    reason: str
    message: str


def cautions(policy: Policy, catalogue: Catalogue) -> Iterator[Caution]:
    """What is to be known of a policy that can be used."""
    yield from _unknown(policy, catalogue)
    if policy.selects_by_label:
        yield Caution(
            "SelectsByLabel",
            "namespaceSelector uses labels other than kubernetes.io/metadata.name: anyone who may edit a "
            "namespace's labels chooses its policy",
        )
    named = [check for check in catalogue.whole if policy.preset is not None or policy.rule_for(check) is not None]
    writes = _WRITES & policy.operations if policy.operations is not None else _WRITES
    if len(writes) == 1 and any({*check.operations} >= _WRITES for check in named):
        (one,), (other,) = writes, _WRITES - writes
        yield Caution(
            "SelectsByOperation",
            f"operations names {one} and not {other}: the user who makes a request chooses which of them it is, and "
            "may bring in by the other what is denied of one",
        )
    if denies(policy) and any(check.on_pods for check in named) and (kinds := _templates(policy)):
        yield Caution(
            "SelectsByKind",
            f"kinds names {several(kinds, _MOST_NAMES)} and not Pod: pods that are made in another way are not judged "
            "by it",
        )
    for rule in policy.rules:
        if idle := [check for check in catalogue.whole if _names(rule, check) and not _may_decide(policy, check)]:
            decided = any(rule.specificity(check) and _may_decide(policy, check) for check in catalogue.whole)
            what = several([check.id for check in idle], _MOST_NAMES)
            if rule.ids or not decided:
                yield Caution(
                    "HoldsForNothing",
                    f"{rule.at} decides nothing for {clip(what)}: no request or object that the policy "
                    "selects is one that the check looks at",
                )


def _unknown(policy: Policy, catalogue: Catalogue) -> Iterator[Caution]:
    """The rules that it names and nobody declares: what is to be denied by them is not."""
    declared = {one.rule.id for one in policy.declared}
    known = [*declared, *(check.id for check in catalogue.whole if check.asks)]
    for rule in policy.rules:
        for name in unknown_rules(policy, rule, catalogue):
            yield Caution(
                "UnknownRule",
                f"{rule.at}.ids names {clip(name)}, which is not a rule of any AuditPolicy or ConfigMap"
                f"{nearest(name, known)}: it decides nothing until there is one",
            )


def unknown_rules(policy: Policy, rule: CheckRule, catalogue: Catalogue) -> list[str]:
    """The rules in languages of their own that an entry of a policy names, and that nobody declares."""
    others = rule.ids - {one.rule.id for one in policy.declared}
    return sorted(name for name in others if name.startswith(RULE_PREFIXES) and catalogue.whole.find(name) is None)


def denies(policy: Policy) -> bool:
    """Whether it is there to deny."""
    return policy.preset in (Preset.GUARD, Preset.LOCKDOWN) or any(rule.mode is Mode.DENY for rule in policy.rules)


def _templates(policy: Policy) -> list[str]:
    """The kinds with pods that a policy for some of them alone names."""
    if policy.kinds is None:
        return []
    there = [kind for kind in PODS if policy.is_for(kind)]
    return [kind.name for kind in there] if len(there) < len(PODS) else []


def _names(rule: CheckRule, check: Check) -> bool:
    """Whether a rule speaks of a check: of all in a group, where it names none by id."""
    return bool(rule.specificity(check)) and (not rule.ids or rule.specificity(check) == 3)


def _may_decide(policy: Policy, check: Check) -> bool:
    """Whether anything that the policy selects is looked at by the check."""
    if policy.by_request and check.audit_only:
        return False
    if policy.operations is not None and policy.operations.isdisjoint(check.operations):
        return False
    return any(policy.is_for(kind) for kind in check.looks_at)
