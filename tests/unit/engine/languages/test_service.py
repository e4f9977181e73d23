"""What each program of ours offers while it runs, held to the same on the real ones."""

from __future__ import annotations

import gc
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from iocaudit.engine.languages.cel.service import CelService
from iocaudit.engine.languages.rego.service import OpaService
from iocaudit.engine.languages.service import ProbePace, Service
from iocaudit.engine.languages.sources import Engine
from tests.support.engines import engine_program

MEMORY = 192 << 20
BEGIN: dict[Engine, Callable[[Path], Service]] = {
    Engine.OPA: lambda program: OpaService(program, MEMORY, 1, 60),
    Engine.CEL: lambda program: CelService(program, MEMORY, 60),
}


@pytest.mark.parametrize("engine", Engine)
def test_a_service_is_well_until_it_is_closed(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = engine_program(engine)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    service = BEGIN[engine](program)
    assert service.trouble(60) is None
    service.close()
    assert service.child.process.returncode == -signal.SIGKILL
    assert list(tmp_path.iterdir()) == []
    assert service.trouble(60)
    service.close()


@pytest.mark.parametrize("engine", Engine)
def test_one_that_is_let_go_goes_on(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a forked process does with that of its parent; here it is the parent, so it ends by its input."""
    program = engine_program(engine)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    service = BEGIN[engine](program)
    process = service.child.process
    assert process.stdin is not None
    kept_open = os.dup(process.stdin.fileno())
    service.let_go()
    del service
    gc.collect()
    process.returncode = None
    time.sleep(0.2)
    assert process.poll() is None
    os.close(kept_open)
    assert process.wait(60) == 0


def test_a_service_that_misses_few_probes_is_left_alone() -> None:
    pace = ProbePace()
    assert (pace.most_missed > 1, pace.within > pace.every) == (True, True)
