"""What a program of ours offers while it runs, and how often it is asked whether it is well."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from iocaudit.engine.languages.child import Child


class Service(Protocol):
    """A program that runs and can be asked."""

    child: Child

    def trouble(self, within: float) -> str | None:
        """Why it is not well, or None where it answers within so many seconds."""
        ...

    def close(self) -> None:
        """End the process, and remove what leads to it."""
        ...

    def let_go(self) -> None:
        """Close what leads to it, without harming it: it serves the process that forked this one."""
        ...


class ProbePace(NamedTuple):
    """How often one is asked whether it is well, how long it may take, and how often it may fail in a row."""

    every: float = 1.0
    within: float = 2.0
    most_missed: int = 3
