"""What a change of rules in languages of their own takes away from what is denied.

A rule that is gone, that judges fewer kinds, operations or pods, that is not asked at admission any more or whose hits
are not severe enough denies less. Of other words nobody can tell, unless they only add to it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from iocaudit.core.check import Check
from iocaudit.core.guard import Weakening
from iocaudit.core.kinds import POD
from iocaudit.core.severity import Severity
from iocaudit.core.wording import several
from iocaudit.engine.languages.as_checks import judgement_of, rule_of
from iocaudit.engine.languages.rego.additions import only_adds
from iocaudit.engine.languages.rule import RegoSource, Rule
from iocaudit.engine.places import ApplicablePolicies, LabelledNamespace, places_of
from iocaudit.engine.policy import Policy
from iocaudit.engine.policy_set import PolicySet
from iocaudit.engine.presets import Mode
from iocaudit.engine.setting import Setting
from iocaudit.engine.situations import Situations

_MOST_NAMED = 5
_EVERYWHERE = Policy("", 0, None, (), None, True, ())
"""Where rules hold that no policy brings along."""


def changed_rules(before: PolicySet, after: PolicySet, path: str, *, gone: bool = False) -> Iterator[Weakening]:
    """What rules that denied something say less by now, at that path; with ``gone`` also which are not there any more.

    What holds for a rule in each place is not compared: `lowered_rules` does.
    """
    for check in _denied_rules(before):
        now = after.catalogue.whole.find(check.id)
        if now is None:
            if gone:
                words = f"takes away {check.id}, which is denied: nothing is judged by it any more"
                yield _weakening(path, check, words, Severity.HIGH)
        elif now is not check and judgement_of(now) != judgement_of(check):
            for words, severity in _less(check, now):
                yield _weakening(path, check, words, severity)


def lowered_rules(
    before: PolicySet, after: PolicySet, path: str, known: Iterable[LabelledNamespace] = ()
) -> Iterator[Weakening]:
    """The rules whose own severity or parameters say by now that less is denied, where policies leave that to them."""
    places: list[tuple[ApplicablePolicies, ApplicablePolicies]] | None = None
    for check in _denied_rules(before):
        now = after.catalogue.whole.find(check.id)
        if now is None or now is check or (now.severities == check.severities and now.defaults == check.defaults):
            continue
        if places is None:
            places = [(_staged(before, place), _staged(after, place)) for place in _places(before, after, known)]
        found = dict.fromkeys(
            change
            for old, new in places
            if old.concerns(check)
            for change in _lowered(before.setting(check, old.policies), after.setting(now, new.policies))
        )
        for words, severity in found:
            yield _weakening(path, check, words, severity)


def _denied_rules(policies: PolicySet) -> list[Check]:
    return [check for check in policies.catalogue.whole if check.asks and policies.denying.anywhere(check)]


def _places(before: PolicySet, after: PolicySet, known: Iterable[LabelledNamespace]) -> list[ApplicablePolicies]:
    both = tuple({id(policy): policy for policy in (*after.policies, *before.policies, _EVERYWHERE)}.values())
    places = places_of(_EVERYWHERE, both, known)
    situations = Situations(one for place in places for one in place.policies)
    return [part for place in places for part in situations.of(_EVERYWHERE, place)]


def _staged(policies: PolicySet, place: ApplicablePolicies) -> ApplicablePolicies:
    own = set(map(id, policies.policies))
    there = policies.staged((one for one in place.policies if id(one) in own), place.namespace)
    return place._replace(policies=tuple(there))


def _lowered(before: Setting, after: Setting) -> Iterator[tuple[str, Severity]]:
    if not any(_denies(before, one) for one in before.check.severities):
        return
    name, own = after.check.id, after.check.severity
    is_left = any(_denies(after, one) for one in after.check.severities)
    if not is_left or (_denies(before, before.check.severity) and not _denies(after, own)):
        yield f"sets the severity of {name} to {own.label}, at which it is not denied", Severity.HIGH
    if before.params != after.params:
        yield f"sets other parameters for {name}, which is denied", Severity.MEDIUM


def _denies(setting: Setting, severity: Severity) -> bool:
    return setting.mode_for(setting.severity or severity) is Mode.DENY


def _less(before: Check, after: Check) -> Iterator[tuple[str, Severity]]:
    """What a rule judges no more, each in words, and how bad that is."""
    old, new = rule_of(before), rule_of(after)
    if old is None or new is None:
        return
    if kinds := [kind.name for kind in old.kinds if kind not in new.kinds]:
        yield f"does not judge {several(kinds, _MOST_NAMED)} by {before.id} any more, which is denied", Severity.HIGH
    if operations := [one.value for one in old.operations if one not in new.operations]:
        yield f"does not judge {', '.join(operations)} by {before.id} any more, which is denied", Severity.HIGH
    if old.pod_templates and POD in old.kinds and not new.pod_templates:
        yield f"does not judge the pods of templates by {before.id} any more, which is denied", Severity.HIGH
    if after.audit_only and not before.audit_only:
        yield f"has {before.id} look up pods, so it is not asked at admission any more, which is denied", Severity.HIGH
    elif set(new.needs) - set(old.needs) or not _says_all(old, new):
        yield f"changes what {before.id} says, which is denied: it may deny less", Severity.MEDIUM


def _says_all(old: Rule, new: Rule) -> bool:
    """Whether the text of a rule finds at least what that of another one does, as far as that can be told."""
    if old.source == new.source:
        return True
    if not isinstance(old.source, RegoSource) or not isinstance(new.source, RegoSource):
        return False
    before, after = old.source, new.source
    return only_adds(before.module, after.module) and (
        before.libraries == after.libraries
        or (len(before.libraries) == len(after.libraries) and all(map(_is_same, before.libraries, after.libraries)))
    )


def _is_same(before: str, after: str) -> bool:
    """Whether two modules say the same."""
    return only_adds(before, after) and only_adds(after, before)


def _weakening(path: str, check: Check, message: str, severity: Severity) -> Weakening:
    return Weakening(path, "", message, json.dumps([message, check.id], separators=(",", ":")), severity)
