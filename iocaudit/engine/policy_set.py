"""Which checks run where, in what mode, and with which parameters: AuditPolicies made effective.

For a request and a check, the matching policy of the highest priority that names the check decides mode, severity and
parameters whole; of equals the first by name. Nothing merges. Where none names it, or the one that does gives no mode,
the preset in force decides the mode: that of the matching policy of the highest priority that chooses one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from iocaudit.core.check import Check
from iocaudit.core.kinds import Kind
from iocaudit.core.request import Operation, Request
from iocaudit.engine.catalogue import Catalogue
from iocaudit.engine.denying import DenialIndex
from iocaudit.engine.name_globs import globs_meet
from iocaudit.engine.policy import CheckRule, Policy
from iocaudit.engine.presets import Mode, Preset
from iocaudit.engine.rollout import RolloutProgress, RolloutState
from iocaudit.engine.setting import PresetChoice, Setting, is_stricter
from iocaudit.engine.subjects import subjects_meet

_Place = tuple[str | None, tuple[tuple[str, str], ...]]
_Question = tuple[Operation, frozenset[int]]
"""Of a request what tells policies apart: its operation, and which policies its subject leaves."""
_MOST_KEPT = 10_000
_MOST_SUBJECTS = 1_000


class LostRule(NamedTuple):
    """A rule that is not in force, as another of its id is: where that one stands."""

    id: str
    other: str


class PolicySet:
    """Every usable policy and what holds without one, asked by object and request.

    ``profile`` is what runs where no policy names a check: ``strict`` adds the strict checks. ``preset`` decides where
    no policy chooses one. It does not change; what was asked before is kept, within bounds.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        policies: Iterable[Policy] = (),
        profile: str = "default",
        preset: Preset = Preset.WARN,
    ) -> None:
        self.policies = tuple(sorted(policies, key=lambda policy: (-policy.priority, policy.name)))
        self._given = catalogue
        self.declared, self.lost_rules = _declared(catalogue, self.policies)
        self.catalogue = catalogue.also(self.declared)
        """The checks that it was given, and the rules that its policies declare."""
        self.profile, self.preset = profile, preset
        self.selects_by_label = any(policy.selects_by_label for policy in self.policies)
        """Whether any policy looks at a namespace's labels, so they matter."""
        self.selects_by_kind = any(policy.kinds is not None for policy in self.policies)
        """Whether any policy is for some kinds alone."""
        self.selects_by_request = any(policy.by_request for policy in self.policies)
        """Whether any policy holds for some requests alone."""
        self._by_subject = tuple(policy for policy in self.policies if policy.by_subject)
        self._in_places: dict[_Place, dict[str, Setting]] = {}
        self._by_request: dict[tuple[_Place, tuple[str, str], _Question | None], dict[str, Setting]] = {}
        self._by_policies: dict[tuple[int, ...], dict[str, Setting]] = {}
        self._subjects: dict[tuple[str, tuple[str, ...]], frozenset[int]] = {}
        self._staged: dict[tuple[int, RolloutState], tuple[Policy, Policy]] = {}
        self._denying: DenialIndex | None = None

    def having(self, policies: tuple[Policy, ...]) -> PolicySet:
        """The same with these policies in place of its own."""
        return PolicySet(self._given, policies, self.profile, self.preset)

    def with_rules(self, gone: Iterable[str], new: Iterable[Check]) -> PolicySet:
        """The same where no policy declares them: without the rules of these ids, and with these besides."""
        left = frozenset(gone)
        kept = Catalogue(check for check in self._given.whole if check.id not in left)
        return PolicySet(kept.also(new), self.policies, self.profile, self.preset)

    def beside(self, policies: tuple[Policy, ...]) -> PolicySet:
        """The same with these policies in place of its own of the same names."""
        names = {policy.name for policy in policies}
        return self.having((*(one for one in self.policies if one.name not in names), *policies))

    def supposing(self, preset: Preset) -> PolicySet:
        """The same with this preset where no policy chooses one."""
        return PolicySet(self._given, self.policies, self.profile, preset)

    def with_progress(self, name: str, progress: RolloutProgress) -> PolicySet:
        """The same with the rollout of one policy as far as that."""
        return self.having(tuple(one._replace(progress=progress) if one.name == name else one for one in self.policies))

    @property
    def rolling(self) -> tuple[Policy, ...]:
        """The policies that are not promoted everywhere."""
        return tuple(policy for policy in self.policies if policy.is_rolling)

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
        """Whether two policies may both hold for one request, and decide the same for it."""
        if not (_places_meet(one, other) and _operations_meet(one, other)):
            return False
        if not subjects_meet(one.subjects, other.subjects):
            return False
        both_choose = one.preset is not None and other.preset is not None
        return any(
            (both_choose or (one.rule_for(check) and other.rule_for(check)))
            and any(one.is_for(kind) and other.is_for(kind) for kind in check.looks_at)
            for check in self.catalogue
        )

    def settings(
        self,
        namespace: str | None,
        labels: Mapping[str, Any] | None = None,
        *,
        kind: Kind | None = None,
        request: Request | None = None,
    ) -> dict[str, Setting]:
        """Check id to what holds for it on an object of a kind in a namespace (None: in cluster scope).

        ``off`` checks are left out. ``kind`` None asks of the policies that are for every kind, ``request`` None of
        what stands: policies that hold for requests alone say nothing of it.
        """
        labels = labels or {}
        relevant = tuple(sorted((str(k), str(v)) for k, v in labels.items())) if self.selects_by_label else ()
        place = (namespace, relevant)
        by_request = self.selects_by_request and request is not None
        if not by_request and not self.selects_by_kind:
            kept = self._in_places.get(place)
            if kept is None:
                kept = self._in_places[place] = self._settings_of(self.matching(namespace, labels))
                _bound(self._in_places)
            return kept
        asked = self._asked(request) if by_request and request is not None else None
        key = (place, kind.key if kind is not None and self.selects_by_kind else _NO_KIND, asked)
        kept = self._by_request.get(key)
        if kept is None:
            matching = self.matching(namespace, labels, kind=kind, request=request)
            kept = self._by_request[key] = self._settings_of(matching)
            _bound(self._by_request)
        return kept

    def _asked(self, request: Request) -> _Question:
        """What of a request tells policies apart: many users are alike."""
        if not self._by_subject:
            return (request.operation, frozenset())
        subject = (request.username, request.groups)
        kept = self._subjects.get(subject)
        if kept is None:
            kept = frozenset(at for at, policy in enumerate(self._by_subject) if policy.covers(request))
            self._subjects[subject] = kept
            _bound(self._subjects, _MOST_SUBJECTS)
        return (request.operation, kept)

    def _settings_of(self, matching: Sequence[Policy]) -> dict[str, Setting]:
        """The same wherever the same policies apply, so what follows from it is worked out once."""
        which = tuple(map(id, matching))
        kept = self._by_policies.get(which)
        if kept is None:
            kept = {c.id: s for c in self.catalogue if (s := self.setting(c, matching)).mode is not Mode.OFF}
            self._by_policies[which] = kept
            _bound(self._by_policies)
        return kept

    def matching(
        self,
        namespace: str | None,
        labels: Mapping[str, Any],
        *,
        kind: Kind | None = None,
        request: Request | None = None,
    ) -> list[Policy]:
        """The policies that apply as they count there, in the order in which they are asked: as in ``settings``."""
        applying = (
            policy
            for policy in self.policies
            if policy.matches(namespace, labels) and policy.is_for(kind) and policy.holds(request)
        )
        return self.staged(applying, namespace)

    def staged(self, policies: Iterable[Policy], namespace: str | None) -> list[Policy]:
        """Policies as they count in a namespace (None: in cluster scope)."""
        return [self._at(policy, policy.standing_in(namespace)) for policy in policies]

    def _at(self, policy: Policy, standing: RolloutState) -> Policy:
        """A policy of that standing; the same one every time, so what follows from it is worked out once."""
        if policy.standing is standing:
            return policy
        kept = self._staged.get((id(policy), standing))
        if kept is None:
            # Both: the id of one that is gone would be given to another.
            kept = self._staged[id(policy), standing] = (policy, policy._replace(standing=standing))
        return kept[1]

    def standings(self, policies: Iterable[Policy]) -> list[Policy]:
        """Policies in every way in which they may count in some namespace, in order."""
        return [
            self._at(policy, standing)
            for policy in policies
            for standing in ((RolloutState.TO,) if policy.rollout is None else policy.progress.standings)
        ]

    def chosen(self, matching: Iterable[Policy]) -> PresetChoice:
        """The preset in force where these policies apply, in the order in which they are asked."""
        for policy in matching:
            if policy.preset is not None:
                return PresetChoice(policy.preset, policy.name, policy.ceiling, policy.keeps_guard)
        return PresetChoice(self.preset)

    def setting(self, check: Check, matching: Sequence[Policy]) -> Setting:
        """What holds for a check where these policies apply, in the order in which they are asked.

        A policy under rollout takes nothing away: where what would hold without it is stricter than it may be yet,
        that goes on to hold, as a whole.
        """
        decided = self._decided(check, matching)
        if not decided.is_lowered:
            return decided
        lowering = {decided.policy} if decided.mode is not None else {decided.policy, decided.preset_by}
        others = [one for one in matching if one.ceiling is Mode.DENY or one.name not in lowering]
        without = self.setting(check, others)
        return without if is_stricter(without, decided) else decided

    def _decided(self, check: Check, matching: Sequence[Policy]) -> Setting:
        choice = self.chosen(matching)
        for policy in matching:
            rule = policy.rule_for(check)
            if rule is not None:
                return self.ruled(check, policy, rule, choice)
        return self.default(check, choice)

    def ruled(self, check: Check, policy: Policy, rule: CheckRule, choice: PresetChoice) -> Setting:
        """What a rule of a policy says of a check that it names, with the preset that is in force there."""
        deciding: tuple[Policy | PresetChoice, ...] = (policy, choice) if rule.mode is None else (policy,)
        limiting = [one for one in deciding if one.ceiling is not Mode.DENY]
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
            min((one.ceiling for one in limiting), key=lambda mode: mode.weight, default=Mode.DENY),
            bool(limiting) and all(one.keeps_guard for one in limiting),
            policy.by_request,
        )

    def default(self, check: Check, choice: PresetChoice) -> Setting:
        """What a preset says of a check that no policy names."""
        runs = check.profile in ("default", self.profile)
        mode = None if runs else Mode.OFF
        return Setting(
            check,
            mode,
            None,
            self._defaults(check),
            preset=choice.preset,
            preset_by=choice.policy,
            ceiling=choice.ceiling,
            keeps_guard=choice.keeps_guard,
        )

    def _defaults(self, check: Check) -> Mapping[str, Any]:
        return check.strict_defaults if self.profile == "strict" else check.defaults

    @property
    def denying(self) -> DenialIndex:
        """What of it may deny anything."""
        if self._denying is None:
            self._denying = DenialIndex(self)
        return self._denying

    @property
    def denies(self) -> bool:
        """Whether anything can be denied anywhere."""
        return self.denying.anything()


_NO_KIND = ("", "")


def _declared(
    catalogue: Catalogue, policies: Iterable[Policy]
) -> tuple[tuple[Check, ...], Mapping[str, tuple[LostRule, ...]]]:
    """The rules that policies declare, each id by the first of them; and by policy those that are not in force."""
    found: dict[str, Check] = {}
    lost: dict[str, tuple[LostRule, ...]] = {}
    for policy in policies:
        for check in (one.check for one in policy.declared):
            other = catalogue.whole.find(check.id) or found.setdefault(check.id, check)
            if other.doc.sources != check.doc.sources:
                lost[policy.name] = (*lost.get(policy.name, ()), LostRule(check.id, other.doc.sources))
    return tuple(found.values()), lost


def _bound(kept: dict[Any, Any], most: int = _MOST_KEPT) -> None:
    """Forget everything rather than grow."""
    if len(kept) > most:
        kept.clear()


def _operations_meet(one: Policy, other: Policy) -> bool:
    return one.operations is None or other.operations is None or not one.operations.isdisjoint(other.operations)


def _places_meet(one: Policy, other: Policy) -> bool:
    if one.cluster_scoped and other.cluster_scoped:
        return True
    if one.namespaces is None or other.namespaces is None:
        return True
    return any(globs_meet(a, b) for a in one.namespaces for b in other.namespaces)
