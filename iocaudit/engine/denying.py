"""What policies may deny, whatever the namespace, the object and the user: what has to be registered follows from it.

Kind and operation of a request are known where webhooks are registered, so policies are distinguished by them. Labels
and users are not: a policy that selects by them may hold, and what comes after it may decide as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from iocaudit.core.check import Check
from iocaudit.core.kinds import Kind
from iocaudit.core.request import Operation
from iocaudit.engine.name_globs import is_glob
from iocaudit.engine.policy import Policy
from iocaudit.engine.policy_kinds import is_wide
from iocaudit.engine.presets import Mode
from iocaudit.engine.setting import PresetChoice

if TYPE_CHECKING:
    from iocaudit.engine.policy_set import PolicySet

Applies = Callable[[Policy], bool]
"""Says of a policy that it does hold, so it decides whatever comes after it."""


class DenialIndex:
    """Asked of a set of policies, which does not change."""

    __slots__ = ("_by_check", "_policies", "_selected", "_selections", "_tells_apart", "_verdicts")

    def __init__(self, policies: PolicySet) -> None:
        self._policies = policies
        self._tells_apart = any(p.kinds is not None or p.operations is not None for p in policies.policies)
        """Whether the kind or the operation of a request matters to any policy."""
        self._by_check: dict[str, tuple[tuple[tuple[Policy, ...], bool], ...]] = {}
        self._selected: dict[tuple[Kind, Operation], tuple[Policy, ...]] = {}
        self._selections: dict[tuple[int, ...], tuple[Policy, ...]] = {}
        self._verdicts: dict[tuple[str, int, bool], bool] = {}

    def anything(self) -> bool:
        """Whether anything can be denied anywhere."""
        return any(map(self.anywhere, self._checks()))

    def anywhere(self, check: Check) -> bool:
        """Whether a hit of a check can be denied anywhere: by a policy, or by a preset where none decides."""
        return not check.audit_only and any(self._verdict(check, *ways) for ways in self._ways(check))

    def in_cluster_scope(self, check: Check) -> bool:
        """Whether a hit of a check can be denied on an object of cluster scope."""
        return not check.audit_only and any(self._verdict(check, *ways) for ways in self._ways(check) if ways[1])

    def of(self, check: Check, kind: Kind, operation: Operation) -> bool:
        """Whether a hit of a check on an object of that kind can be denied in such a request."""
        if operation not in check.operations or check.audit_only:
            return False
        return self._verdict(check, self._selecting(kind, operation), is_wide(kind))

    def _verdict(self, check: Check, selected: tuple[Policy, ...], wide: bool) -> bool:
        key = (check.id, id(selected), wide)
        kept = self._verdicts.get(key)
        if kept is None:
            kept = self._verdicts[key] = self._wide(check, selected) if wide else self._inside(check, selected)
        return kept

    def _wide(self, check: Check, selected: Iterable[Policy]) -> bool:
        there = self._policies.staged((policy for policy in selected if policy.cluster_scoped), None)
        if not any(policy.by_subject for policy in there):
            return self._policies.setting(check, there).can_deny
        return self._among(check, there, _whatever_the_place)

    def _inside(self, check: Check, selected: Iterable[Policy]) -> bool:
        return self._among(check, self._policies.standings(selected), _applies_everywhere)

    def namespaces(self) -> frozenset[str] | None:
        """The only namespaces in which anything of a namespace can be denied, by exact name; None where no list of
        names says where.
        """
        named: set[str] = set()
        wide: list[Policy] = []
        for policy in self._policies.policies:
            if policy.namespaces is not None and not any(map(is_glob, policy.namespaces)):
                named.update(policy.namespaces)
            else:
                wide.append(policy)
        told_apart, kept = self._told_apart(), set(map(id, wide))
        if any(self._inside(check, (one for one in selected if id(one) in kept)) for check, selected in told_apart):
            return None
        found = set[str]()
        for name in named:
            there = {id(policy) for policy in self._policies.policies if policy.may_match(name)}
            for check, selected in told_apart:
                staged = self._policies.staged((one for one in selected if id(one) in there), name)
                if self._among(check, staged, _whatever_the_labels):
                    found.add(name)
                    break
        return frozenset(found)

    def _told_apart(self) -> list[tuple[Check, tuple[Policy, ...]]]:
        """Each check with the policies that are for it in namespaces, once for each way in which requests differ."""
        return [(check, selected) for check in self._checks() for selected, wide in self._ways(check) if not wide]

    def _checks(self) -> Iterator[Check]:
        return (check for check in self._policies.catalogue if not check.audit_only)

    def _ways(self, check: Check) -> tuple[tuple[tuple[Policy, ...], bool], ...]:
        """The policies for the requests that a check looks at, and whether for those of wide kinds: each once."""
        kept = self._by_check.get(check.id)
        if kept is None:
            operations = check.operations if self._tells_apart else check.operations[:1]
            found = {
                (id(selected), wide): (selected, wide)
                for kind in check.looks_at
                for wide in (is_wide(kind),)
                for operation in operations
                for selected in (self._selecting(kind, operation),)
            }
            kept = self._by_check[check.id] = tuple(found.values())
        return kept

    def _selecting(self, kind: Kind, operation: Operation) -> tuple[Policy, ...]:
        """The policies for that kind and operation in order: the same tuple for all that are alike."""
        if not self._tells_apart:
            return self._policies.policies
        key = (kind, operation)
        kept = self._selected.get(key)
        if kept is None:
            found = tuple(p for p in self._policies.policies if p.is_for(kind) and p.is_for_operation(operation))
            kept = self._selected[key] = self._selections.setdefault(tuple(map(id, found)), found)
        return kept

    def _among(self, check: Check, policies: Sequence[Policy], applies: Applies) -> bool:
        """Whether a check can deny somewhere; ``policies`` are those that may hold there, in order."""
        for policy in policies:
            rule = policy.rule_for(check)
            if rule is None:
                continue
            choices = self._choices(policies, applies, policy)
            found = [self._policies.ruled(check, policy, rule, choice) for choice in choices]
            if any(setting.can_deny for setting in found):
                return True
            # Where it is not promoted, what would hold without it may be stricter.
            if applies(policy) and not any(setting.is_lowered for setting in found):
                return False
        return any(self._policies.default(check, choice).can_deny for choice in self._choices(policies, applies))

    def _choices(
        self, policies: Sequence[Policy], applies: Applies, given: Policy | None = None
    ) -> Iterator[PresetChoice]:
        """The presets that may be in force somewhere; ``given`` is a policy that does hold there."""
        for policy in policies:
            if policy.preset is not None:
                yield self._policies.chosen((policy,))
                if policy.ceiling is Mode.DENY and (policy is given or applies(policy)):
                    return
        yield self._policies.chosen(())


def _applies_everywhere(policy: Policy) -> bool:
    """Whether it holds as it stands in all namespaces, there or to come, for everybody."""
    one_way = policy.rollout is None or policy.progress.standings == (policy.standing,)
    return policy.is_universal and not policy.by_subject and one_way


def _whatever_the_labels(policy: Policy) -> bool:
    """Whether it holds for everybody in a namespace whose name it matches."""
    return policy.selector is None and not policy.by_subject


def _whatever_the_place(policy: Policy) -> bool:
    """Whether it holds for everybody where it covers cluster scope, in all of that."""
    return not policy.by_subject
