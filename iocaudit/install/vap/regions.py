"""Where a check denies, in words of the API server: namespaces by name or label, patterns of names, users.

An API server knows of a request its namespace, the labels of that, the object and the user. What a policy selects by
anything else is undecided here, and where it matters nothing is exported: an export denies nothing that we do not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple

from iocaudit.core.check import Check
from iocaudit.core.kinds import Kind
from iocaudit.core.namespaces import NAME_LABEL
from iocaudit.core.parameters import EXEMPT_IMAGES
from iocaudit.core.request import Operation
from iocaudit.core.severity import Severity
from iocaudit.core.shape import Json, mapping, mappings
from iocaudit.engine.name_globs import is_glob
from iocaudit.engine.policy import Policy
from iocaudit.engine.policy_set import PolicySet
from iocaudit.engine.presets import Mode
from iocaudit.engine.setting import OnExisting, Setting
from iocaudit.engine.subjects import ExemptSubject
from iocaudit.install.vap.cel import names_matching, pattern

_MOST_CONDITIONS = 6
_MOST_WAYS = 256
_NEGATED = {"In": "NotIn", "NotIn": "In", "Exists": "DoesNotExist", "DoesNotExist": "Exists"}
_NAMESPACE = "request.namespace"


class Denial(NamedTuple):
    """What is denied of a check somewhere: hits of these severities, under these parameters, but not to everybody.

    ``spares_existing``: what a controller makes of a template that had it before is not denied.
    """

    severities: frozenset[Severity]
    params: tuple[tuple[str, str], ...]
    given: Mapping[str, Any]
    exempt: tuple[ExemptSubject, ...]
    spares_existing: bool

    @property
    def key(self) -> tuple[object, ...]:
        return (tuple(sorted(self.severities)), self.params, self.exempt, self.spares_existing)


class Region(NamedTuple):
    """Namespaces in which the same is denied.

    ``names`` are exact; ``outside`` means all but these. ``requirements`` are on the labels of the namespace,
    ``conditions`` CEL about its name.
    """

    names: frozenset[str]
    outside: bool
    requirements: tuple[tuple[str, str, tuple[str, ...]], ...] = ()
    conditions: tuple[str, ...] = ()

    @property
    def selector(self) -> Json:
        """The namespaceSelector."""
        found: list[Json] = []
        if self.names or not self.outside:
            found.append(
                {"key": NAME_LABEL, "operator": "NotIn" if self.outside else "In", "values": sorted(self.names)}
            )
        for key, operator, values in sorted(set(self.requirements)):
            found.append({"key": key, "operator": operator, **({"values": list(values)} if values else {})})
        return {"matchExpressions": found} if found else {}


class LeftOut(NamedTuple):
    """Something that is denied by the policies and not by the export. ``where`` is empty for everywhere."""

    check: str
    where: str
    why: str


class _Choice(NamedTuple):
    """One way in which a policy counts, and what has to hold for that: nothing where it is not known."""

    policy: Policy | None
    requirements: tuple[tuple[str, str, tuple[str, ...]], ...] = ()
    condition: str = ""
    sayable: bool = True


class Places:
    """Asks a set of policies where a check denies, place by place. ``spared`` are namespaces that are never guarded."""

    def __init__(self, policies: PolicySet, spared: Iterable[str]) -> None:
        self._policies = policies
        self._spared = frozenset(spared)
        self._named = frozenset(
            name
            for policy in policies.policies
            for name in (*(policy.namespaces or ()), *policy.excluded, *_held(policy))
            if not is_glob(name)
        )

    def regions(
        self, check: Check, kind: Kind, operation: Operation, waived: Sequence[str]
    ) -> tuple[list[tuple[Denial, Region]], list[LeftOut]]:
        """Where hits of a check on objects of a kind are denied in such requests, and what cannot be said.

        ``waived`` are the namespaces, by name or glob, that waivers for the check speak of.
        """
        policies = [one for one in self._policies.policies if one.is_for(kind) and one.is_for_operation(operation)]
        policies = [one for one in policies if one.preset is not None or one.rule_for(check) is not None]
        waived_names = frozenset(name for name in waived if not is_glob(name))
        waived_globs = sorted({name for name in waived if is_glob(name)})
        left: list[LeftOut] = []
        exact: dict[str, list[tuple[Denial, Region]]] = {}
        for name in sorted(self._named - self._spared - waived_names):
            if waived_globs and _matches(waived_globs, name):
                exact[name] = []
                continue
            exact[name] = self._outcomes(check, policies, name, left)
        others = self._outcomes(check, policies, None, left)
        apart = {name for name, found in exact.items() if _keys(found) != _keys(others)}
        not_there = apart | self._spared | waived_names
        condition = (f"!{_NAMESPACE}.matches({pattern(names_matching(waived_globs))})",) if waived_globs else ()
        found = [
            (denial, region._replace(names=frozenset(not_there), conditions=(*region.conditions, *condition)))
            for denial, region in others
        ]
        by_outcome: dict[object, tuple[Denial, Region, set[str]]] = {}
        for name in sorted(apart):
            for denial, region in exact[name]:
                key = (denial.key, region)
                by_outcome.setdefault(key, (denial, region, set()))[2].add(name)
        found += [
            (denial, region._replace(names=frozenset(names), outside=False))
            for denial, region, names in by_outcome.values()
        ]
        return found, left

    def _outcomes(
        self, check: Check, policies: Sequence[Policy], name: str | None, left: list[LeftOut]
    ) -> list[tuple[Denial, Region]]:
        """What is denied in the namespace of that name; None: in those that no policy names."""
        told: list[list[_Choice]] = []
        untold: list[list[_Choice]] = []
        for policy in policies:
            ways = _ways(policy, name)
            (told if all(way.sayable for way in ways) else untold).append(ways)
        if sum(len(ways) > 1 for ways in told) > _MOST_CONDITIONS:
            left.append(LeftOut(check.id, name or "", "more than six policies by globs or labels speak of it"))
            return []
        places: list[tuple[Denial, Region]] = []
        order = {policy.name: at for at, policy in enumerate(policies)}
        ambiguous: set[str] = set()
        for chosen in product(*told):
            denial = self._agreed(check, chosen, untold, order, ambiguous)
            if denial is not None:
                requirements = tuple(sorted({one for way in chosen for one in way.requirements}))
                conditions = tuple(way.condition for way in chosen if way.condition)
                places.append((denial, Region(frozenset(), True, requirements, conditions)))
        if ambiguous:
            which = ", ".join(sorted(ambiguous))
            left.append(LeftOut(check.id, name or "", f"{which}: {_WHY_UNTOLD}"))
        return _joined(places)

    def _agreed(
        self,
        check: Check,
        chosen: Sequence[_Choice],
        untold: Sequence[Sequence[_Choice]],
        order: Mapping[str, int],
        ambiguous: set[str],
    ) -> Denial | None:
        """What is denied whichever way those count of which it is not known."""
        certain = [way.policy for way in chosen if way.policy is not None]
        ways = 1
        for one in untold:
            ways *= len(one)
        if ways > _MOST_WAYS:
            ambiguous.update(way.policy.name for one in untold for way in one if way.policy is not None)
            return None
        found: list[Setting] = []
        for some in product(*untold):
            applying = [*certain, *(way.policy for way in some if way.policy is not None)]
            applying.sort(key=lambda policy: order[policy.name])
            found.append(self._policies.setting(check, applying))
        denials = [_denial(check, setting) for setting in found]
        agreed = _common(denials)
        if any(denials) and any(one is None or agreed is None or one.key != agreed.key for one in denials):
            ambiguous.update(way.policy.name for one in untold for way in one if way.policy is not None)
        return agreed


_WHY_UNTOLD = "who asks, labels or a rollout decide, in a way that no selector says"


def _held(policy: Policy) -> Iterator[str]:
    """The namespaces that a rollout tells apart by name."""
    if policy.rollout is not None:
        yield from (name for name in (*policy.progress.held, *policy.progress.back) if name)


def _ways(policy: Policy, name: str | None) -> list[_Choice]:
    """In which ways a policy may count in the namespace of that name; None: in those that no policy names."""
    conditions: tuple[str, str] | None = None
    if name is not None:
        if not policy.may_match(name):
            return [_Choice(None)]
    else:
        globs = [one for one in policy.namespaces or () if is_glob(one)]
        if policy.namespaces is not None and not globs:
            return [_Choice(None)]
        conditions = _by_name(globs, [one for one in policy.excluded if is_glob(one)])
    standings = [policy]
    if policy.rollout is not None:
        states = policy.progress.standings if name is None else (policy.standing_in(name),)
        standings = [policy._replace(standing=state) for state in states]
    sayable = len(standings) == 1 and not policy.by_subject
    inside: list[tuple[str, str, tuple[str, ...]]] = []
    negated: list[tuple[str, str, tuple[str, ...]]] = []
    if policy.selects_by_label:
        inside = _requirements(policy.selector)
        if len(inside) == 1:
            key, operator, values = inside[0]
            negated = [(key, _NEGATED[operator], values)]
        else:
            sayable = False
    elif policy.selector is not None and name is not None and not policy.matches(name, {}):
        return [_Choice(None)]
    elif policy.selector is not None and name is None:
        sayable = False
    if not sayable or (inside and conditions):
        return [*(_Choice(one, sayable=False) for one in standings), _Choice(None, sayable=False)]
    if inside:
        return [_Choice(policy, tuple(inside)), _Choice(None, tuple(negated))]
    if conditions:
        return [_Choice(standings[0], (), conditions[0]), _Choice(None, (), conditions[1])]
    return [_Choice(standings[0])]


def _by_name(globs: Sequence[str], excluded: Sequence[str]) -> tuple[str, str] | None:
    """That a namespace is one of those, and that it is not; None where every one is."""
    parts = []
    if globs:
        parts.append(f"{_NAMESPACE}.matches({pattern(names_matching(globs))})")
    if excluded:
        parts.append(f"!{_NAMESPACE}.matches({pattern(names_matching(excluded))})")
    if not parts:
        return None
    whole = " && ".join(parts)
    return whole, f"!({whole})"


def _requirements(selector: Mapping[str, Any] | None) -> list[tuple[str, str, tuple[str, ...]]]:
    wanted = mapping(selector)
    found: list[tuple[str, str, tuple[str, ...]]] = [
        (str(key), "In", (str(value),)) for key, value in mapping(wanted.get("matchLabels")).items()
    ]
    found += [
        (str(one.get("key")), str(one.get("operator")), tuple(map(str, one.get("values") or ())))
        for one in mappings(wanted.get("matchExpressions"))
    ]
    return found


def _matches(globs: Sequence[str], name: str) -> bool:
    from iocaudit.engine.name_globs import name_globs

    return name_globs(tuple(globs)).match(name)


def _denial(check: Check, setting: Setting) -> Denial | None:
    """What a setting denies of a check; None where that is nothing."""
    if setting.mode is Mode.OFF or setting.missing:
        return None
    severities = frozenset(one for one in check.severities if setting.mode_for(setting.severity or one) is Mode.DENY)
    if not severities:
        return None
    params = {name: value for name, value in setting.params.items() if name != EXEMPT_IMAGES.name or value}
    return Denial(
        severities,
        tuple((name, repr(value)) for name, value in sorted(params.items())),
        params,
        setting.exempt,
        setting.existing is OnExisting.WARN,
    )


def _common(denials: Sequence[Denial | None]) -> Denial | None:
    """What all of them deny."""
    first = denials[0]
    if first is None:
        return None
    severities, exempt, spares = first.severities, first.exempt, first.spares_existing
    for one in denials[1:]:
        if one is None or one.params != first.params:
            return None
        severities &= one.severities
        exempt = tuple(dict.fromkeys((*exempt, *one.exempt)))
        spares = spares or one.spares_existing
    return first._replace(severities=severities, exempt=exempt, spares_existing=spares) if severities else None


def _keys(found: Sequence[tuple[Denial, Region]]) -> list[tuple[object, Region]]:
    return [(denial.key, region) for denial, region in found]


def _joined(places: list[tuple[Denial, Region]]) -> list[tuple[Denial, Region]]:
    """The same without conditions on which nothing depends."""
    changed = True
    while changed:
        changed = False
        for at, (denial, region) in enumerate(places):
            for other_at in range(at + 1, len(places)):
                other, there = places[other_at]
                if denial.key == other.key and (whole := _whole(region, there)) is not None:
                    places[at] = (denial, whole)
                    del places[other_at]
                    changed = True
                    break
            if changed:
                break
    return places


def _whole(one: Region, other: Region) -> Region | None:
    """Both as one, where they differ by a condition that holds in the one and not in the other."""
    if one.requirements == other.requirements:
        apart = set(one.conditions) ^ set(other.conditions)
        if len(apart) == 2 and any(text == f"!({rest})" for text in apart for rest in apart - {text}):
            return one._replace(conditions=tuple(text for text in one.conditions if text not in apart))
    if one.conditions == other.conditions:
        different = set(one.requirements) ^ set(other.requirements)
        if len(different) == 2:
            (key, operator, values), (key2, operator2, values2) = sorted(different)
            if (key, values) == (key2, values2) and _NEGATED.get(operator) == operator2:
                return one._replace(requirements=tuple(x for x in one.requirements if x not in different))
    return None
