"""What becomes of a check that raises: one line for people, and where it happened for the log."""

from __future__ import annotations

from iocaudit.core.report import Fault
from iocaudit.core.resource import Resource
from iocaudit.knowledge.credentials.credential import redacted

_MOST_FRAMES = 20


class Crashes:
    """Makes Faults of errors. A check that is broken fails on every object: its trace is written out once."""

    def __init__(self) -> None:
        self._traced: set[str] = set()

    def fault(self, check: str, resource: Resource, error: Exception) -> Fault:
        """The Fault of a check on an object. Neither of its texts holds a credential of a known format."""
        trace = "" if check in self._traced else _trace_of(error)
        self._traced.add(check)
        return Fault(check, resource.ref, redacted(f"{type(error).__name__}: {error}"), resource.origin, trace)


def _trace_of(error: BaseException) -> str:
    """The innermost calls up to an error and to each of its causes, the cause first; no value of any object."""
    import traceback  # late: with it come modules that a scan of one file would wait for

    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    before = f"{_trace_of(cause)}{type(cause).__name__}, and then:\n" if cause is not None else ""
    return before + "".join(traceback.format_tb(error.__traceback__, -_MOST_FRAMES))
