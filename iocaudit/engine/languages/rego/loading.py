"""Rules put into an OPA: what is new first, then what says that it is there, then what nobody uses goes.

Sets of rules stand beside each other: each rule has a root of its own, and a set names what it is made of. So the old
one answers until the new one is in place, and an OPA that others share keeps theirs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from iocaudit.core.shape import integer, mapping, strings, text
from iocaudit.engine.languages.evaluator import EngineError
from iocaudit.engine.languages.rego import router
from iocaudit.engine.languages.rego.preparer import PreparedRule
from iocaudit.engine.languages.rego.trouble import Trouble, TroubleKind
from iocaudit.engine.languages.rule import RegoSource

MOST_LOADED: Final = 16 << 20
"""Bytes of the modules of a set together."""
_SECONDS, _SECONDS_OF_ALL = 20.0, 120.0
"""For one module, and for all at once."""


class LoadCalls(Protocol):
    """The calls of an OPA that loading takes: each raises Trouble."""

    def data(self, path: str, seconds: float) -> Any: ...

    def put(self, policy: str, module: str, seconds: float) -> None: ...

    def put_all(self, modules: Mapping[str, str], gone: Sequence[str], seconds: float) -> bool: ...

    def delete(self, policy: str, seconds: float) -> None: ...


@dataclass(frozen=True, eq=False)
class RuleSet:
    """Rules that are in force together. ``broken`` says of those that OPA itself did not take why."""

    revision: str
    rules: Mapping[RegoSource, PreparedRule]
    generation: int = 0
    broken: dict[str, str] = field(default_factory=dict)

    def trouble(self, source: RegoSource) -> str | None:
        """Why a rule cannot be asked; None where it can."""
        rule = self.rules.get(source)
        if rule is None:
            return "the rule is not loaded"
        return rule.problem or self.broken.get(rule.root)


def digest_of(rules: Iterable[PreparedRule]) -> str:
    """The digest of a set: that of the roots of its rules, whose names are digests."""
    return hashlib.sha256("\n".join([router.NAME, *sorted({one.root for one in rules})]).encode()).hexdigest()


def place(owner: str) -> str:
    """Below which the modules of an owner stand."""
    return f"iocaudit/{owner}"


def modules_of(rules: Iterable[PreparedRule], owner: str) -> dict[str, str]:
    """The modules of rules, by the ids under which they are loaded, in that order."""
    return {
        f"{place(owner)}/rules/{rule.root}/{number}": module.text
        for rule in rules
        for number, module in enumerate(rule.modules)
    }


def put(calls: LoadCalls, wanted: RuleSet, owner: str, kept: int, name: str) -> None:
    """Load a set. Raises EngineError, and notes in ``broken`` what OPA refuses by itself."""
    modules = modules_of(wanted.rules.values(), owner)
    size = sum(len(one.encode()) for one in modules.values())
    if size > MOST_LOADED:
        raise EngineError(f"the rules in Rego have {size} bytes together, and may have {MOST_LOADED}")
    try:
        sets = _sets(calls, owner)
        if wanted.revision not in sets:
            there = {policy for one in sets.values() for policy in strings(one.get("policies"))}
            new = {policy: text for policy, text in modules.items() if policy not in there}
            number = max((integer(one.get("number")) or 0 for one in sets.values()), default=0) + 1
            if not _put_at_once(calls, wanted.revision, owner, new, list(modules), number):
                _put_one_by_one(calls, wanted, owner, new, list(modules), number)
            sets[wanted.revision] = {"policies": list(modules), "number": number}
        _drop_old(calls, owner, sets, wanted.revision, kept)
    except Trouble as error:
        raise EngineError(f"{name} cannot be loaded: {error.reason}") from error


def _put_at_once(
    calls: LoadCalls, revision: str, owner: str, new: Mapping[str, str], held: Sequence[str], number: int
) -> bool:
    """Whether it was possible: not where this OPA cannot, or refuses one of the modules."""
    modules = {
        **new,
        f"iocaudit/{router.POLICY}": router.MODULE,
        _set_policy(owner, revision): router.set_module(revision, owner, held, number),
    }
    try:
        return calls.put_all(modules, (), _SECONDS_OF_ALL)
    except Trouble as error:
        if error.kind is TroubleKind.MODULE:
            return False
        raise


def _put_one_by_one(
    calls: LoadCalls, wanted: RuleSet, owner: str, new: Mapping[str, str], held: Sequence[str], number: int
) -> None:
    """What is new first, then what says that it is there. A module that is refused costs its rule alone."""
    added: list[str] = []
    try:
        calls.put(f"iocaudit/{router.POLICY}", router.MODULE, _SECONDS)
        for policy, module in new.items():
            root = policy.split("/")[-2]
            if root in wanted.broken:
                continue
            try:
                calls.put(policy, module, _SECONDS)
            except Trouble as error:
                if error.kind is not TroubleKind.MODULE:
                    raise
                wanted.broken[root] = f"OPA does not take it: {error.reason}"
                continue
            added.append(policy)
        taken = [policy for policy in held if policy not in new or policy in added]
        calls.put(
            _set_policy(owner, wanted.revision), router.set_module(wanted.revision, owner, taken, number), _SECONDS
        )
    except Trouble:
        _drop(calls, list(reversed(added)), ignoring=True)
        raise


def _sets(calls: LoadCalls, owner: str) -> dict[str, Mapping[str, Any]]:
    """The sets of an owner that are loaded."""
    found = mapping(calls.data("iocaudit/sets/loaded", _SECONDS))
    return {revision: mapping(one) for revision, one in found.items() if text(mapping(one).get("owner")) == owner}


def _set_policy(owner: str, revision: str) -> str:
    return f"{place(owner)}/sets/{revision}"


def _drop_old(calls: LoadCalls, owner: str, sets: Mapping[str, Mapping[str, Any]], revision: str, kept: int) -> None:
    by_age = sorted(sets, key=lambda one: integer(sets[one].get("number")) or 0, reverse=True)
    staying = {revision, *[one for one in by_age if one != revision][:kept]}
    gone = [one for one in by_age if one not in staying]
    used = {policy for one in staying for policy in strings(sets[one].get("policies"))}
    unused = {policy for one in gone for policy in strings(sets[one].get("policies"))} - used
    # A module goes before those that it uses: OPA refuses to take away what is in use.
    policies = [*(_set_policy(owner, one) for one in gone), *sorted(unused, key=_last_first)]
    if policies and not calls.put_all({}, policies, _SECONDS_OF_ALL):
        _drop(calls, policies)


def _last_first(policy: str) -> tuple[str, int]:
    root, _, number = policy.rpartition("/")
    return root, -int(number) if number.isdigit() else 0


def _drop(calls: LoadCalls, policies: Sequence[str], *, ignoring: bool = False) -> None:
    for policy in policies:
        try:
            calls.delete(policy, _SECONDS)
        except Trouble:
            if not ignoring:
                raise
