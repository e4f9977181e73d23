"""What a file of policy tests holds once it has been read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from iocaudit.core.errors import IocauditError
from iocaudit.core.resource import Resource
from iocaudit.engine.audit import HitAcceptor
from iocaudit.engine.policy_set import PolicySet
from iocaudit.engine.waivers import Waiver
from iocaudit.sources.admission_review import Review

API_VERSION = "cli.iocaudit.io/v1alpha1"
"""A group that no cluster serves: a file of tests is never applied."""
KIND = "PolicyTest"


class PolicyTestError(IocauditError):
    """A file of policy tests cannot be used; one line for each mistake, with file, line and field."""


class VerdictWord(StrEnum):
    """What the user who makes the request sees: nothing, warnings, or a denial."""

    ALLOW = "allow"
    WARN = "warn"
    DENY = "deny"


class CheckExpectation(NamedTuple):
    """Which checks are expected to be among those of a ``part`` of the answer. ``exactly`` None: others may be too."""

    part: str
    exactly: frozenset[str] | None = None
    include: frozenset[str] = frozenset()
    exclude: frozenset[str] = frozenset()


class TextExpectation(NamedTuple):
    """What the denial's message, or one of the warnings, is expected to say, and what none of them may."""

    part: str
    contains: tuple[str, ...] = ()
    matches: tuple[re.Pattern[str], ...] = ()
    lacks: tuple[str, ...] = ()


class Expectation(NamedTuple):
    """All that a test expects. ``verdicts`` is empty where any will do."""

    verdicts: frozenset[VerdictWord] = frozenset()
    checks: tuple[CheckExpectation, ...] = ()
    texts: tuple[TextExpectation, ...] = ()


class FileLine(NamedTuple):
    """Where something stands in a file."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


class PolicyTestCase(NamedTuple):
    """One test, or one case of a test, ready to be run. Each of the ``reviews`` has to be answered as expected.

    ``world`` is there in addition to what is there for all tests of the file.
    """

    name: str
    place: FileLine
    reviews: tuple[Review, ...]
    expected: Expectation
    world: tuple[Resource, ...] = ()


@dataclass(frozen=True, slots=True)
class PolicyTestSuite:
    """The tests of one document. ``places`` says of each policy by name where it was read."""

    name: str
    place: FileLine
    policies: PolicySet
    cases: tuple[PolicyTestCase, ...]
    places: dict[str, str]
    world: tuple[Resource, ...] = ()
    waivers: tuple[Waiver, ...] = ()
    accept: HitAcceptor | None = None

    def matching(self, pattern: re.Pattern[str] | None) -> Iterator[PolicyTestCase]:
        """The cases whose file, or whose name, the pattern is found in."""
        for case in self.cases:
            if pattern is None or pattern.search(f"{case.place.file}: {case.name}"):
                yield case


@dataclass(slots=True)
class ReadSuites:
    """All that was read; ``unusable`` says why a document or a file is not among it, one line a mistake."""

    suites: list[PolicyTestSuite] = field(default_factory=list)
    unusable: list[str] = field(default_factory=list)
