import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iocaudit.engine.languages.ending import EndCause, ending_of


@pytest.mark.parametrize(
    ("code", "complaints", "cause", "reason"),
    [
        (0, "", EndCause.EXIT, "it ended with exit code 0"),
        (1, " a: b\nc", EndCause.EXIT, "it ended with exit code 1: a: b"),
        (-signal.SIGKILL, "late words", EndCause.SIGNAL, "it was killed by SIGKILL"),
        (-200, "", EndCause.SIGNAL, "it was killed by signal 200"),
        (3, "x: out of memory: 5", EndCause.MEMORY, "it needed more memory than it may have (GOMEMLIMIT 64 MiB)"),
        (-6, "cannot allocate memory", EndCause.MEMORY, "it needed more memory than it may have (GOMEMLIMIT 64 MiB)"),
    ],
)
def test_what_is_said_of_an_end(code: int, complaints: str, cause: EndCause, reason: str) -> None:
    assert ending_of(code, complaints, 64 << 20) == (cause, reason)


@given(st.integers(-300, 300) | st.none(), st.text())
def test_any_end_is_one_line(code: int | None, complaints: str) -> None:
    ending = ending_of(code, complaints, 1 << 20)
    assert ending.reason.startswith("it ")
    assert "\n" not in ending.reason
