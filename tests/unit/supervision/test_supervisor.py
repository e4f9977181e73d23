"""Parts that end, hang, or go on without success: what is restarted, what ends the process, and who is told."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from iocaudit.supervision.errors import PartLostError
from iocaudit.supervision.part import Life, Part, PartState, beat, beating
from iocaudit.supervision.supervisor import SILENCE, Supervisor


class Clock:
    """Stands still until it is told to go on."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Setting:
    """A supervisor whose looks and whose time are the test's."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.codes: list[int] = []
        self.release = threading.Event()
        self.supervisor = Supervisor(clock=self.clock, cut_off=self.codes.append, most_hanging=3)

    def passes(self, seconds: float) -> None:
        """Time goes by, and every second the supervisor looks."""
        for _ in range(round(seconds)):
            self.clock.now += 1.0
            self.supervisor.look()

    def lost(self) -> str:
        return self.supervisor.lost or ""

    def hang(self, _life: Life) -> None:
        self.release.wait(60)


@pytest.fixture
def setting() -> Iterator[Setting]:
    found = Setting()
    yield found
    found.release.set()
    found.supervisor.stop()


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, f"waited for {what}"
        time.sleep(0.005)


def wait(life: Life) -> None:
    life.wait()


def fail(_life: Life) -> None:
    raise RuntimeError("a bug")


@pytest.mark.parametrize("way", ["raises", "raises SystemExit", "returns"])
def test_a_part_that_ends_is_begun_again(setting: Setting, way: str) -> None:
    lives: list[Life] = []

    def run(life: Life) -> None:
        lives.append(life)
        if len(lives) > 1:
            life.wait()
        elif way != "returns":
            raise SystemExit(3) if "Exit" in way else RuntimeError("a bug")

    part = setting.supervisor.thread("worker", run)
    until(lambda: part.state is PartState.RESTARTING, "the end to be noticed")
    assert "worker ended" in part.reason
    setting.passes(2)
    until(lambda: len(lives) == 2, "the second life")
    assert part.restarts == 1
    setting.passes(30)
    assert setting.lost() == ""


def test_a_part_that_hangs_is_given_up_and_another_thread_takes_its_place(setting: Setting) -> None:
    lives: list[Life] = []

    def run(life: Life) -> None:
        lives.append(life)
        life.beat()
        if len(lives) == 1:
            setting.hang(life)
        else:
            while not life.wait(0.01):
                pass

    part = setting.supervisor.thread("watch Pod", run)
    until(lambda: bool(lives), "the first life")
    setting.passes(62)
    until(lambda: len(lives) == 2, "the second life")
    first, second = lives
    assert first.over
    assert not second.over
    assert setting.supervisor.hanging == 1
    assert part.restarts == 1
    assert setting.lost() == ""
    setting.release.set()
    until(lambda: setting.supervisor.hanging == 0, "the thread to end after all")
    assert part.state is PartState.RUNNING, "the end of one that was given up means nothing"


def test_one_that_hangs_again_at_once_ends_the_process_with_a_reason(setting: Setting) -> None:
    setting.supervisor.thread("kopf", setting.hang)
    setting.passes(61)
    assert setting.lost() == ""
    setting.passes(63)
    assert setting.lost() == "kopf could not be restarted within 60 s: kopf made no progress for 61 s"
    assert setting.supervisor.reason() == setting.lost()
    assert setting.codes == [], "it may end in order"
    setting.passes(31)
    assert setting.codes[0] == 2, "which it did not"


def test_one_that_fails_again_and_again_ends_the_process_with_a_reason(setting: Setting) -> None:
    part = setting.supervisor.thread("worker", fail)
    for _ in range(150):
        until(lambda: part.state is PartState.RESTARTING or bool(setting.lost()), "the end")
        setting.passes(1)
        if setting.lost():
            break
    assert "could not be restarted within 60 s: worker ended: RuntimeError: a bug" in setting.lost()
    assert 4 <= part.restarts <= 12, "waits grow"


def test_two_failures_with_a_good_minute_between_them_are_two_first_ones(setting: Setting) -> None:
    go = threading.Event()

    def run(life: Life) -> None:
        while not go.wait(0.005):
            life.beat()
        go.clear()
        raise RuntimeError("now and then")

    part = setting.supervisor.thread("worker", run)
    for number in range(1, 5):
        for _ in range(70):
            setting.passes(1)
            time.sleep(0.007)
        go.set()
        until(lambda number=number: part.restarts == number, "the failure")  # type: ignore[misc]
        setting.passes(2)
    assert setting.lost() == ""


def test_where_two_lives_would_do_harm_a_stall_ends_the_process(setting: Setting) -> None:
    setting.supervisor.thread("ledger", setting.hang, restartable=False)
    setting.passes(62)
    assert setting.lost() == "ledger made no progress for 61 s"
    assert setting.supervisor.hanging == 0


def test_too_many_threads_that_hang_end_the_process(setting: Setting) -> None:
    for number in range(5):
        setting.supervisor.thread(f"watch {number}", setting.hang)
    setting.passes(63)
    assert "threads hang: watch 0, watch 1, watch 2, watch 3" in setting.lost()


def test_a_part_that_waits_or_is_asked_whether_to_end_makes_progress(setting: Setting) -> None:
    def waits(life: Life) -> None:
        while not life.wait(0.01):
            pass

    def asks(life: Life) -> None:
        while not life.is_set():
            time.sleep(0.005)

    def deep(life: Life) -> None:
        while not life.over:
            beat()
            time.sleep(0.005)

    for run in (waits, asks, deep):
        setting.supervisor.thread(run.__name__, run)
    for _ in range(100):
        setting.passes(1)
        time.sleep(0.01)
    assert [part.restarts for part in setting.supervisor.parts] == [0, 0, 0]
    assert setting.supervisor.reason() is None


def test_the_liveness_probe_is_told_even_where_the_supervisor_itself_hangs() -> None:
    clock = Clock()
    supervisor = Supervisor(clock=clock, look_every=3600.0, cut_off=print)
    supervisor.start()
    try:
        assert supervisor.reason() is None
        clock.now += 61
        assert supervisor.reason() == "the supervisor made no progress for 61 s"
    finally:
        supervisor.close()


def test_a_process_that_stood_still_has_not_lost_its_parts(setting: Setting) -> None:
    part = setting.supervisor.thread("worker", wait)
    setting.clock.now += 3600
    setting.supervisor.look()
    assert (part.restarts, setting.lost()) == (0, "")


@pytest.mark.parametrize(("pace", "look_every"), [(1.0, 1.0), (0.1, 1.0), (0.06, 0.05)])
def test_at_any_pace_a_pause_is_no_silence_and_silence_is_no_pause(pace: float, look_every: float) -> None:
    clock = Clock()
    supervisor = Supervisor(clock=clock, pace=pace, look_every=look_every, cut_off=lambda _code: None)
    part = supervisor.pulse("event loop", lambda: 1000.0)
    clock.now += max(SILENCE * pace, 10 * look_every) * 1.1
    supervisor.look()
    assert (supervisor.lost, supervisor.reason()) == (None, None)
    for _ in range(round(SILENCE * pace / look_every) + 2):
        clock.now += look_every
        supervisor.look()
    assert "event loop made no progress" in (supervisor.lost or "")
    supervisor.remove(part)
    supervisor.close()


def test_what_lives_elsewhere_has_a_pulse(setting: Setting) -> None:
    at = [setting.clock.now]
    setting.supervisor.pulse("event loop", lambda: at[0], at_once=True)
    setting.passes(59)
    assert setting.lost() == ""
    setting.passes(3)
    assert setting.lost() == "event loop made no progress for 61 s"
    assert setting.codes[:1] == [2], "nothing can be done in order any more"


def test_a_part_that_is_no_longer_needed_is_let_go(setting: Setting) -> None:
    part = setting.supervisor.thread("watch Rollout", wait)
    life = part.life
    assert life is not None
    setting.supervisor.remove(part)
    assert life.over
    assert setting.supervisor.parts == ()
    setting.supervisor.thread("watch Rollout", wait)


def test_a_restart_that_is_asked_for_is_no_failure(setting: Setting) -> None:
    lives: list[Life] = []

    def run(life: Life) -> None:
        lives.append(life)
        life.wait()

    part = setting.supervisor.thread("kopf", run)
    until(lambda: len(lives) == 1, "the first life")
    setting.supervisor.restart(part, "a kind came")
    until(lambda: len(lives) == 2, "the second life")
    assert part.restarts == 0


def test_told_to_stop_all_parts_end_and_none_is_restarted(setting: Setting) -> None:
    parts = [setting.supervisor.thread(name, wait) for name in ("a", "b")]
    setting.supervisor.stop()
    until(lambda: not any(_alive(part) for part in parts), "all to end")
    setting.passes(20)
    assert not any(_alive(part) for part in parts)
    setting.passes(20)
    assert setting.codes[:1] == [2], "a process that does not end then is cut off"


def _alive(part: Part) -> bool:
    return part.life is not None and part.life.thread is not None and part.life.thread.is_alive()


def test_threads_that_nothing_looks_after_are_named(setting: Setting) -> None:
    before = set(setting.supervisor.unsupervised())
    setting.supervisor.thread("worker", setting.hang)
    stray = threading.Thread(target=setting.release.wait, name="stray", daemon=True)
    stray.start()
    assert set(setting.supervisor.unsupervised()) - before == {"stray"}


@pytest.mark.parametrize("way", ["raises", "returns", "hangs"])
def test_a_task_that_ends_or_hangs_is_begun_again(way: str) -> None:
    begun: list[Life] = []

    async def run(life: Life) -> None:
        begun.append(life)
        life.beat()
        if len(begun) > 1:
            await beating(asyncio.Event().wait(), life)
        elif way == "raises":
            raise RuntimeError("a bug")
        elif way == "hangs":
            await asyncio.Event().wait()

    async def scenario() -> Supervisor:
        clock = Clock()
        supervisor = Supervisor(clock=clock, cut_off=print)
        task = asyncio.ensure_future(supervisor.keep("attempts", run))
        async with asyncio.timeout(20):
            while len(begun) < 2:
                await asyncio.sleep(0.005)
                clock.now += 1.0
                supervisor.look()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert supervisor.parts == ()
        return supervisor

    supervisor = asyncio.run(scenario())
    assert begun[0].over == (way == "hangs")
    assert supervisor.lost is None


def test_the_process_is_told_why_it_has_to_end() -> None:
    async def scenario() -> None:
        clock = Clock()
        supervisor = Supervisor(clock=clock, cut_off=print)
        supervisor.pulse("large review", lambda: 1000.0)
        failed = asyncio.ensure_future(supervisor.failed())
        await asyncio.sleep(0)
        for _ in range(70):
            clock.now += 1.0
            supervisor.look()
        with pytest.raises(PartLostError, match="large review made no progress for 61 s"):
            await asyncio.wait_for(failed, 20)

    asyncio.run(scenario())
