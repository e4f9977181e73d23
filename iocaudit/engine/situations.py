"""Kinds and requests that stand for all in which the policies of one place could differ.

As with places, a policy is judged by made-up ones: a user, a group or a ServiceAccount that each of the subjects names,
alone and together with those of others, and someone whom no subject names. Globs and exclusions can be written so that
a policy covers some that are not among these: it is then judged as if it covered whom each of the others covers, too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, combinations, islice

from iocaudit.core.kinds import KINDS, Kind
from iocaudit.core.kinds.unknown import SHAPED
from iocaudit.core.request import Operation, Request, groups_of
from iocaudit.engine.name_globs import is_glob
from iocaudit.engine.places import ApplicablePolicies, samples
from iocaudit.engine.policy import Policy
from iocaudit.engine.subjects import SubjectKind, SubjectPattern, cover

_FILLERS = ("", "x", "zq9-none", "0", "m-1")
_MOST_PIECES = 8
_MOST_NAMED = 500
_MOST_TOGETHER = 1_000
_MOST_CLASSES = 300
_OPERATIONS = (Operation.CREATE, Operation.UPDATE, Operation.CONNECT)
_Part = tuple[bool | None, Operation | None, tuple[Policy, ...]]


class Situations:
    """Parts places by the kinds and requests that some policies tell apart; what those are is worked out once."""

    def __init__(self, policies: Iterable[Policy]) -> None:
        every = tuple({id(policy): policy for policy in policies}.values())
        self._kinds = _kinds_of([policy for policy in every if policy.kinds is not None])
        by_subject = [policy for policy in every if policy.by_subject]
        self._covered = list(
            islice(dict.fromkeys(_covering(request, by_subject) for request in _requests(by_subject)), _MOST_CLASSES)
        )
        nobodies, ever = _nobodies(by_subject), frozenset[int]().union(*self._covered)
        self._carved = frozenset(id(policy) for policy in by_subject if _may_cover_others(policy, nobodies))
        self._unseen = frozenset(map(id, by_subject)) - ever

    def of(self, policy: Policy, place: ApplicablePolicies) -> list[ApplicablePolicies]:
        """The place, parted by kind and request as far as its policies tell those apart, where one of them holds.

        What stands has no request: where any policy holds for requests alone, it is a part by itself.
        """
        found: dict[tuple[tuple[int, ...], frozenset[Kind] | None, bool | None], ApplicablePolicies] = {}
        for kinds, selected in self._by_kind(place.policies):
            for asked, operation, holding in self._by_request(policy, selected):
                if not any(_is_same(one, policy) for one in holding):
                    continue
                key = (tuple(map(id, holding)), kinds, asked)
                operations = frozenset() if operation is None else frozenset({operation})
                if (known := found.get(key)) is not None:
                    operations |= known.operations or frozenset()
                found[key] = place._replace(
                    policies=holding, kinds=kinds, asked=asked, operations=operations if asked else None
                )
        return list(found.values())

    def _by_kind(self, policies: Sequence[Policy]) -> Iterator[tuple[frozenset[Kind] | None, tuple[Policy, ...]]]:
        """The kinds that are alike to all of the policies, with those that are for them; None for every kind."""
        narrow = [policy for policy in policies if policy.kinds is not None]
        if not narrow:
            yield None, tuple(policies)
            return
        alike: dict[tuple[bool, ...], set[Kind]] = {}
        for kinds, taken in self._kinds:
            alike.setdefault(tuple(id(policy) in taken for policy in narrow), set()).update(kinds)
        for which, every in alike.items():
            left = {id(policy) for policy, taken in zip(narrow, which, strict=True) if not taken}
            yield frozenset(every), tuple(policy for policy in policies if id(policy) not in left)

    def _by_request(self, policy: Policy, policies: tuple[Policy, ...]) -> Iterator[_Part]:
        """What stands, and requests of each kind, with the policies that hold for them; both where all are alike."""
        if not any(one.by_request for one in policies):
            yield None, None, policies
            return
        yield False, None, tuple(one for one in policies if one.holds(None))
        by_subject = frozenset(id(one) for one in policies if one.by_subject)
        classes = [one & by_subject for one in self._covered]
        if not self._unseen.isdisjoint(by_subject) or any(
            id(one) in self._carved and _is_same(one, policy) for one in policies
        ):
            classes += _beyond(policy, [one for one in policies if one.by_subject])
        for covered in dict.fromkeys(classes):
            asking = [one for one in policies if not one.by_subject or id(one) in covered]
            for operation in _OPERATIONS:
                yield True, operation, tuple(one for one in asking if one.is_for_operation(operation))


def _is_same(one: Policy, policy: Policy) -> bool:
    """Whether they are one policy, however far its rollout has come; a changed one selects as it is changed."""
    if one.name != policy.name or one.kinds != policy.kinds or one.operations != policy.operations:
        return False
    return one.subjects == policy.subjects and one.excluded_subjects == policy.excluded_subjects


def _kinds_of(policies: Sequence[Policy]) -> list[tuple[frozenset[Kind], frozenset[int]]]:
    """The kinds that these policies do not tell apart, with those of the policies that are for them, by id."""
    alike: dict[frozenset[int], list[Kind]] = {}
    for kind in (*KINDS.values(), SHAPED) if policies else ():
        alike.setdefault(frozenset(id(policy) for policy in policies if policy.is_for(kind)), []).append(kind)
    return [(frozenset(kinds), taken) for taken, kinds in alike.items()]


def _covering(request: Request, policies: Iterable[Policy]) -> frozenset[int]:
    """The policies that hold for the user who makes a request, by id."""
    return frozenset(id(policy) for policy in policies if policy.covers(request))


def _beyond(policy: Policy, policies: Sequence[Policy]) -> Iterator[frozenset[int]]:
    """Some whom a policy may cover beside those that are made up: of the others all may cover them, none, or each
    alone.
    """
    mine = (policy.subjects, policy.excluded_subjects)
    fixed = frozenset(id(one) for one in policies if (one.subjects, one.excluded_subjects) == mine)
    free = frozenset(map(id, policies)) - fixed
    yield from (fixed | free, fixed)
    yield from (fixed | {one} for one in sorted(free))


def _may_cover_others(policy: Policy, nobodies: Sequence[str]) -> bool:
    """Whether a policy covers some by a glob from which others take so much that it is not known who is left."""
    excluded = policy.excluded_subjects
    if not excluded:
        return False
    if policy.subjects is None:
        return not any(policy.covers(_request(user)) for user in nobodies)
    carving = {one.kind is SubjectKind.GROUP for one in excluded if is_glob(one.username)}
    return any(
        (is_glob(one.username) and (one.kind is SubjectKind.GROUP) in carving)
        or not any(policy.covers(_request(user or nobodies[0], *groups)) for user, groups in _named(one, _FILLERS))
        for one in policy.subjects
    )


def _nobodies(policies: Sequence[Policy]) -> list[str]:
    """Users whom nobody names but by a glob: none that someone who writes a policy could leave out by name.

    Those whom no glob names come first.
    """
    patterns = tuple(one for policy in policies for one in (*(policy.subjects or ()), *policy.excluded_subjects))
    digest = hashlib.sha256(repr(patterns).encode("utf-8", "replace")).hexdigest()
    found = (digest[:9], digest[9:41], digest, f"{digest[:20]}-z", f"z.{digest[:14]}", f"u{digest[:9]}Q")
    return sorted(found, key=lambda name: cover(patterns, _request(name)))


def _requests(policies: Sequence[Policy]) -> Iterator[Request]:
    """Someone whom no subject names, and those that the subjects name, alone and by twos."""
    patterns = dict.fromkeys(
        pattern for policy in policies for pattern in (*(policy.subjects or ()), *policy.excluded_subjects)
    )
    pieces = dict.fromkeys(name for pattern in patterns if (name := pattern.name.strip("*?")) != pattern.name)
    fillers = (*_FILLERS, *islice(filter(None, pieces), _MOST_PIECES))
    every = dict.fromkeys(who for pattern in patterns for who in _named(pattern, fillers))
    named = list(islice(every, _MOST_NAMED))
    nobody, *others = _nobodies(policies)
    yield from (_request(user) for user in (nobody, *others))
    yield from (_request(user or nobody, *groups) for user, groups in named)
    together = tuple(dict.fromkeys(chain.from_iterable(groups for _, groups in named)))
    yield _request(nobody, *together)
    yield from (_request(user, *together) for user, _ in named if user)
    for one, other in islice(combinations(named, 2), _MOST_TOGETHER):
        if not (one[0] and other[0]):
            yield _request(one[0] or other[0] or nobody, *one[1], *other[1])


def _named(pattern: SubjectPattern, fillers: Iterable[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Users, and groups without a user, that a pattern names."""
    if pattern.kind is SubjectKind.GROUP:
        yield from (("", (name,)) for name in samples(pattern.name, fillers))
    else:
        yield from ((name, ()) for name in samples(pattern.username, fillers))


def _request(user: str, *groups: str) -> Request:
    return Request(Operation.CREATE, user, groups_of(user, groups))
