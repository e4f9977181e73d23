"""What the status of an AuditPolicy says of the rules that it declares: evaluated or not, and which are not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from iocaudit.controller.policy_conditions import Condition
from iocaudit.core.kinds import Kind
from iocaudit.core.wording import counted
from iocaudit.engine.languages.rule import Language
from iocaudit.engine.policy import Policy
from iocaudit.engine.policy_set import PolicySet
from iocaudit.live.engines import Engines

RULES_READY, CONVERTED = "RulesReady", "Converted"
_MOST_NAMED = 5
_NAMES = {Language.REGO: "Rego", Language.CEL: "CEL"}


def of_rules(
    policy: Policy, policies: PolicySet, engines: Engines, lacking: Mapping[Kind, str] = MappingProxyType({})
) -> Iterator[Condition]:
    """The condition of a policy that declares rules; none of one that declares none.

    ``lacking`` says of kinds that rules look up why they are not known.
    """
    if not policy.declared:
        return
    if (old := _converted(policy, engines)) is not None:
        yield old
    languages = dict.fromkeys(one.rule.language for one in policy.declared)
    if lost := policies.lost_rules.get(policy.name):
        named = "; ".join(f"{one.id} is a rule of {one.other} as well" for one in lost[:_MOST_NAMED])
        yield Condition(RULES_READY, False, "NameTaken", f"{named}: that one is in force, give this one another name")
        return
    if away := [f"{_NAMES[one]}: {why}" for one, why in engines.trouble.items() if one in languages]:
        message = f"what evaluates its rules is not ready; they fail, as onFault has it: {'; '.join(away)}"
        yield Condition(RULES_READY, False, "EngineNotReady", message)
        return
    if skipped := [
        f"{one.rule.id} is skipped, as onIncomplete has it: it needs {kind}, and {lacking[kind]}"
        for one in policy.declared
        for kind in one.rule.needs
        if kind in lacking
    ]:
        yield Condition(RULES_READY, False, "NeedsMissing", "; ".join(skipped[:_MOST_NAMED]))
        return
    failing = engines.failing
    if failed := [(one.rule.id, failing[one.rule.id]) for one in policy.declared if one.rule.id in failing]:
        named = "; ".join(f"{name}: {why}" for name, why in failed[:_MOST_NAMED])
        more = f"; and {len(failed) - _MOST_NAMED} more" if len(failed) > _MOST_NAMED else ""
        message = f"could not be evaluated when last asked, as onFault has it: {named}{more}"
        yield Condition(RULES_READY, False, "RulesFail", message)
        return
    yield Condition(RULES_READY, True, "Loaded", f"{counted(len(policy.declared), 'rule is', 'rules are')} evaluated")


def _converted(policy: Policy, engines: Engines) -> Condition | None:
    """The texts by which rules in an older syntax are evaluated, as much of them as a condition may hold."""
    found = engines.converted([one.rule for one in policy.declared])
    if not found:
        return None
    message = "; ".join(f"{name} is written in Rego v0, and evaluated as:\n{text}" for name, text in found.items())
    return Condition(CONVERTED, True, "RegoV0", message)
