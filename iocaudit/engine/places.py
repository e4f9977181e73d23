"""Places that stand for all places in which policies could differ: cluster scope, names, globs, labels.

A policy selects namespaces that need not exist yet. What it does is therefore judged in made-up ones too, for the ways
in which the patterns and selectors of the policies let a namespace be told from another. Globs and exclusions can be
written so that none of these fits: then the policy is judged as if nothing but what applies everywhere came before it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from itertools import chain, islice
from typing import NamedTuple

from iocaudit.core.kinds import NAMESPACE
from iocaudit.core.namespaces import NAME_LABEL
from iocaudit.core.rbac.rules import listed
from iocaudit.core.shape import mapping, mappings, strings, text
from iocaudit.core.world import World
from iocaudit.engine.name_globs import is_glob
from iocaudit.engine.policy import Policy

_FILLERS = ("x", "zq9-none", "0", "m-1")
"""Names nobody is likely to have named, so that one of them falls outside of any exclusion."""
_MOST = 20_000
_MOST_PIECES = 50
_MOST_MEMBERS = 6
_CLASS = re.compile(r"\[(!?)(.[^\]]*)\]")
_WILDCARDS = re.compile(r"\*|\?|\[[^\]]*\]")
Labels = Mapping[str, str]


class Place(NamedTuple):
    """A namespace with labels."""

    namespace: str
    labels: Labels


class Applying(NamedTuple):
    """A place, and the policies that apply there in the order in which they are asked."""

    namespace: str | None
    policies: tuple[Policy, ...]


def places_of(policy: Policy, policies: Iterable[Policy], known: Iterable[Place] = ()) -> list[Applying]:
    """Places where a policy applies that differ in which of the policies apply there beside it.

    ``known`` are namespaces that there are.
    """
    others = tuple(sorted(policies, key=lambda one: (-one.priority, one.name)))
    found: dict[tuple[int, ...], Applying] = {}
    for place in chain(known, _candidates((policy, *others))):
        if policy.matches(*place):
            applying = tuple(at for at, other in enumerate(others) if other.matches(*place))
            if applying not in found:
                found[applying] = Applying(place.namespace, tuple(others[at] for at in applying))
    if not found:
        found[()] = Applying("", tuple(one for one in others if one.name == policy.name or one.is_universal))
    if policy.cluster_scoped:
        return [Applying(None, tuple(one for one in others if one.cluster_scoped)), *found.values()]
    return list(found.values())


def namespaces_in(world: World) -> Iterator[Place]:
    """The namespaces of a world, by name."""
    for found in sorted(world.all(NAMESPACE), key=lambda one: one.name):
        yield Place(found.name, found.labels)


def _candidates(policies: tuple[Policy, ...]) -> Iterator[Place]:
    """Made-up places of every kind: of the policy itself (the first) before those of the others."""
    fillers = (*_FILLERS, *_pieces(policies))
    names = dict.fromkeys(name for policy in policies for name in _names(policy, fillers))
    labels = list(_label_sets(policies))
    count = 0
    for name in names:
        for one in labels:
            count += 1
            if count > _MOST:
                return
            yield Place(name, one)


def _pieces(policies: Iterable[Policy]) -> Iterable[str]:
    """What the globs of policies hold beside their wildcards: filled into others, it gives names that both match."""
    patterns = chain.from_iterable((*(policy.namespaces or ()), *policy.excluded) for policy in policies)
    globs = (_WILDCARDS.sub("", pattern) for pattern in patterns if is_glob(pattern))
    return islice(dict.fromkeys(filter(None, globs)), _MOST_PIECES)


def _names(policy: Policy, fillers: Iterable[str]) -> Iterator[str]:
    for pattern in (*(policy.namespaces if policy.namespaces is not None else ("*",)), *policy.excluded):
        yield from _samples(pattern, fillers)
    for expression in mappings(mapping(policy.selector).get("matchExpressions")):
        if text(expression.get("key")) == NAME_LABEL:
            yield from strings(expression.get("values"))
    if name := text(mapping(mapping(policy.selector).get("matchLabels")).get(NAME_LABEL)):
        yield name


def _samples(pattern: str, fillers: Iterable[str]) -> Iterator[str]:
    """Names that a pattern matches: itself, or a glob with its wildcards filled in."""
    if not is_glob(pattern):
        yield pattern
        return
    plains = dict.fromkeys(_CLASS.sub(partial(_member, nth), pattern).replace("?", "x") for nth in range(_MOST_MEMBERS))
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
