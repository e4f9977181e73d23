import gc
import signal
import sys

import pytest

from iocaudit.engine.languages.child import Child
from iocaudit.engine.languages.ending import EndCause, ProcessEnd
from iocaudit.engine.languages.evaluator import EngineError

ENVIRONMENT = "import json, os, sys; print(json.dumps(dict(os.environ)), flush=True); sys.stdin.read()"
ECHO = "import json, sys; print(json.dumps({'line': sys.stdin.readline()}), flush=True); sys.stdin.read()"
READY = "import sys; print('{}', flush=True); sys.stdin.read()"


def python(program: str, *, within: float = 20.0, first_line: str = "") -> Child:
    return Child("it", [sys.executable, "-c", program], memory=1 << 28, within=within, first_line=first_line)


def test_it_has_the_limit_of_its_memory_and_nothing_else_in_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    child = python(ENVIRONMENT)
    child.end()
    assert {name for name in child.greeting if not name.startswith("LC_")} == {"GOMEMLIMIT"}
    assert child.greeting["GOMEMLIMIT"] == str(1 << 28)


def test_its_first_line_is_handed_over() -> None:
    child = python(ECHO, first_line="nonce")
    child.end()
    assert child.greeting == {"line": "nonce\n"}


def test_it_ends_when_its_standard_input_does() -> None:
    child = python(READY)
    assert child.process.stdin is not None
    child.process.stdin.close()
    assert child.process.wait(60) == 0
    assert child.ending == ProcessEnd(EndCause.EXIT, "it ended with exit code 0")
    assert child.running is False
    child.end()


@pytest.mark.parametrize(
    ("last", "ending"),
    [
        ("sys.exit('no disk\\nand more')", ProcessEnd(EndCause.EXIT, "it ended with exit code 1: no disk")),
        ("os.kill(os.getpid(), 15)", ProcessEnd(EndCause.SIGNAL, "it was killed by SIGTERM")),
        (
            "print('fatal error: runtime: out of memory', file=sys.stderr); os._exit(2)",
            ProcessEnd(EndCause.MEMORY, "it needed more memory than it may have (GOMEMLIMIT 256 MiB)"),
        ),
    ],
)
def test_why_it_ended_is_known(last: str, ending: ProcessEnd) -> None:
    child = python(f"import os, sys; print('{{}}', flush=True); {last}")
    child.process.wait(60)
    assert child.ending == ending
    child.end()


def test_it_is_ended_by_force() -> None:
    child = python(READY)
    child.kill()
    assert child.ending == ProcessEnd(EndCause.SIGNAL, "it was killed by SIGKILL")
    child.end()
    other = python("import time; print('{}', flush=True); time.sleep(1000)")
    other.end()
    other.end()
    assert other.process.returncode == -signal.SIGKILL


def test_one_that_nobody_refers_to_is_ended_and_one_that_was_let_go_is_not() -> None:
    child = python(READY)
    process = child.process
    del child
    gc.collect()
    assert process.returncode == -signal.SIGKILL
    sleeper = python("import time; print('{}', flush=True); time.sleep(1000)")
    process, pid = sleeper.process, sleeper.process.pid
    sleeper.let_go()
    sleeper.end()
    del sleeper
    gc.collect()
    process.returncode = None
    assert process.poll() is None, pid
    process.kill()
    process.wait()


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("import sys; print('no memory', file=sys.stderr); sys.exit(3)", "it ended with exit code 3: no memory"),
        ("print('hello', flush=True)", "it said something else than that it is ready: b'hello'"),
        ("print('[1]', flush=True)", r"it said something else than that it is ready: b'\[1\]'"),
        ("import os, sys; os.close(1); sys.stdin.read()", "it said something else than that it is ready: b''"),
        ("print('x' * 100000, flush=True); import sys; sys.stdin.read()", "it said something else"),
    ],
)
def test_one_that_is_not_ready_is_an_error_with_what_it_said(program: str, said: str) -> None:
    with pytest.raises(EngineError, match=f"it did not start: {said}"):
        python(program)


def test_one_that_takes_too_long_is_ended() -> None:
    with pytest.raises(EngineError, match=r"it did not start: it was not ready within 0\.2 s"):
        python("import time; time.sleep(60)", within=0.2)


def test_a_program_that_is_not_there_is_an_error() -> None:
    with pytest.raises(EngineError, match=r"it did not start: .*No such file"):
        Child("it", ["/nowhere"], memory=1, within=1)
