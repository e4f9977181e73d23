"""The users, groups and ServiceAccounts that policies name: whom one exempts, and for whose requests one holds."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from iocaudit.core.request import Request
from iocaudit.engine.name_globs import NameGlobs, globs_meet, name_globs

_SERVICE_ACCOUNT = "system:serviceaccount:"


class SubjectKind(StrEnum):
    """What the name of a subject names."""

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
        return username == self.username

    @property
    def username(self) -> str:
        """The name of a user, or of the user that a ServiceAccount is."""
        if self.kind is SubjectKind.SERVICE_ACCOUNT:
            return f"{_SERVICE_ACCOUNT}{self.namespace}:{self.name}"
        return self.name


class SubjectPattern(NamedTuple):
    """Users, groups or ServiceAccounts for whose requests a policy holds: ``name`` and ``namespace`` may be globs."""

    kind: SubjectKind
    name: str
    namespace: str = ""

    @property
    def username(self) -> str:
        """The pattern of the names of users that it covers, unless it names a group."""
        if self.kind is SubjectKind.SERVICE_ACCOUNT:
            return f"{_SERVICE_ACCOUNT}{self.namespace}:{self.name}"
        return self.name

    @property
    def title(self) -> str:
        """As messages name it."""
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


class _Matcher(NamedTuple):
    """Patterns of subjects, ready to be asked of a request."""

    users: NameGlobs
    groups: NameGlobs
    accounts: tuple[tuple[NameGlobs, NameGlobs], ...]


@lru_cache(maxsize=4096)
def _matcher(patterns: tuple[SubjectPattern, ...]) -> _Matcher:
    names: dict[SubjectKind, list[str]] = {kind: [] for kind in SubjectKind}
    for pattern in patterns:
        names[pattern.kind].append(pattern.name)
    return _Matcher(
        name_globs(tuple(names[SubjectKind.USER])),
        name_globs(tuple(names[SubjectKind.GROUP])),
        tuple(
            (name_globs((one.namespace,)), name_globs((one.name,)))
            for one in patterns
            if one.kind is SubjectKind.SERVICE_ACCOUNT
        ),
    )


def cover(patterns: tuple[SubjectPattern, ...], request: Request) -> bool:
    """Whether the user who makes a request is one of the subjects that the patterns name.

    A ServiceAccount is a user too: the pattern of a user covers it under its whole name.
    """
    matcher = _matcher(patterns)
    if matcher.users.match(request.username) or any(map(matcher.groups.match, request.groups)):
        return True
    if not matcher.accounts or not request.username.startswith(_SERVICE_ACCOUNT):
        return False
    namespace, colon, name = request.username[len(_SERVICE_ACCOUNT) :].partition(":")
    return bool(colon) and any(
        namespaces.match(namespace) and names.match(name) for namespaces, names in matcher.accounts
    )


def subjects_meet(one: tuple[SubjectPattern, ...] | None, other: tuple[SubjectPattern, ...] | None) -> bool:
    """Whether someone may be named by both; None names everybody. Anyone who is in one group may be in any other."""
    if one is None or other is None:
        return True
    return any(_meet(a, b) for a in one for b in other)


def _meet(one: SubjectPattern, other: SubjectPattern) -> bool:
    if SubjectKind.GROUP in (one.kind, other.kind):
        return True
    return globs_meet(one.username, other.username)
