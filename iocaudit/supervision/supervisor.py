"""Restarts what ended or makes no progress, and ends the process where that does not help.

A part that ended begins again, after a wait that grows. One that was silent for too long is given up: a thread that
hangs cannot be ended, so it is left alone, whatever it still does counts for nothing, and another takes its
place. Where a part fails again and again for ``patience`` seconds, or too many threads hang, the process ends with a
reason: then a new process is what helps. That the API server is away is not a reason for it: a loop that tries again
makes progress.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from iocaudit.supervision.errors import PartLostError
from iocaudit.supervision.part import Life, Part, PartState

_log = logging.getLogger(__name__)

SILENCE: Final = 60.0
"""Seconds that a part may be silent, where it does not say otherwise."""
PATIENCE: Final = 60.0
"""Seconds within which a restart must have helped."""
MOST_HANGING: Final = 8
_LOOK_EVERY = 1.0
_PAUSE = 10
"""How many looks are left out where the process was paused, or has had no CPU."""
_SLACK = 15.0
"""Seconds after which anyone who asks `reason` is told of what the supervising thread should have dealt with."""
_EXIT_CODE = 2
_POOLS = ("asyncio_", "uvloop_")
"""Threads of an event loop's own pool: each call there is waited for by a part, or by a request with a deadline."""


class Supervisor:
    """Looks after named parts. ``exit_within``: seconds an end in order may take before the process is cut off.

    ``pace``: what every bound on silence is multiplied by, for those who cannot wait.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        patience: float = PATIENCE,
        most_hanging: int = MOST_HANGING,
        look_every: float = _LOOK_EVERY,
        exit_within: float = 30.0,
        pace: float = 1.0,
        cut_off: Callable[[int], None] = os._exit,
    ) -> None:
        self._clock, self._patience, self._most_hanging = clock, patience * pace, most_hanging
        self._pace = pace
        self._look_every, self._exit_within, self._cut_off = look_every, exit_within, cut_off
        self._lock = threading.RLock()
        self._parts: dict[str, Part] = {}
        self._given_up: list[Life] = []
        self._looks: list[Callable[[], None]] = []
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._looked_at = clock()
        self._resumed_at = self._looked_at
        self._lost_at = 0.0
        self._stopped_at = 0.0
        self._closed = threading.Event()
        self.lost: str | None = None
        """Why the process has to end, once it has."""

    # -- what is looked after ------------------------------------------------------------------------------

    def thread(
        self, name: str, run: Callable[[Life], None], *, silence: float = SILENCE, restartable: bool = True
    ) -> Part:
        """Run in a thread, again and again. One whose ``run`` returns `Life.over` False has ended, and is restarted."""

        def begin(life: Life) -> None:
            thread = threading.Thread(target=self._live, args=(part, life, run), name=name, daemon=True)
            life.thread = thread
            thread.start()

        part = Part(name, silence, begin, restartable=restartable)
        with self._lock:  # nobody looks at it before it has begun
            self._add(part)
            self._begin(part)
        return part

    async def keep(self, name: str, run: Callable[[Life], Awaitable[None]], *, silence: float = SILENCE) -> None:
        """Run in the event loop, again and again, until cancelled."""
        loop = asyncio.get_running_loop()
        due = asyncio.Event()

        def begin(life: Life) -> None:
            life.told = lambda: _tell(loop, due)
            _tell(loop, due)

        part = Part(name, silence, begin)
        with self._lock:  # nobody looks at it before it has begun
            self._add(part)
            self._begin(part)
        try:
            while True:
                await due.wait()
                due.clear()
                life = part.life
                if life is not None and not life.over:
                    await self._live_task(part, life, run, due)
        finally:
            self.remove(part)

    def pulse(
        self, name: str, beaten_at: Callable[[], float], *, silence: float = SILENCE, at_once: bool = False
    ) -> Part:
        """Look after something that cannot be restarted here: ``beaten_at`` says when it last made progress."""
        part = Part(name, silence, beaten_at=beaten_at, restartable=False, at_once=at_once)
        self._add(part)
        return part

    async def keep_loop(self) -> None:
        """Be the pulse of the event loop, until cancelled."""
        at = self._clock()
        part = self.pulse("event loop", lambda: at, at_once=True)
        try:
            while True:
                at = self._clock()
                await asyncio.sleep(_LOOK_EVERY)
        finally:
            self.remove(part)

    def remove(self, part: Part) -> None:
        """Look after it no more: it is no longer needed."""
        with self._lock:
            part.state = PartState.ENDED
            if part.life is not None:
                part.life.end()
            if self._parts.get(part.name) is part:
                del self._parts[part.name]

    def restart(self, part: Part, reason: str) -> None:
        """Begin it anew, because that is wanted."""
        with self._lock:
            if part.state is PartState.RUNNING and part.life is not None:
                _log.info("restarting: %s", reason, extra={"part": part.name})
                part.life.end()

    def on_look(self, look: Callable[[], None]) -> None:
        """Have ``look`` called at each look; it must not wait for anything."""
        self._looks.append(look)

    # -- the process ---------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to look after the parts."""
        self._looked_at = self._clock()
        self._thread = threading.Thread(target=self._run, name="supervisor", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """The process is about to end: every part is told to, and none is restarted. `close` follows."""
        self._stopped_at = self._clock()
        self._stopping.set()
        with self._lock:
            for part in self._parts.values():
                if part.life is not None:
                    part.life.end()

    def close(self) -> None:
        """It has ended in order, and need not be cut off."""
        self.stop()
        self._closed.set()

    async def failed(self) -> None:
        """Wait until the process has to end; then raise PartLostError."""
        loop, event = asyncio.get_running_loop(), asyncio.Event()
        with self._lock:
            self._waiting.append((loop, event))
            if self.lost is not None:
                event.set()
        await event.wait()
        raise PartLostError(self.lost or "a part of the process was lost")

    def reason(self) -> str | None:
        """Why the process should be restarted, if it should: for the liveness probe."""
        if self.lost is not None:
            return self.lost
        now = self._clock()
        if self._thread is not None and now - self._looked_at > self._patience:
            return f"the supervisor made no progress for {now - self._looked_at:.0f} s"
        for part in self.parts:
            silent = now - self._progress_at(part)
            if silent > part.silence + _SLACK and silent > self._patience:
                return f"{part.name} made no progress for {silent:.0f} s{_because(part)}"
        return None

    @property
    def parts(self) -> tuple[Part, ...]:
        with self._lock:
            return tuple(self._parts.values())

    @property
    def hanging(self) -> int:
        """The threads that were given up and have not ended."""
        return sum(1 for life in self._given_up if life.thread is not None and life.thread.is_alive())

    def unsupervised(self) -> list[str]:
        """The names of threads that run without being looked after."""
        ours = {life.thread for part in self.parts if (life := part.life) is not None}
        ours |= {life.thread for life in self._given_up}
        ours |= {self._thread, threading.main_thread()}
        return sorted(
            thread.name for thread in threading.enumerate() if thread not in ours and not thread.name.startswith(_POOLS)
        )

    def _progress_at(self, part: Part) -> float:
        return max(part.progress_at, self._resumed_at)

    def seconds_since_progress(self, part: Part) -> float:
        return max(0.0, self._clock() - part.progress_at)

    # -- one look ------------------------------------------------------------------------------------------

    def look(self) -> None:
        """Look at each part once, and do what is due."""
        now = self._clock()
        if now - self._looked_at > _PAUSE * self._look_every:
            # Not the parts but the whole process stood still: as of now it goes on.
            self._resumed_at = now
        self._looked_at = now
        ending = self._lost_at if self.lost is not None else self._stopped_at
        if self.lost is not None or self._stopping.is_set():
            if now - ending > self._exit_within:
                _log.critical("the process is cut off: it did not end within %.0f s", self._exit_within)
                self._cut_off(_EXIT_CODE)
            return
        for part in self.parts:
            self._look_at(part, now)
        if (hanging := self.hanging) > self._most_hanging:
            self._lose(f"{hanging} threads hang: {_names(self._given_up)}")
        for look in self._looks:
            try:
                look()
            except Exception:  # noqa: BLE001  the other parts are still to be looked at
                _log.exception("a look failed")

    def _look_at(self, part: Part, now: float) -> None:
        with self._lock:
            if part.state is PartState.RESTARTING:
                if now >= part.restart_at:
                    self._begin(part)
                return
            if part.state is not PartState.RUNNING:
                return
            life = part.life
            silent = now - self._progress_at(part)
            # One that has not got so far as to say anything is a restart that did not help.
            bound = part.silence if life is None or life.beaten > life.begun else min(part.silence, self._patience)
            if silent <= bound:
                return
            reason = f"{part.name} made no progress for {silent:.0f} s"
            if life is None or not part.restartable:
                self._lose(reason, at_once=part.at_once)
                return
            life.end()
            if life.thread is not None:
                self._given_up = [one for one in self._given_up if one.thread is not None and one.thread.is_alive()]
                self._given_up.append(life)
            self._again(part, life, reason, wait=0.0)

    def _add(self, part: Part) -> None:
        with self._lock:
            part.silence *= self._pace
            if part.name in self._parts:
                raise ValueError(f"{part.name!r} is already looked after")
            self._parts[part.name] = part

    def _begin(self, part: Part) -> None:
        assert part.begin is not None
        with self._lock:
            if self._stopping.is_set() or part.state is PartState.ENDED:
                return
            life = part.life = Life(self._clock, part.silence)
            part.state = PartState.RUNNING
            try:
                part.begin(life)
            except RuntimeError as error:  # no further thread can be had
                self._again(part, life, f"{part.name} could not be started: {error}")

    def _again(self, part: Part, life: Life, reason: str, wait: float | None = None) -> None:
        """Have it restarted, unless that has not helped for too long."""
        now = self._clock()
        part.reason = reason
        part.restarts += 1
        if part.trouble_since is None or life.beaten - life.begun >= self._patience:
            part.trouble_since = now
            part.backoff.reset()
        elif now - part.trouble_since >= self._patience:
            self._lose(f"{part.name} could not be restarted within {self._patience:.0f} s: {reason}")
            return
        part.state = PartState.RESTARTING
        part.restart_at = now + (part.backoff.next() if wait is None else wait)
        _log.error("restarting: %s", reason, extra={"part": part.name, "restarts": part.restarts})

    def _lose(self, reason: str, *, at_once: bool = False) -> None:
        with self._lock:
            if self.lost is not None:
                return
            self.lost, self._lost_at = reason, self._clock()
            _log.critical("the process ends: %s", reason)
            for loop, event in self._waiting:
                _tell(loop, event)
        if at_once:
            self._cut_off(_EXIT_CODE)

    def _run(self) -> None:
        while not self._closed.wait(self._look_every):
            try:
                self.look()
            except Exception:  # noqa: BLE001  whatever it was, the next look may do better
                _log.exception("the supervisor failed, and goes on")

    # -- lives ---------------------------------------------------------------------------------------------

    def _live(self, part: Part, life: Life, run: Callable[[Life], None]) -> None:
        life.enter()
        error: BaseException | None = None
        try:
            run(life)
        except BaseException as caught:  # noqa: BLE001  whatever ended the thread, the part goes on in another
            error = caught
        self._ended(part, life, error)

    async def _live_task(
        self, part: Part, life: Life, run: Callable[[Life], Awaitable[None]], due: asyncio.Event
    ) -> None:
        task, told = asyncio.ensure_future(run(life)), asyncio.ensure_future(due.wait())
        try:
            await asyncio.wait({task, told}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            told.cancel()
            task.cancel()
        if not task.done():
            # Given up. It may be in the middle of what cannot be cancelled: nobody waits for it.
            await asyncio.wait([task], timeout=_LOOK_EVERY)
        error: BaseException | None = None
        if task.done() and not task.cancelled():
            error = task.exception()
        self._ended(part, life, error)

    def _ended(self, part: Part, life: Life, error: BaseException | None) -> None:
        with self._lock:
            if part.life is not life or part.state is not PartState.RUNNING or self._stopping.is_set():
                return
            if life.over and error is None:
                self._begin(part)  # as it was asked to
                return
            _log.error("%s ended", part.name, exc_info=error, extra={"part": part.name})
            what = f"{type(error).__name__}: {error}" if error is not None else "it returned"
            self._again(part, life, f"{part.name} ended: {what}")


def _tell(loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
    """Set an event of a loop from any thread; one that is closed has nobody waiting in it."""
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(event.set)


def _because(part: Part) -> str:
    return f" ({part.reason})" if part.reason else ""


def _names(lives: Iterable[Life]) -> str:
    return ", ".join(sorted({life.thread.name for life in lives if life.thread is not None and life.thread.is_alive()}))
