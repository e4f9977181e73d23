"""Why a call of an OPA failed, in words for people and in kinds for those who decide what to do next."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto


class TroubleKind(Enum):
    """What kind of failure it is."""

    AWAY = auto()
    """It cannot be reached."""
    LATE = auto()
    """It did not answer in time."""
    REFUSED = auto()
    """It does not let us."""
    EVALUATION = auto()
    """A rule failed while it was evaluated: a conflict, an error of a built-in function."""
    MODULE = auto()
    """It does not take a module."""
    ANSWER = auto()
    """It answers something else than an OPA does."""


@dataclass(eq=False)
class Trouble(Exception):
    """A call that failed. ``policy`` and ``line`` are where in what is loaded, where that is known.

    ``heard`` is False where what was asked surely did not reach it.
    """

    kind: TroubleKind
    reason: str
    policy: str = ""
    line: int = 0
    heard: bool = True
