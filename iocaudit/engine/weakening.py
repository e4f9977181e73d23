"""What policies take away from what would be denied without them.

Two settings of a check are compared, place by place: what holds now, and what would hold otherwise. A setting that
denies more is never a weakening, and neither is one of a policy that does not decide.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from iocaudit.core import paths
from iocaudit.core.check import Check
from iocaudit.core.guard import Weakening
from iocaudit.core.parameters import EXEMPT_IMAGES, Parameter
from iocaudit.core.severity import Severity
from iocaudit.core.wording import several
from iocaudit.engine.catalogue import Catalogue
from iocaudit.engine.cautions import unknown_rules
from iocaudit.engine.name_globs import matches_anything
from iocaudit.engine.places import ApplicablePolicies, LabelledNamespace, places_of, what_of, where_of
from iocaudit.engine.policy import Policy
from iocaudit.engine.policy_set import PolicySet
from iocaudit.engine.presets import Mode
from iocaudit.engine.setting import Setting
from iocaudit.engine.situations import Situations
from iocaudit.engine.subjects import ExemptSubject
from iocaudit.knowledge.clipping import clip
from iocaudit.knowledge.image import ImagePatterns, ImageReference
from iocaudit.knowledge.rbac.subjects import Subject

_WORDS = {
    Mode.OFF: "turns off",
    Mode.AUDIT: "only records, and does not deny, what is found by",
    Mode.WARN: "only warns about, and does not deny, what is found by",
    Mode.DENY: "denies no more than the worst that is found by",
}
_OF_POLICY = (
    ("on_fault", "onFault", "deny", "admits (onFault: allow) what could not be judged by", Severity.HIGH),
    ("on_incomplete", "onIncomplete", "deny", "admits (onIncomplete: warn) what lacked objects for", Severity.MEDIUM),
    ("existing", "existing", "deny", "admits pods of a template that has (existing: warn) a hit of", Severity.MEDIUM),
    ("images", "images", "exact", "lets other tags of an image keep (images: repository) a hit of", Severity.MEDIUM),
)
"""Attribute, field, the word that denies, what the other one does."""
_IMAGES = tuple(
    ImageReference.parse(text)
    for text in (
        "nginx:1",
        "ghcr.io/acme/app:2",
        "registry.k8s.io/pause:3",
        "quay.io/team/tool@sha256:" + "0" * 64,
        "hooli.com/shop/web:1",
        "localhost:5000/a",
        "123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/app:1",
    )
)
"""Images with nothing in common: a pattern for most of them exempts nearly everything."""


class _Change(NamedTuple):
    """What becomes of one check: where in the policy it stands, what it does, and which value does it."""

    path: str
    words: str
    severity: Severity


@dataclass(slots=True)
class _Group:
    """One change in the checks and places in which it happens."""

    checks: dict[Check, None] = field(default_factory=dict)
    places: dict[int, None] = field(default_factory=dict)
    rules: dict[tuple[bool, int, str], None] = field(default_factory=dict)


SettingLookup = Callable[[ApplicablePolicies], Callable[[Check], Setting]]
"""Says of a place what holds for each check there."""


def taken(policy: Policy, policies: PolicySet, known: Iterable[LabelledNamespace] = ()) -> list[Weakening]:
    """What a policy takes away, where it decides, of what the preset in force denies, or would without the policy.

    ``known`` are namespaces that there are: what it does to those to come is told by made-up ones.
    """

    def by_preset(place: ApplicablePolicies) -> Callable[[Check], Setting]:
        others = (other for other in place.policies if other.name != policy.name)
        choices = (policies.chosen(place.policies), policies.chosen(others))
        strictest = max(choices, key=lambda choice: choice.preset.strictness)
        return lambda check: policies.default(check, strictest)

    def decided(place: ApplicablePolicies) -> Callable[[Check], Setting]:
        return lambda check: policies.setting(check, place.policies)

    places = places_of(policy, policies.policies, known)
    return _compared(policy, policies.catalogue, places, by_preset, decided, only=policy.name)


def denied_by_nothing(policy: Policy, catalogue: Catalogue) -> Iterator[Weakening]:
    """The rules by which a policy denies, and that nobody declares."""
    for rule in policy.rules:
        for name in unknown_rules(policy, rule, catalogue) if rule.mode is Mode.DENY else ():
            message = f"denies by {clip(name)}, which is not a rule of any AuditPolicy or ConfigMap: nothing is denied"
            evidence = json.dumps(["unknown", name], separators=(",", ":"))
            yield Weakening("spec.checks", f"spec.{rule.at}", message, evidence, Severity.HIGH)


def taken_by_change(
    before: PolicySet, after: PolicySet, name: str, known: Iterable[LabelledNamespace] = ()
) -> list[Weakening]:
    """What a change of the policy of that name, its making or its removal takes away of what was denied before."""
    both = tuple({id(policy): policy for policy in (*after.policies, *before.policies)}.values())

    def held(policies: PolicySet) -> SettingLookup:
        own = {id(policy) for policy in policies.policies}

        def ask(place: ApplicablePolicies) -> Callable[[Check], Setting]:
            there = policies.staged((one for one in place.policies if id(one) in own), place.namespace)
            return lambda check: policies.setting(check, there)

        return ask

    catalogue = after.catalogue.also(before.declared)
    found: dict[tuple[str, str], Weakening] = {}
    if before.declared:
        from iocaudit.engine.rule_weakening import changed_rules, lowered_rules  # late: few policies declare any

        known = tuple(known)
        changed = (*changed_rules(before, after, "spec.rules"), *lowered_rules(before, after, "spec.rules", known))
        found |= {(one.path, one.message): one for one in changed}
    for policy in (*after.policies, *before.policies):
        if policy.name == name:
            places = places_of(policy, both, known)
            for one in _compared(policy, catalogue, places, held(before), held(after)):
                found.setdefault((one.path, one.message), one)
    return list(found.values())


def _compared(
    policy: Policy,
    catalogue: Catalogue,
    places: list[ApplicablePolicies],
    before: SettingLookup,
    after: SettingLookup,
    *,
    only: str = "",
) -> list[Weakening]:
    """The changes in the places where a policy applies, one for each way; ``only`` those that it decides itself."""
    groups: dict[_Change, _Group] = {}
    situations = Situations(one for place in places for one in place.policies)
    parts = [part for place in places for part in situations.of(policy, place)]
    for at, place in enumerate(parts):
        held, holds = before(place), after(place)
        for check in catalogue.whole:
            was = held(check)
            if not _denied(was) or not place.concerns(check):
                continue
            now = holds(check)
            if only not in ("", now.policy if now.policy is not None else now.preset_by):
                continue
            for change in _changes(was, now):
                group = groups.setdefault(change, _Group())
                group.checks[check] = None
                group.places[at] = None
                if (rule := policy.rule_for(check)) is not None:
                    group.rules[bool(rule.declares), rule.index, rule.at] = None
    found = []
    for change, group in groups.items():
        concerned = [at for at, place in enumerate(parts) if any(map(place.concerns, group.checks))]
        found.append(_worded(change, group, policy, everywhere=len(group.places) == len(concerned)))
    return sorted(found, key=lambda one: (-one.severity, one.path, one.message))


def _worded(change: _Change, group: _Group, policy: Policy, *, everywhere: bool) -> Weakening:
    checks = [check.id for check in sorted(group.checks, key=lambda check: (-check.severity, check.id))]
    where = ", ".join(filter(None, (where_of(policy), what_of(policy))))
    where += "" if everywhere else " as far as no other policy decides"
    message = f"{change.words} {several(checks)} {where}"
    evidence = json.dumps([change.words, checks, where], separators=(",", ":"))
    at = f"spec.{min(group.rules)[2]}" if change.path == "spec.checks" and group.rules else ""
    return Weakening(change.path, at, message, evidence, change.severity)


def _changes(before: Setting, after: Setting) -> Iterator[_Change]:
    """What one setting of a check takes away of what another denies."""
    check, left = after.check, _denied(after)
    if lost := _denied(before) - left:
        mode = after.mode_for(after.severity or max(lost))
        # A check that never runs at admission denies nothing anyway: what counts is whether it runs.
        if mode is Mode.OFF or not check.audit_only:
            words = _WORDS[Mode.DENY if left else mode]
            if after.mode is None and after.preset is not before.preset:
                yield _Change("spec.preset", f"with preset {after.preset} {words}", Severity.HIGH)
            else:
                yield _Change("spec.checks", words, Severity.HIGH)
    if not left:
        return
    if not check.audit_only:
        for subject in after.exempt:
            if subject not in before.exempt:
                yield _exemption(subject)
        for name, field_name, strict, words, severity in _OF_POLICY:
            if getattr(before, name) == strict and getattr(after, name) != strict:
                yield _Change(f"spec.{field_name}", words, severity)
    if check.asks and before.params != after.params:
        yield _Change("spec.checks", "sets other parameters for", Severity.MEDIUM)
    for parameter in check.parameters if not check.asks else ():
        yield from _loosened(parameter, before.params.get(parameter.name), after.params.get(parameter.name))


def _denied(setting: Setting) -> frozenset[Severity]:
    """The severities of the check's own hits that end in a denial."""
    own = setting.check.severities
    return frozenset(one for one in own if setting.mode_for(setting.severity or one) is Mode.DENY)


def _exemption(subject: ExemptSubject) -> _Change:
    known = Subject(subject.kind, subject.name, subject.namespace)
    severity = Severity.HIGH if known.is_everyone else Severity.MEDIUM
    return _Change(f"spec.exemptSubjects{paths.key(subject.name)}", f"exempts {clip(known.title)} from", severity)


def _loosened(parameter: Parameter, before: Any, after: Any) -> Iterator[_Change]:
    """What a parameter leaves out that it did not: values that exempt added, others removed."""
    if isinstance(before, int | float) and isinstance(after, int | float) and not isinstance(after, bool):
        if before != after and (after > before) is parameter.exempts:
            yield _Change("spec.checks", f"sets {parameter.name} to {after} for", Severity.MEDIUM)
        return
    old, new = _values(before), _values(after)
    if parameter.exempts:
        for value in new - old:
            severity = Severity.HIGH if _is_broad(parameter, new) else Severity.MEDIUM
            yield _Change("spec.checks", f"leaves out {clip(value)} ({parameter.name}) of", severity)
    elif isinstance(before, list | bool) or before is None:
        for value in old - new:
            yield _Change("spec.checks", f"takes {clip(value)} away ({parameter.name}) from", Severity.MEDIUM)


def _values(value: Any) -> frozenset[str]:
    if isinstance(value, list | tuple):
        return frozenset(one if isinstance(one, str) else json.dumps(one, sort_keys=True) for one in value)
    return frozenset({"true"}) if value is True else frozenset()


def _is_broad(parameter: Parameter, values: Iterable[str]) -> bool:
    """Whether these values leave out nearly everything there is."""
    if parameter is EXEMPT_IMAGES:
        patterns = ImagePatterns.of(tuple(sorted(values)))
        return sum(map(patterns.cover, _IMAGES)) * 2 > len(_IMAGES)
    return any(matches_anything(value) for value in values)


def without(policies: PolicySet, name: str, *others: Policy) -> PolicySet:
    """The same policies but for that of a name, with others in its place."""
    kept = (policy for policy in policies.policies if policy.name != name)
    return policies.having((*kept, *others))
