"""The real programs as children: killed, stopped, outlived, forked and watched. What holds, holds for both alike."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from iocaudit.engine.deadline import NO_DEADLINE, Deadline
from iocaudit.engine.languages.cel.service import CelService
from iocaudit.engine.languages.ending import EndCause
from iocaudit.engine.languages.evaluator import EngineError, EngineMissingError
from iocaudit.engine.languages.keeper import ServiceKeeper
from iocaudit.engine.languages.rego.service import OpaService
from iocaudit.engine.languages.service import ProbePace
from iocaudit.engine.languages.sources import Engine
from iocaudit.supervision.backoff import Backoff
from iocaudit.supervision.supervisor import Supervisor
from tests.support.children import stand_still
from tests.support.engines import engine_program

PATIENT = 120.0
"""Seconds after which what is waited for will not come: the machine may be busy."""
QUICK = ProbePace(every=0.1, within=1.0, most_missed=2)
MEMORY = 192 << 20
SERVICES: dict[Engine, Callable[[Path, int, int, float], OpaService | CelService]] = {
    Engine.OPA: lambda program, memory, number, within: OpaService(program, memory, number, within),
    Engine.CEL: lambda program, memory, _number, within: CelService(program, memory, within),
}
AnyKeeper = ServiceKeeper[OpaService | CelService]


def kept(engine: Engine, program: Path | None = None, **how: Any) -> AnyKeeper:
    """A keeper of a program; of the real one, where none is named."""
    there = program or engine_program(engine)
    return ServiceKeeper(engine.program, lambda number, within: SERVICES[engine](there, MEMORY, number, within), **how)


@pytest.fixture(params=Engine)
def engine(request: pytest.FixtureRequest) -> Engine:
    found: Engine = request.param
    engine_program(found)
    return found


@pytest.fixture
def keeper(engine: Engine) -> Iterator[AnyKeeper]:
    made = kept(engine)
    yield made
    made.close()


@pytest.fixture
def supervisor() -> Iterator[Supervisor]:
    made = Supervisor(look_every=0.05)
    made.start()
    yield made
    made.close()


def pid_of(service: OpaService | CelService) -> int:
    return service.child.process.pid


def until(what: Callable[[], Any]) -> Any:
    end = time.monotonic() + PATIENT
    while not (found := what()):
        assert time.monotonic() < end
        time.sleep(0.02)
    return found


def state_of(pid: int) -> str:
    """As /proc has it; Z where there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


def gone(pid: int) -> bool:
    return state_of(pid) == "Z"


# -- its start ------------------------------------------------------------------------------------------------------


def test_it_has_no_environment_but_its_limit(keeper: AnyKeeper, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    process = Path("/proc", str(pid_of(keeper.start())))
    assert (process / "environ").read_bytes() == b"GOMEMLIMIT=201326592\0"
    # Nor open files of ours, and the kernel ends it before us.
    descriptors = {os.readlink(one) for one in (process / "fd").iterdir()}
    assert {link.partition(":")[0] for link in descriptors if not link.startswith("/")} == {
        "anon_inode", "pipe", "socket"
    }  # fmt: skip
    assert (process / "oom_score_adj").read_text("ascii").strip() == "1000"


def test_one_that_hangs_is_not_waited_for(engine: Engine, tmp_path: Path) -> None:
    hanging = tmp_path / "hanging"
    hanging.write_text("#!/bin/sh\nexec /bin/sleep 1000\n", encoding="utf-8")
    hanging.chmod(0o755)
    with pytest.raises(EngineError, match=r"did not start: it was not ready within 0\.[0-9]+ s"):
        kept(engine, hanging).ensure(Deadline.within(0.5))


def test_one_that_cannot_be_run_is_an_error_with_its_reason(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="No such file or directory"):
        kept(engine, tmp_path / "nothing").start()
    ended = kept(engine, Path("/bin/false"))
    with pytest.raises(EngineError, match="did not start: it ended with exit code 1"):
        ended.start()
    assert ended.generation == 0


def test_one_that_is_missing_is_said_to_be_as_often_as_it_is_asked_for() -> None:
    def missing(_number: int, _within: float) -> OpaService:
        raise EngineMissingError("install it")

    keeper: ServiceKeeper[OpaService] = ServiceKeeper("OPA", missing)
    for _ in range(2):
        with pytest.raises(EngineMissingError, match="install it"):
            keeper.ensure(Deadline.within(PATIENT))
    assert keeper.reason == "install it"


def test_what_was_loaded_is_loaded_before_anybody_can_ask(engine: Engine) -> None:
    loaded: list[int] = []

    def load(service: OpaService | CelService) -> None:
        assert made.service is None
        loaded.append(pid_of(service))
        if len(loaded) == 2:
            raise EngineError("no")

    made = kept(engine, load=load)
    first = made.ensure(Deadline.within(PATIENT))
    os.kill(pid_of(first), signal.SIGKILL)
    until(lambda: made.service is None)
    with pytest.raises(EngineError, match="no"):
        made.ensure(Deadline.within(PATIENT))
    assert gone(loaded[1])
    third = made.ensure(Deadline.within(PATIENT))
    assert loaded == [pid_of(first), loaded[1], pid_of(third)]
    assert made.generation == 2
    made.close()


# -- its end --------------------------------------------------------------------------------------------------------


def test_a_killed_one_is_started_anew(keeper: AnyKeeper) -> None:
    first = keeper.start()
    assert first.trouble(PATIENT) is None
    os.kill(pid_of(first), signal.SIGKILL)
    until(lambda: keeper.service is None)
    assert first.trouble(PATIENT) is not None
    second = keeper.ensure(Deadline.within(PATIENT))
    assert keeper.reason == "it was killed by SIGKILL"
    assert (pid_of(second) != pid_of(first), keeper.generation) == (True, 2)
    assert second.trouble(PATIENT) is None


def test_one_that_dies_again_and_again_is_waited_for_longer_and_longer(engine: Engine) -> None:
    keeper = kept(engine, clock=lambda: 0.0, backoff=Backoff(0.2, 30.0, spread=0))
    for wait in (0.2, 0.4, 0.8):
        os.kill(pid_of(keeper.start()), signal.SIGKILL)
        until(lambda: keeper.service is None)
        away = f"{engine.program} is away: it was killed by SIGKILL; it is started again in {wait} s"
        with pytest.raises(EngineError, match=re.escape(away)):
            keeper.ensure(Deadline(0.05, lambda: 0.0))
    keeper.ensure(NO_DEADLINE)
    assert keeper.generation == 4
    keeper.close()


def test_one_that_stands_still_is_ended_where_it_is_in_doubt(engine: Engine) -> None:
    keeper = kept(engine, pace=QUICK)
    first = keeper.start()
    stand_still(pid_of(first))
    assert keeper.ensure(Deadline.within(PATIENT)) is first
    keeper.doubt()
    # There is no time to find out.
    assert keeper.ensure(Deadline.within(0.5)) is first
    second = keeper.ensure(Deadline.within(PATIENT))
    assert gone(pid_of(first))
    assert "it did not answer, and then failed a health probe: no answer" in keeper.reason
    keeper.doubt()
    assert keeper.ensure(Deadline.within(PATIENT)) is second
    keeper.close()


def program_that(engine: Engine, rest: str) -> str:
    """A program that starts one by a keeper, as ``keeper``; ``pid`` is the child's."""
    return (
        "import os, sys, time\nfrom iocaudit.engine.languages.sources import Engine\n"
        f"from tests.unit.engine.languages.test_keeper import kept, pid_of\nkeeper = kept(Engine({engine.value!r}))\n"
        f"pid = pid_of(keeper.start())\n{rest}"
    )


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, None])
def test_it_ends_with_the_process_that_started_it(engine: Engine, how: signal.Signals | None) -> None:
    text = program_that(engine, "print(pid, flush=True)\nsys.stdin.read()\n")
    parent = subprocess.Popen([sys.executable, "-c", text], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert parent.stdin is not None
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    # What a terminal or a supervisor sends to the whole group is not what ends it.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(pid, number)
    time.sleep(0.2)
    assert not gone(pid)
    if how is not None:
        parent.send_signal(how)
    parent.stdin.close()
    parent.wait(PATIENT)
    until(lambda: gone(pid))
    parent.stdout.close()


def test_a_process_that_was_forked_does_not_keep_it(engine: Engine) -> None:
    rest = (
        "fork = os.fork()\nif fork == 0:\n    assert keeper.service is None\n    time.sleep(1000)\n"
        "print(pid, fork, flush=True)\nsys.stdin.read()\n"
    )
    command = [sys.executable, "-c", program_that(engine, rest)]
    parent = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid, fork = map(int, parent.stdout.readline().split())
    try:
        parent.kill()
        parent.wait(PATIENT)
        assert not gone(fork)
        until(lambda: gone(pid))
    finally:
        os.kill(fork, signal.SIGKILL)
        parent.communicate()


def test_what_was_forked_has_a_child_of_its_own(keeper: AnyKeeper) -> None:
    theirs = keeper.start()
    context = multiprocessing.get_context("fork")
    receive, send = context.Pipe(duplex=False)

    def work() -> None:
        own = keeper.start()
        send.send((pid_of(own), keeper.generation, own.trouble(PATIENT)))
        keeper.close()

    process = context.Process(target=work)
    process.start()
    pid, generation, trouble = receive.recv()
    process.join(PATIENT)
    assert process.exitcode == 0
    assert (pid != pid_of(theirs), generation, trouble) == (True, 2, None)
    assert keeper.service is theirs
    assert theirs.trouble(PATIENT) is None


def test_closed_it_is_gone_and_stays_so(keeper: AnyKeeper) -> None:
    service = keeper.start()
    stand_still(pid_of(service))
    keeper.close()
    assert gone(pid_of(service))
    keeper.close()
    for deadline in (Deadline.within(1), NO_DEADLINE):
        with pytest.raises(EngineError, match="was closed"):
            keeper.ensure(deadline)


def test_one_that_nobody_refers_to_any_more_is_gone(engine: Engine) -> None:
    keeper = kept(engine)
    pid = pid_of(keeper.start())
    del keeper
    assert gone(pid)


# -- watched --------------------------------------------------------------------------------------------------------


def test_a_door_has_it_watched(engine: Engine, supervisor: Supervisor) -> None:
    keeper = kept(engine, pace=QUICK)
    started: list[int] = []
    ended: list[EndCause] = []
    part = supervisor.thread(
        "kept", lambda life: keeper.watch(life, lambda service: started.append(pid_of(service)), ended.append)
    )
    try:
        first = until(lambda: started and keeper.service)
        os.kill(pid_of(first), signal.SIGKILL)
        second = until(lambda: started[1:] and keeper.service)
        assert keeper.reason == "it was killed by SIGKILL"
        stand_still(pid_of(second))
        third = until(lambda: started[2:] and keeper.service)
        assert "it failed 2 health probes: no answer" in keeper.reason
        assert third.trouble(PATIENT) is None
        assert started == [pid_of(one) for one in (first, second, third)]
        assert ended == [EndCause.SIGNAL, EndCause.UNHEALTHY]
        assert part.restarts == 0
    finally:
        keeper.close()


def test_who_asks_waits_for_the_one_that_watches(engine: Engine, supervisor: Supervisor) -> None:
    """A question with a short deadline must not end a start that takes longer."""
    slow, allowed = threading.Event(), threading.Event()
    threads: list[str] = []

    def load(_service: OpaService | CelService) -> None:
        threads.append(threading.current_thread().name)
        if len(threads) > 1:
            slow.set()
            assert allowed.wait(PATIENT)

    keeper = kept(engine, pace=QUICK, load=load)
    supervisor.thread("kept", keeper.watch)
    try:
        first = until(lambda: keeper.service)
        os.kill(pid_of(first), signal.SIGKILL)
        assert slow.wait(PATIENT)
        with pytest.raises(EngineError, match="is away"):
            keeper.ensure(Deadline.within(0.05))
        with pytest.raises(EngineError, match=r"was not ready in time|is away"):
            asyncio.run(keeper.ensure_soon(Deadline.within(0.05)))
        allowed.set()
        second = keeper.ensure(Deadline.within(PATIENT))
        assert asyncio.run(keeper.ensure_soon(NO_DEADLINE)) is second
        assert (threads, keeper.generation) == (["kept", "kept"], 2)
    finally:
        allowed.set()
        keeper.close()


def test_one_that_cannot_be_loaded_is_started_anew(engine: Engine, supervisor: Supervisor) -> None:
    keeper = kept(engine, pace=QUICK)
    loaded: list[int] = []

    def load(service: OpaService | CelService) -> None:
        loaded.append(pid_of(service))
        if len(loaded) < 3:
            raise EngineError("broken")

    ended: list[EndCause] = []
    supervisor.thread("kept", lambda life: keeper.watch(life, load, ended.append))
    try:
        until(lambda: loaded[2:] and keeper.service)
        assert (len(set(loaded)), keeper.generation, ended) == (3, 3, [EndCause.LOAD, EndCause.LOAD])
        assert keeper.reason == "it could not be loaded: broken"
    finally:
        keeper.close()


def test_while_it_cannot_be_started_the_watch_goes_on(engine: Engine, supervisor: Supervisor, tmp_path: Path) -> None:
    path = tmp_path / engine.program
    keeper = kept(engine, path, pace=QUICK)
    ended: list[EndCause] = []
    part = supervisor.thread("kept", lambda life: keeper.watch(life, ended=ended.append))
    try:
        until(lambda: "No such file" in keeper.reason)
        path.symlink_to(engine_program(engine))
        until(lambda: keeper.service)
        assert keeper.generation == 1
        assert set(ended) == {EndCause.START}
        assert part.restarts == 0
    finally:
        keeper.close()


def test_one_that_is_closed_is_watched_in_vain_and_without_complaint(engine: Engine, supervisor: Supervisor) -> None:
    keeper = kept(engine, pace=QUICK)
    part = supervisor.thread("kept", keeper.watch)
    pid = pid_of(until(lambda: keeper.service))
    keeper.close()
    assert gone(pid)
    waiting = threading.Event()
    supervisor.on_look(waiting.set)
    for _ in range(3):
        waiting.clear()
        assert waiting.wait(PATIENT)
    assert (keeper.service, part.restarts, supervisor.lost) == (None, 0, None)
