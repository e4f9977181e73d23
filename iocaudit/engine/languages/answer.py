"""What an Evaluator answers for one rule."""

from __future__ import annotations

from typing import NamedTuple

from iocaudit.core.severity import Severity


class Violation(NamedTuple):
    """One thing that a rule says is wrong.

    ``path`` is as ``core.paths`` has it, relative to the object that was judged; empty where the rule does not say.
    ``evidence`` is the value that makes it bad; the message where the rule does not say.
    """

    message: str
    path: str = ""
    evidence: str = ""
    severity: Severity | None = None
    fix: str | None = None


class RuleFailure(NamedTuple):
    """Why a rule could not be evaluated: it becomes a Fault, judged by ``onFault``."""

    reason: str


RuleAnswer = tuple[Violation, ...] | RuleFailure
