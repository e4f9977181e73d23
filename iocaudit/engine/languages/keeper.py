"""Keeps a program of ours running: starts it, asks whether it is well, and starts it again after waits that grow."""

from __future__ import annotations

import logging
import math
import os
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

from iocaudit.core.errors import IocauditError
from iocaudit.engine.deadline import Deadline
from iocaudit.engine.languages.ending import EndCause, ProcessEnd
from iocaudit.engine.languages.evaluator import EngineError
from iocaudit.engine.languages.service import ProbePace, Service
from iocaudit.supervision.backoff import Backoff
from iocaudit.supervision.part import Life, beat

_log = logging.getLogger(__name__)

START_SECONDS: Final = 20.0
_FIRST_WAIT, _LONGEST_WAIT = 0.2, 30.0
_SETTLED: Final = 60.0
"""Seconds after which one that ends is a new trouble: the waits begin anew."""
_LOOK_EVERY: Final = 0.5
"""Seconds from one look at whether the process runs to the next."""

S = TypeVar("S", bound=Service)


class ServiceKeeper(Generic[S]):
    """One service at a time. Safe to use from several threads, and in a process that was forked, which starts its own.

    ``begin`` starts it: its number, counted from 1, and the seconds that it may take. ``load`` gives it what it lost
    with the one before; nobody can ask it sooner. Doors have `watch` run as a part that is supervised. Without that,
    `ensure` starts it where it is needed.
    """

    def __init__(
        self,
        name: str,
        begin: Callable[[int, float], S],
        *,
        load: Callable[[S], None] = lambda _: None,
        pace: ProbePace = ProbePace(),  # noqa: B008  immutable
        backoff: Backoff | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self._begin, self._load, self._pace, self._clock = begin, load, pace, clock
        self._backoff = backoff or Backoff(_FIRST_WAIT, _LONGEST_WAIT)
        self._not_before = 0.0
        self._on_end: Callable[[EndCause], None] = lambda _: None
        self._service: S | None = None
        self._doubted = self._closed = False
        self.generation = 0
        """Grows with each start; what the one before was told is gone."""
        self.reason = ""
        """Why the last one ended, or could not be started; empty before."""
        self._be_alone()
        _keepers.add(self)

    def _be_alone(self) -> None:
        """No other thread uses it yet."""
        self._lock = threading.RLock()
        self._changed = threading.Condition()
        self._watcher: Life | None = None

    @property
    def service(self) -> S | None:
        """The one that runs; None where it has ended, or is being started."""
        service = self._service
        return service if service is not None and service.child.running else None

    def start(self, within: float = START_SECONDS) -> S:
        """Start it now if it does not run.

        Raises EngineMissingError, EngineError: it does not come up, or was closed.
        """
        with self._lock:
            if (service := self.service) is not None:
                return service
            if self._closed:
                raise EngineError(f"{self.name} was closed")
            self._note_end()
            service = self._begun(within)
            self.generation += 1
            self._service, self._doubted = service, False
            self._tell()
            return service

    def ensure(self, deadline: Deadline) -> S:
        """The one that runs, started again if it ended, and asked whether it is well if that was in doubt.

        Raises EngineMissingError, EngineError: it does not come up, or its wait is not over before the deadline.
        """
        if not self._doubted and (service := self.service) is not None:
            return service
        if not self._lock.acquire(timeout=min(deadline.left, threading.TIMEOUT_MAX)):
            raise EngineError(f"{self.name} is away: it is being started")
        try:
            self._settle_doubt(deadline)
            if (service := self.service) is not None:
                return service
            self._note_end()
            if self._watcher is None or self._closed:
                if not self._closed:
                    self._await_turn(deadline)
                return self.start(min(START_SECONDS, deadline.left))
        finally:
            self._lock.release()
        return self._awaited(deadline)

    async def ensure_soon(self, deadline: Deadline) -> S:
        """The same for an event loop."""
        if not self._doubted and (service := self.service) is not None:
            return service
        import asyncio  # late: a run of the command line has no loop

        try:
            left = deadline.left
            return await asyncio.wait_for(asyncio.to_thread(self.ensure, deadline), left if left < math.inf else None)
        except TimeoutError as error:
            raise EngineError(f"{self.name} was not ready in time") from error

    def doubt(self) -> None:
        """It did not answer in time: `ensure` is to ask first whether it is well."""
        self._doubted = True

    def watch(
        self, life: Life, started: Callable[[S], None] = lambda _: None, ended: Callable[[EndCause], None] | None = None
    ) -> None:
        """Keep it running until ``life`` is over: to be run by ``Supervisor.thread``.

        ``started`` is called with each one that was started, after which it is asked whether it is well. Whatever it
        raises of EngineError is logged, and the next one started. ``ended`` is told why one ended or did not start.
        """
        self._on_end = ended or self._on_end
        self._watcher = life
        try:
            self._watch(life, started)
        finally:
            if self._watcher is life:
                self._watcher = None
            self._tell()

    def close(self) -> None:
        """End it for good."""
        self._closed = True
        with self._lock:
            service, self._service = self._service, None
        if service is not None:
            service.close()
        self._tell()

    def forget(self) -> None:
        """In a process that was forked: the service is that of the parent, and must not live for our sake."""
        self._be_alone()
        service, self._service = self._service, None
        if service is not None:
            service.let_go()

    # -- its start -----------------------------------------------------------------------------------------

    def _begun(self, within: float) -> S:
        cause = EndCause.START
        service: S | None = None
        try:
            service = self._begin(self.generation + 1, within)
            beat()
            cause = EndCause.LOAD
            self._load(service)
            beat()
        except IocauditError as error:
            if service is not None:
                service.close()
            self._note(ProcessEnd(cause, str(error)))
            raise
        return service

    def _await_turn(self, deadline: Deadline) -> None:
        """Wait until it may be started again; raises EngineError where that is later than the deadline."""
        wait = max(0.0, self._not_before - self._clock())
        if wait >= deadline.left:
            raise self._away(wait)
        time.sleep(wait)

    def _awaited(self, deadline: Deadline) -> S:
        """What the thread that watches it has started."""
        wait, left = max(0.0, self._not_before - self._clock()), deadline.left
        if wait >= left:
            raise self._away(wait)
        with self._changed:
            self._changed.notify_all()  # who watches it may not have seen its end yet
            over = self._changed.wait_for(
                lambda: self.service is not None or self._closed or self._watcher is None,
                left if left < math.inf else None,
            )
        if (service := self.service) is not None:
            return service
        if over:
            return self.start(min(START_SECONDS, deadline.left))
        raise self._away(max(0.0, self._not_before - self._clock()))

    def _away(self, wait: float) -> EngineError:
        reason = f"{self.reason}; it is started again in {wait:.1f} s" if self.reason else "it is being started"
        return EngineError(f"{self.name} is away: {reason}")

    # -- its end -------------------------------------------------------------------------------------------

    def _watch(self, life: Life, started: Callable[[S], None]) -> None:
        missed = 0
        seen: S | None = None
        while not life.is_set():
            service = self.service
            if service is None:
                self._note_end()
                if self._closed or life.wait(max(0.0, self._not_before - self._clock())):
                    life.wait()
                    return
                try:
                    service = self.start()
                except IocauditError as error:
                    if not self._closed:
                        _log.error("%s could not be started: %s", self.name, error)
                    continue
            if service is not seen:
                missed, seen = 0, service
                try:
                    started(service)
                except EngineError as error:
                    self._kill(service, ProcessEnd(EndCause.LOAD, f"it could not be loaded: {error}"))
                    continue
            if not self._goes_on(service, life):
                continue
            trouble = service.trouble(self._pace.within)
            missed = 0 if trouble is None else missed + 1
            if trouble is None:
                self._doubted = False
            if missed >= self._pace.most_missed:
                self._kill(service, ProcessEnd(EndCause.UNHEALTHY, f"it failed {missed} health probes: {trouble}"))

    def _goes_on(self, service: S, life: Life) -> bool:
        """Wait until it is to be asked whether it is well; whether it still runs then, and is watched."""
        until = time.monotonic() + self._pace.every
        while not life.is_set() and service.child.running:
            left = until - time.monotonic()
            if left <= 0:
                return True
            with self._changed:
                self._changed.wait(min(left, _LOOK_EVERY))
        return False

    def _settle_doubt(self, deadline: Deadline) -> None:
        """Ask one that is in doubt whether it is well, where there is time for an answer."""
        service = self.service if self._doubted else None
        if service is None or deadline.left < self._pace.within:
            return
        if (trouble := service.trouble(self._pace.within)) is not None:
            reason = f"it did not answer, and then failed a health probe: {trouble}"
            self._kill(service, ProcessEnd(EndCause.UNHEALTHY, reason))
        self._doubted = False

    def _kill(self, service: S, ending: ProcessEnd) -> None:
        with self._lock:
            if service.child.running:
                service.child.kill()
                self._note_end(ending)

    def _note_end(self, ending: ProcessEnd | None = None) -> None:
        """Where it has ended since, say why, and put the next start off."""
        with self._lock:
            service = self._service
            if service is None or service.child.running:
                return
            self._service = None
            ending = ending or service.child.ending
            service.close()
            _log.error("%s ended: %s", self.name, ending.reason, extra={"generation": self.generation})
            if self._clock() - service.child.begun >= _SETTLED:
                self._backoff.reset()
            self._note(ending)

    def _note(self, ending: ProcessEnd) -> None:
        self.reason = ending.reason
        self._not_before = self._clock() + self._backoff.next()
        self._on_end(ending.cause)

    def _tell(self) -> None:
        with self._changed:
            self._changed.notify_all()


_keepers: weakref.WeakSet[ServiceKeeper[Any]] = weakref.WeakSet()


def _forget_all() -> None:
    for keeper in list(_keepers):
        keeper.forget()


os.register_at_fork(after_in_child=_forget_all)
