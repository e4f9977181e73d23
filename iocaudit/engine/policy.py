"""Which checks run where, in what mode, and with which parameters: AuditPolicy made effective.

For a namespace and a check, the matching policy of the highest priority that names the check decides mode,
severity and parameters whole. Nothing merges. Where none names it, or the one that does gives no mode, the preset in
force decides the mode: that of the matching policy of the highest priority that chooses one.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from iocaudit.core.check import Check
from iocaudit.core.label_selector import selects
from iocaudit.core.namespaces import NAME_LABEL
from iocaudit.core.request import Request
from iocaudit.core.severity import Severity
from iocaudit.engine.catalogue import Catalogue
from iocaudit.engine.name_globs import is_glob, name_globs
from iocaudit.engine.presets import Mode as Mode
from iocaudit.engine.presets import Preset as Preset


class OnFault(StrEnum):
    """What becomes of a request when a check that could deny it fails."""

    DENY = "deny"
    ALLOW = "allow"


class OnIncomplete(StrEnum):
    """What becomes of a request when a check that could deny it could not be evaluated."""

    WARN = "warn"
    DENY = "deny"


class Existing(StrEnum):
    """What becomes of a controller's pod, all of whose hits are in its verified owner's stored template."""

    WARN = "warn"
    DENY = "deny"


class SameImage(StrEnum):
    """What of an image may not change where a container holds what was there before."""

    REPOSITORY = "repository"
    EXACT = "exact"


class SubjectKind(StrEnum):
    """What the name of an exempt subject names."""

    USER = "User"
    GROUP = "Group"
    SERVICE_ACCOUNT = "ServiceAccount"


class ExemptSubject(NamedTuple):
    """A user, group or ServiceAccount whose own requests are not denied."""

    kind: SubjectKind
    name: str
    namespace: str = ""

    def covers(self, username: str, groups: Sequence[str]) -> bool:
        if self.kind is SubjectKind.GROUP:
            return self.name in groups
        if self.kind is SubjectKind.SERVICE_ACCOUNT:
            return username == f"system:serviceaccount:{self.namespace}:{self.name}"
        return username == self.name


class PresetChoice(NamedTuple):
    """The preset in force in a place. ``policy`` None: no policy chooses one there."""

    preset: Preset
    policy: str | None = None


class Setting(NamedTuple):
    """What holds for one check in one place. ``mode`` None: it follows the hit's severity, as ``preset`` has it.

    ``policy`` names the check; ``preset`` is the one in force, chosen by ``preset_by``.
    """

    check: Check
    mode: Mode | None
    severity: Severity | None
    params: Mapping[str, Any]
    policy: str | None = None
    on_fault: OnFault = OnFault.DENY
    on_incomplete: OnIncomplete = OnIncomplete.WARN
    existing: Existing = Existing.WARN
    exempt: tuple[ExemptSubject, ...] = ()
    images: SameImage = SameImage.REPOSITORY
    preset: Preset = Preset.WARN
    preset_by: str | None = None

    @property
    def exact_images(self) -> bool:
        """Whether a hit that was there before is new with another tag or digest, too."""
        return self.images is SameImage.EXACT

    @property
    def missing(self) -> tuple[str, ...]:
        """Parameters the check cannot do without and nobody has set."""
        return self.check.missing(self.params)

    def exempts(self, request: Request) -> bool:
        """Whether whoever makes the request is denied nothing by this check."""
        return any(subject.covers(request.username, request.groups) for subject in self.exempt)

    def mode_for(self, severity: Severity) -> Mode:
        """The mode for a hit of that severity."""
        if self.mode is not None:
            return self.mode
        return self.preset.modes(self.check)[severity]

    @property
    def can_warn(self) -> bool:
        """Whether anybody would be told of the worst hit of the check when it is made."""
        return self.mode_for(self.severity or self.check.worst) in (Mode.DENY, Mode.WARN)

    @property
    def can_deny(self) -> bool:
        """Whether the worst hit of the check would be denied."""
        return self.mode_for(self.severity or self.check.worst) is Mode.DENY


@dataclass(frozen=True, slots=True)
class Rule:
    """One entry of ``spec.checks``: the checks it names, and what it says of them."""

    index: int
    ids: frozenset[str]
    groups: frozenset[str]
    profiles: frozenset[str]
    mode: Mode | None
    severity: Severity | None
    params: Mapping[str, Any]

    def specificity(self, check: Check) -> int:
        """3 where the check is named by id, 2 by group, 1 by profile, 0 where it is not named."""
        if check.id in self.ids or any(alias in self.ids for alias in check.aliases):
            return 3
        if check.group in self.groups:
            return 2
        return 1 if check.profile in self.profiles else 0


class Policy(NamedTuple):
    """An AuditPolicy that has been read and found usable."""

    name: str
    priority: int
    namespaces: tuple[str, ...] | None
    excluded: tuple[str, ...]
    selector: Mapping[str, Any] | None
    cluster_scoped: bool
    rules: tuple[Rule, ...]
    on_fault: OnFault = OnFault.DENY
    on_incomplete: OnIncomplete = OnIncomplete.WARN
    existing: Existing = Existing.WARN
    exempt: tuple[ExemptSubject, ...] = ()
    selects_by_label: bool = False
    images: SameImage = SameImage.REPOSITORY
    preset: Preset | None = None

    @property
    def is_universal(self) -> bool:
        """Whether it applies in every namespace, there or to come."""
        return self.namespaces is None and self.selector is None and not self.excluded

    def matches(self, namespace: str | None, labels: Mapping[str, Any]) -> bool:
        """Whether it applies in a namespace with these labels (None: to cluster-scoped objects)."""
        if namespace is None:
            return self.cluster_scoped
        if not self.may_match(namespace):
            return False
        return self.selector is None or selects(self.selector, {**labels, NAME_LABEL: namespace})

    def may_match(self, namespace: str) -> bool:
        """Whether it applies in a namespace of that name, with some labels."""
        if self.excluded and name_globs(self.excluded).match(namespace):
            return False
        return self.namespaces is None or name_globs(self.namespaces).match(namespace)

    def rule_for(self, check: Check) -> Rule | None:
        """The entry that names the check most closely; of equals the last.

        A check that judges the policies themselves is not turned off or lowered by one.
        """
        best, found = 0, None
        for rule in self.rules if not check.on_policies else filter(_only_tightens(check), self.rules):
            closeness = rule.specificity(check)
            if closeness and closeness >= best:
                best, found = closeness, rule
        return found


def _only_tightens(check: Check) -> Callable[[Rule], bool]:
    return lambda rule: rule.mode is not Mode.OFF and (rule.severity is None or rule.severity >= check.severity)


@dataclass(slots=True)
class PolicySet:
    """Every usable policy and what holds without one, asked by place.

    ``profile`` is what runs where no policy names a check: ``strict`` adds the strict checks. ``preset`` decides where
    no policy chooses one.
    """

    catalogue: Catalogue
    policies: tuple[Policy, ...] = ()
    profile: str = "default"
    preset: Preset = Preset.WARN
    selects_by_label: bool = field(init=False)
    """Whether any policy looks at a namespace's labels, so that they matter."""
    _kept: dict[tuple[str | None, tuple[tuple[str, str], ...]], dict[str, Setting]] = field(default_factory=dict)
    _by_policies: dict[tuple[int, ...], dict[str, Setting]] = field(default_factory=dict)
    _denies: bool | None = None

    def __post_init__(self) -> None:
        self.policies = tuple(sorted(self.policies, key=lambda p: (-p.priority, p.name)))
        self.selects_by_label = any(policy.selects_by_label for policy in self.policies)

    def having(self, policies: tuple[Policy, ...]) -> PolicySet:
        """The same with these policies in place of its own."""
        return PolicySet(self.catalogue, policies, self.profile, self.preset)

    @property
    def conflicts(self) -> dict[str, tuple[str, ...]]:
        """Policy name to the others of its own priority that can decide the same in the same place."""
        found: dict[str, tuple[str, ...]] = {}
        for one in self.policies:
            others = tuple(
                other.name
                for other in self.policies
                if other is not one and other.priority == one.priority and self._overlap(one, other)
            )
            if others:
                found[one.name] = others
        return found

    def _overlap(self, one: Policy, other: Policy) -> bool:
        if not _places_meet(one, other):
            return False
        both_choose = one.preset is not None and other.preset is not None
        return both_choose or any(one.rule_for(c) and other.rule_for(c) for c in self.catalogue)

    def settings(self, namespace: str | None, labels: Mapping[str, Any] | None = None) -> dict[str, Setting]:
        """Check id to what holds for it in a namespace (None: cluster scope); ``off`` checks are left out."""
        labels = labels or {}
        relevant = tuple(sorted((str(k), str(v)) for k, v in labels.items())) if self.selects_by_label else ()
        place = (namespace, relevant)
        kept = self._kept.get(place)
        if kept is None:
            kept = self._settings_of(self.matching(namespace, labels))
            if len(self._kept) > 10_000:
                self._kept.clear()
            self._kept[place] = kept
        return kept

    def _settings_of(self, matching: Sequence[Policy]) -> dict[str, Setting]:
        """The same for every place with the same policies, so that what follows from it is worked out once."""
        which = tuple(map(id, matching))
        kept = self._by_policies.get(which)
        if kept is None:
            kept = {c.id: s for c in self.catalogue if (s := self.setting(c, matching)).mode is not Mode.OFF}
            if len(self._by_policies) > 10_000:
                self._by_policies.clear()
            self._by_policies[which] = kept
        return kept

    def matching(self, namespace: str | None, labels: Mapping[str, Any]) -> list[Policy]:
        """The policies that apply in a place, in the order in which they are asked."""
        return [policy for policy in self.policies if policy.matches(namespace, labels)]

    def chosen(self, matching: Iterable[Policy]) -> PresetChoice:
        """The preset in force where these policies apply, in the order in which they are asked."""
        for policy in matching:
            if policy.preset is not None:
                return PresetChoice(policy.preset, policy.name)
        return PresetChoice(self.preset)

    def setting(self, check: Check, matching: Sequence[Policy]) -> Setting:
        """What holds for a check where these policies apply, in the order in which they are asked."""
        choice = self.chosen(matching)
        for policy in matching:
            rule = policy.rule_for(check)
            if rule is not None:
                return self._ruled(check, policy, rule, choice)
        return self.default(check, choice)

    def _ruled(self, check: Check, policy: Policy, rule: Rule, choice: PresetChoice) -> Setting:
        """What a rule of a policy says of a check that it names."""
        return Setting(
            check,
            rule.mode,
            rule.severity,
            {**self._defaults(check), **rule.params},
            policy.name,
            policy.on_fault,
            policy.on_incomplete,
            policy.existing,
            policy.exempt,
            policy.images,
            choice.preset,
            choice.policy,
        )

    def default(self, check: Check, choice: PresetChoice) -> Setting:
        """What a preset says of a check that no policy names."""
        runs = check.profile == "default" or self.profile == "strict"
        mode = None if runs else Mode.OFF
        return Setting(check, mode, None, self._defaults(check), preset=choice.preset, preset_by=choice.policy)

    def _defaults(self, check: Check) -> Mapping[str, Any]:
        return check.strict_defaults if self.profile == "strict" else check.defaults

    @property
    def denies(self) -> bool:
        """Whether anything can be denied anywhere."""
        if self._denies is None:
            self._denies = any(self.may_deny(check) for check in self.catalogue if not check.audit_only)
        return self._denies

    def may_deny(self, check: Check) -> bool:
        """Whether a hit of a check can be denied anywhere: by a policy, or by a preset where none decides."""
        return self.may_deny_wide(check) or self._may_deny_among(check, self.policies, _applies_everywhere)

    def may_deny_wide(self, check: Check) -> bool:
        """Whether a hit of a check can be denied in cluster scope."""
        return self.setting(check, [policy for policy in self.policies if policy.cluster_scoped]).can_deny

    def denying_namespaces(self) -> frozenset[str] | None:
        """The only namespaces in which anything of a namespace can be denied, by exact name; None where no list of
        names says where.
        """
        named: set[str] = set()
        wide: list[Policy] = []
        for policy in self.policies:
            if policy.namespaces is not None and not any(map(is_glob, policy.namespaces)):
                named.update(policy.namespaces)
            else:
                wide.append(policy)
        checks = [check for check in self.catalogue if not check.audit_only]
        if any(self._may_deny_among(check, wide, _applies_everywhere) for check in checks):
            return None
        found = set[str]()
        for name in named:
            there = [policy for policy in self.policies if policy.may_match(name)]
            if any(self._may_deny_among(check, there, _whatever_the_labels) for check in checks):
                found.add(name)
        return frozenset(found)

    def _may_deny_among(self, check: Check, policies: Sequence[Policy], applies: Callable[[Policy], bool]) -> bool:
        """Whether a check can deny in some namespace; ``policies`` are those that may apply there, in order.

        ``applies`` says of one that it does, so that it decides whatever comes after it.
        """
        for policy in policies:
            rule = policy.rule_for(check)
            if rule is None:
                continue
            if any(
                self._ruled(check, policy, rule, choice).can_deny for choice in self._choices(policies, applies, policy)
            ):
                return True
            if applies(policy):
                return False
        return any(self.default(check, choice).can_deny for choice in self._choices(policies, applies))

    def _choices(
        self, policies: Sequence[Policy], applies: Callable[[Policy], bool], given: Policy | None = None
    ) -> Iterator[PresetChoice]:
        """The presets that may be in force in some namespace; ``given`` is a policy that does apply there."""
        for policy in policies:
            if policy.preset is not None:
                yield PresetChoice(policy.preset, policy.name)
                if policy is given or applies(policy):
                    return
        yield PresetChoice(self.preset)


def _applies_everywhere(policy: Policy) -> bool:
    """Whether it applies in all namespaces, there or to come."""
    return policy.is_universal


def _whatever_the_labels(policy: Policy) -> bool:
    """Whether it applies in a namespace whose name it matches."""
    return policy.selector is None


def _places_meet(one: Policy, other: Policy) -> bool:
    if one.cluster_scoped and other.cluster_scoped:
        return True
    if one.namespaces is None or other.namespaces is None:
        return True
    return any(fnmatch.fnmatchcase(a, b) or fnmatch.fnmatchcase(b, a) for a in one.namespaces for b in other.namespaces)
