"""ConfigMaps that hold rules in Rego as they arrive: what a change takes away from what is denied is told and recorded.

As with AuditPolicies it is allowed: anyone who may write in our namespace decides. What is wrong with a module is told
to its author too, and where a ConfigMap is meant to be read and is not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice

from iocaudit.core.guard import Weakening
from iocaudit.core.kinds import CONFIG_MAP
from iocaudit.core.own_names import REGO_LABEL
from iocaudit.core.resource import Resource
from iocaudit.core.severity import Severity
from iocaudit.core.shape import mapping
from iocaudit.engine.audit import Auditor
from iocaudit.engine.languages.as_checks import check_of, rule_of
from iocaudit.engine.languages.rule import RegoSource, Rule
from iocaudit.engine.languages.rule_fields import key_of, place_of
from iocaudit.engine.places import namespaces_in
from iocaudit.engine.posture import Verdict
from iocaudit.engine.rule_weakening import changed_rules, lowered_rules
from iocaudit.judging.recorded import MOST_NAMESPACES, recorded
from iocaudit.knowledge.clipping import clip
from iocaudit.sources.admission_review import Review

ReadModules = Callable[[Mapping[str, str], str], tuple[Sequence[Rule], Mapping[str, str]] | None]
"""The rules in the modules of a ConfigMap, and by key why one cannot be used; None where that is not known."""
SUFFIX = ".rego"
_LONGEST_REASON = 500
_MOST_BROKEN = 5


def modules_in(resource: Resource | None, own_namespace: str) -> dict[str, str]:
    """The texts of a ConfigMap that is read for rules, by key; none of any other object."""
    if resource is None or resource.kind is not CONFIG_MAP or resource.namespace != own_namespace:
        return {}
    if resource.labels.get(REGO_LABEL) != "true":
        return {}
    return {key: text for key, text in mapping(resource.raw.get("data")).items() if isinstance(text, str)}


def judge_rule_map(review: Review, auditor: Auditor, read: ReadModules | None) -> Verdict | None:
    """What is to be said of a ConfigMap that holds rules, held them, or seems to be meant to; None of any other."""
    resource, old = review.resource, review.old
    judged = resource or old
    if judged is None or judged.kind is not CONFIG_MAP or review.request.subresource:
        return None
    ours = auditor.world.own_namespace
    before, after = modules_in(old, ours), modules_in(resource, ours)
    if before == after:
        notes = tuple(_unread(resource, old, ours))
        return Verdict(allowed=True, notes=notes) if notes else None
    title = f"{judged.kind_name} {judged.name}"
    known = read(after, f"{CONFIG_MAP.name} {judged.name}") if after and read is not None else None
    lost = list(_taken(judged.name, after, known, auditor)) if known or not after else []
    if known is None and after:
        lost = list(_taken_unread(judged.name, after, auditor))
    done = title
    if resource is None:
        done = f"{title} is removed, which"
    elif not after:
        done = f"{title} is not read any more, which"
    notes = (*(f"{done} {one.message}" for one in lost), *_broken(title, known, auditor))
    return Verdict(allowed=True, notes=notes, recorded=tuple(recorded(judged, "data", done, lost, auditor)))


def _rules_of(name: str, auditor: Auditor) -> dict[str, Rule]:
    """The rules in force that a ConfigMap of ours brings along, by id."""
    place = place_of(name)
    rules = (rule_of(check) for check in auditor.catalogue.whole if check.asks)
    return {rule.id: rule for rule in rules if rule is not None and rule.where.startswith(place)}


def _taken(
    name: str, texts: Mapping[str, str], known: tuple[Sequence[Rule], Mapping[str, str]] | None, auditor: Auditor
) -> Iterator[Weakening]:
    """What goes with the rules that the ConfigMap brings by now; of a broken key the last good version stays."""
    own = _rules_of(name, auditor)
    rules, broken = known if known is not None else ((), {})
    new = {rule.id: rule for rule in rules}
    kept = {one.id: one for one in own.values() if key_of(one.where) in broken and key_of(one.where) in texts}
    after = auditor.policies.with_rules(own, map(check_of, (kept | new).values()))
    yield from changed_rules(auditor.policies, after, "data", gone=True)
    yield from lowered_rules(auditor.policies, after, "data", islice(namespaces_in(auditor.world), MOST_NAMESPACES))


def _taken_unread(name: str, texts: Mapping[str, str], auditor: Auditor) -> Iterator[Weakening]:
    """The same where the modules could not be read in time: each rule whose text is another may deny less."""
    own = _rules_of(name, auditor)
    there = {one.id: one for one in own.values() if key_of(one.where) in texts}
    after = auditor.policies.with_rules(own, map(check_of, there.values()))
    yield from changed_rules(auditor.policies, after, "data", gone=True)
    denying = auditor.policies.denying
    for one in there.values():
        check = auditor.catalogue.whole.find(one.id)
        same = isinstance(one.source, RegoSource) and one.source.module == texts[key_of(one.where)]
        if check is not None and not same and denying.anywhere(check):
            message = f"changes what {one.id} says, which is denied: it may deny less (its text could not be read)"
            yield Weakening("data", "", message, f"unread {one.id}", Severity.MEDIUM)


def _broken(title: str, known: tuple[Sequence[Rule], Mapping[str, str]] | None, auditor: Auditor) -> Iterator[str]:
    """What is wrong with modules, for their author."""
    rules, broken = known if known is not None else ((), {})
    for key, reason in sorted(broken.items())[:_MOST_BROKEN]:
        yield f"{title}: data[{key!r}]: {clip(reason, _LONGEST_REASON)}; this version of it is not put in force"
    for rule in rules:
        other = auditor.catalogue.whole.find(rule.id)
        there = rule_of(other) if other is not None else None
        if there is not None and not there.where.startswith(f"{title}, data[") and there.where < rule.where:
            where = f"{title}: data[{key_of(rule.where)!r}]"
            yield f"{where}: {rule.id} is a rule of {there.where} as well, which is in force"


def _unread(resource: Resource | None, old: Resource | None, ours: str) -> Iterator[str]:
    """Why a ConfigMap with modules is not read, where its author may think that it is."""
    if resource is None or not any(str(key).endswith(SUFFIX) for key in mapping(resource.raw.get("data"))):
        return
    title = f"{resource.kind_name} {resource.name}"
    is_labelled = resource.labels.get(REGO_LABEL) == "true"
    if is_labelled and resource.namespace != ours and (old is None or old.labels != resource.labels):
        yield f"{title} is not read for rules: only those of namespace {ours} are"
    elif not is_labelled and resource.namespace == ours:
        yield f'{title} has modules of Rego and is not read: give it the label {REGO_LABEL}: "true"'
