"""Places that stand for all places in which policies could differ: cluster scope, names, globs, labels.

A policy selects namespaces that need not exist yet. What it does is therefore judged in made-up ones too, for the ways
in which the patterns and selectors of the policies let a namespace be told from another. Globs and exclusions can be
written so that none of these fits: then the policy is judged as if nothing but what applies everywhere came before it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import chain, islice
from typing import NamedTuple

from iocaudit.core.check import Check
from iocaudit.core.kinds import NAMESPACE, Kind
from iocaudit.core.namespaces import NAME_LABEL
from iocaudit.core.request import Operation
from iocaudit.core.shape import Labels, mapping, mappings, strings, text
from iocaudit.core.world import World
from iocaudit.engine.name_globs import is_glob
from iocaudit.engine.policy import Policy
from iocaudit.engine.policy_kinds import is_wide
from iocaudit.engine.rollout import RolloutState
from iocaudit.knowledge.rbac.rules import listed

_FILLERS = ("x", "zq9-none", "0", "m-1")
"""Names nobody is likely to have named, so one of them falls outside of any exclusion."""
_LETTERS = str.maketrans("0123456789abcdef", "ghijklnopqrstuvw")
"""Digits of a digest to letters: no glob for digits leaves them out."""
_MOST = 20_000
_MOST_PIECES = 50
_ANY = "xq7az0"
"""What may stand for any one character."""
_MOST_MEMBERS = len(_ANY)
_CLASS = re.compile(r"\[(!?)(.[^\]]*)\]")
_WILDCARDS = re.compile(r"\*|\?|\[[^\]]*\]")


class LabelledNamespace(NamedTuple):
    """A namespace with labels."""

    namespace: str
    labels: Labels


class ApplicablePolicies(NamedTuple):
    """A place, and the policies that apply there in the order in which they are asked.

    It may be parted: for ``kinds`` alone (None: for all), for what stands (``asked`` False), or for requests of some
    ``operations`` (``asked`` True); ``asked`` None is both.
    """

    namespace: str | None
    policies: tuple[Policy, ...]
    kinds: frozenset[Kind] | None = None
    asked: bool | None = None
    operations: frozenset[Operation] | None = None

    def concerns(self, check: Check) -> bool:
        """Whether a check looks at anything there: a Namespace is judged by the policies of the one that it is.

        Of what stands only checks that never run at admission are asked: what becomes of a hit of any other is decided
        where it is brought in.
        """
        if self.asked is not None and self.asked is check.audit_only:
            return False
        if self.operations is not None and self.operations.isdisjoint(check.operations):
            return False
        return any(
            is_wide(kind) is (self.namespace is None) and (self.kinds is None or kind in self.kinds)
            for kind in check.looks_at
        )


def places_of(
    policy: Policy, policies: Iterable[Policy], known: Iterable[LabelledNamespace] = ()
) -> list[ApplicablePolicies]:
    """Places where a policy applies that differ in which of the policies apply there beside it, and in their stages.

    ``known`` are namespaces that there are.
    """
    others = tuple(sorted(policies, key=lambda one: (-one.priority, one.name)))
    found: dict[tuple[tuple[int, RolloutState], ...], ApplicablePolicies] = {}
    for place in chain(known, _candidates((policy, *others))):
        if policy.matches(*place):
            applying = tuple(
                (at, other.standing_in(place.namespace)) for at, other in enumerate(others) if other.matches(*place)
            )
            if applying not in found:
                found[applying] = ApplicablePolicies(place.namespace, tuple(others[at] for at, _ in applying))
    if not found:
        found[()] = ApplicablePolicies("", tuple(one for one in others if one.name == policy.name or one.is_universal))
    if policy.cluster_scoped:
        return [ApplicablePolicies(None, tuple(one for one in others if one.cluster_scoped)), *found.values()]
    return list(found.values())


def namespaces_in(world: World) -> Iterator[LabelledNamespace]:
    """The namespaces of a world, by name."""
    for found in sorted(world.all(NAMESPACE), key=lambda one: one.name):
        yield LabelledNamespace(found.name, found.labels)


def _candidates(policies: tuple[Policy, ...]) -> Iterator[LabelledNamespace]:
    """Made-up places of every kind: of the policy itself (the first) before those of the others."""
    fillers = (*_FILLERS, *_unforeseen(policies), *_pieces(policies))
    names = dict.fromkeys(name for policy in policies for name in _names(policy, fillers))
    labels = list(_label_sets(policies))
    count = 0
    for name in names:
        for one in labels:
            count += 1
            if count > _MOST:
                return
            yield LabelledNamespace(name, one)


def _unforeseen(policies: Sequence[Policy]) -> tuple[str, ...]:
    """Names that nobody who writes a policy can leave out by name, as they follow from all that is written."""
    from hashlib import sha256  # late: it loads OpenSSL, and few scans ask

    patterns = repr([(policy.namespaces, policy.excluded) for policy in policies])
    digest = sha256(patterns.encode("utf-8", "replace")).hexdigest().translate(_LETTERS)
    return digest[:11], digest[11:33], digest[33:]


def _pieces(policies: Iterable[Policy]) -> Iterable[str]:
    """What the globs of policies hold beside their wildcards: filled into others, it gives names that both match."""
    patterns = chain.from_iterable((*(policy.namespaces or ()), *policy.excluded) for policy in policies)
    globs = (_WILDCARDS.sub("", pattern) for pattern in patterns if is_glob(pattern))
    return islice(dict.fromkeys(filter(None, globs)), _MOST_PIECES)


def _names(policy: Policy, fillers: Iterable[str]) -> Iterator[str]:
    for pattern in (*(policy.namespaces if policy.namespaces is not None else ("*",)), *policy.excluded):
        yield from samples(pattern, fillers)
    for expression in mappings(mapping(policy.selector).get("matchExpressions")):
        if text(expression.get("key")) == NAME_LABEL:
            yield from strings(expression.get("values"))
    if name := text(mapping(mapping(policy.selector).get("matchLabels")).get(NAME_LABEL)):
        yield name


def samples(pattern: str, fillers: Iterable[str]) -> Iterator[str]:
    """Names that a pattern matches: itself, or a glob with its wildcards filled in."""
    if not is_glob(pattern):
        yield pattern
        return
    plains = dict.fromkeys(
        _CLASS.sub(partial(_member, nth), pattern).replace("?", _ANY[nth]) for nth in range(_MOST_MEMBERS)
    )
    for plain in plains:
        for filler in fillers if "*" in plain else ("",):
            yield plain.replace("*", filler)


def _member(nth: int, found: re.Match[str]) -> str:
    """A character that a class of a glob takes, or may: the nth of them, as far as there are so many."""
    negated, characters = found.groups()
    given = characters.replace("-", "") or "-"
    members = "0z" + given if negated else given
    return members[nth % len(members)]


def _label_sets(policies: tuple[Policy, ...]) -> Iterator[dict[str, str]]:
    """No labels, those that each selector asks for, and each of these with one value more or another."""
    base = dict(_asked_for(policies[0]))
    yield base
    atoms = dict.fromkeys(atom for policy in policies for atom in _atoms(policy))
    for key, value in atoms:
        yield {**base, key: value}
    for policy in policies[1:]:
        wanted = dict(_asked_for(policy))
        if wanted:
            yield {**wanted, **base}


def _asked_for(policy: Policy) -> Iterator[tuple[str, str]]:
    """Labels by which a namespace is selected."""
    selector = mapping(policy.selector)
    for expression in mappings(selector.get("matchExpressions")):
        key, values = text(expression.get("key")), strings(expression.get("values"))
        if key != NAME_LABEL and expression.get("operator") in ("In", "Exists"):
            yield key, values[0] if values else "x"
    for key, value in mapping(selector.get("matchLabels")).items():
        if key != NAME_LABEL:
            yield key, text(value)


def _atoms(policy: Policy) -> Iterator[tuple[str, str]]:
    """Every label with a value that a selector speaks of, wanted or not."""
    selector = mapping(policy.selector)
    for key, value in mapping(selector.get("matchLabels")).items():
        if key != NAME_LABEL:
            yield key, text(value)
    for expression in mappings(selector.get("matchExpressions")):
        key = text(expression.get("key"))
        if key != NAME_LABEL:
            for value in strings(expression.get("values")) or ["x"]:
                yield key, value


def where_of(policy: Policy) -> str:
    """Where a policy applies, in words."""
    named = policy.namespaces
    if policy.namespaces is None and policy.selector is None and not policy.excluded:
        return "everywhere" if policy.cluster_scoped else "in every namespace"
    words = "in every namespace" if named is None else f"in namespace{'s' if len(named) != 1 else ''} {listed(named)}"
    if policy.selector is not None:
        words += " with the labels it selects"
    if policy.excluded:
        words += f" but {listed(policy.excluded)}"
    return f"{words} and in cluster scope" if policy.cluster_scoped else words


def what_of(policy: Policy) -> str:
    """For which kinds and requests a policy holds, in words; empty where for all."""
    words = []
    if policy.kinds is not None:
        words.append(f"for {listed(policy.kinds)}")
    if policy.operations is not None:
        words.append(f"on {' or '.join(sorted(policy.operations))}")
    if policy.subjects is not None:
        words.append(f"for requests of {listed([one.title for one in policy.subjects])}")
    if policy.excluded_subjects:
        words.append(f"but for requests of {listed([one.title for one in policy.excluded_subjects])}")
    return ", ".join(words)
