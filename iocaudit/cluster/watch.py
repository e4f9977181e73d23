"""Keep a copy of kinds: list, then watch, for ever, whatever happens to the API server or to us.

What is served is asked once for all kinds and again on a period, so only kinds that are there cost a thread and
a connection. Every watch is short: the API server sends a bookmark before it ends one, so silence that lasts is
a connection that is alive and says nothing. A kind of which nothing was heard for ``STALE`` seconds is incomplete,
also when it had been loaded, until it was loaded again.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from iocaudit.cluster.api import EVERYWHERE, Api, ListScope
from iocaudit.cluster.discovery import NOT_SERVED, ServedKinds, discover
from iocaudit.cluster.errors import (
    ApiError,
    ClusterError,
    ExpiredError,
    ForbiddenError,
    NotFoundError,
    UnreachableError,
)
from iocaudit.core.kinds import Kind
from iocaudit.core.resource import CLUSTER, Resource
from iocaudit.core.shape import Json, mapping, text
from iocaudit.knowledge.keeping import Keeper, size_of
from iocaudit.supervision.backoff import Backoff
from iocaudit.supervision.part import Life, Part
from iocaudit.supervision.supervisor import Supervisor

_log = logging.getLogger(__name__)
DISCOVERY_PERIOD: Final = 15.0
"""Seconds after which a kind that was installed meanwhile is noticed at the latest."""
STALE: Final = 60.0
"""Seconds without a word of the API server about a kind after which the kind is incomplete."""
_SHORTEST_WATCH, _LONGEST_WATCH = 28, 36
"""Seconds; with the 15 s more that the client waits for an answer they stay below ``STALE``."""
_SILENCE = 90.0
"""Seconds that a watching thread may be silent: as long as a watch may be, and then for room to read a large answer."""
_FIRST_WAIT, _LONGEST_WAIT = 0.5, 30.0
_LONGEST_WAIT_AWAY = 5.0
"""Seconds between two attempts to reach an API server that is away: its return should not go unnoticed for long."""
_FORBIDDEN_RETRY = 30.0
_CHANGES = ("ADDED", "MODIFIED", "DELETED")
MOST_REQUIRED: Final = 8 * 1024 * 1024
"""Bytes of all objects of a kind that is followed only because it was required: twice what one question may hold."""
_TOO_MANY_RETRY = 60.0
_NAP = 0.25
_NO_WATCH = 1.0
"""Seconds that a watch lasts at least, if it is one."""


class TooManyError(Exception):
    """The objects of a kind take more than they may."""


@dataclass(frozen=True, slots=True)
class Sink:
    """Where changes go; called from the watching threads. ``incomplete`` says why a kind cannot be known whole."""

    replace: Callable[[Kind, list[Resource]], None]
    put: Callable[[Resource], None]
    remove: Callable[[Resource], None]
    incomplete: Callable[[Kind, str], None]
    install: Callable[[frozenset[str]], None]
    """Told now and again of the API groups that are installed."""
    begin: Callable[[Kind], str] | None = None
    """Brings what is known of a kind up to date in a way of its own, and returns the version that changes follow.

    Without it all objects are listed and given to ``replace``. It raises as requests do.
    """
    keep: Callable[[Json, Kind], Resource] | None = None
    """What is handed over of an object. Without it what checks look up, bounded by bytes."""


class Watches:
    """One part that asks what is served, and one for each of the kinds that is, looked after by a supervisor.

    A kind that is not served is complete and empty. ``failed`` is told of each failure, for a metric. Of a kind in
    ``scopes`` only those objects are asked for, and handed over whole, as the API server has them.
    """

    def __init__(
        self,
        client: Api,
        kinds: Iterable[Kind],
        sink: Sink,
        supervisor: Supervisor,
        failed: Callable[[Kind | None], None] = lambda _kind: None,
        *,
        period: float = DISCOVERY_PERIOD,
        clock: Callable[[], float] = time.monotonic,
        scopes: Mapping[Kind, ListScope] | None = None,
    ) -> None:
        self.kinds = tuple(kinds)
        self._scopes = scopes or {}
        self._client, self._sink, self._supervisor = client, sink, supervisor
        self._failed, self._period, self._clock = failed, period, clock
        self._watched: dict[Kind, _KindWatch] = {}
        self._absent: set[Kind] = set()
        self._stale: set[Kind] = set()
        self._asked = clock()
        self._fixed = frozenset(self.kinds)
        self._changing = threading.RLock()
        self._due = threading.Event()

    def require(self, kinds: Iterable[Kind]) -> None:
        """Follow these as well from now on, and none beside them and those of the start: their watches end.

        One that is not served is incomplete, as another may have been meant. Of one whose objects take
        more than ``MOST_REQUIRED`` bytes none is held.
        """
        with self._changing:
            wanted = [kind for kind in dict.fromkeys(kinds) if kind not in self._fixed]
            for gone in set(self.kinds) - self._fixed - set(wanted):
                self._absent.discard(gone)
                self._stale.discard(gone)
                if (watch := self._watched.pop(gone, None)) is not None:
                    watch.end()
            self.kinds = (*[kind for kind in self.kinds if kind in self._fixed], *wanted)
        self._due.set()

    def start(self) -> None:
        self._supervisor.on_look(self.check)
        self._supervisor.thread("discovery", self._run, silence=_SILENCE)

    def seconds_since_contact(self, kind: Kind) -> float:
        """How long ago the API server last said something about the kind, be it that there is none."""
        watch = self._watched.get(kind)
        return self._clock() - (watch.last_contact if watch is not None else self._asked)

    def check(self) -> None:
        """Say of each kind of which nothing was heard for too long that it is incomplete."""
        silent = {kind: self.seconds_since_contact(kind) for kind in self.kinds if kind not in self._stale}
        stale = {kind: seconds for kind, seconds in silent.items() if seconds > STALE}
        if stale:
            _log.error("kinds are incomplete, the API server sends nothing about them: %s", ", ".join(map(str, stale)))
        for kind, seconds in stale.items():
            self._stale.add(kind)
            self._sink.incomplete(kind, f"the API server has sent nothing about it for {seconds:.0f} s")

    def _run(self, life: Life) -> None:
        backoff, report = Backoff(_FIRST_WAIT, _LONGEST_WAIT), _Reports("discovery")
        while not life.is_set():
            try:
                self.look(life)
            except Exception as error:  # noqa: BLE001  whatever it was, what is served has to be asked again
                report.failed(error)
                self._failed(None)
                away = isinstance(error, UnreachableError)
                life.wait(backoff.next(_LONGEST_WAIT_AWAY if away else None))
            else:
                report.well()
                backoff.reset()
                self._await_next(life)

    def _await_next(self, life: Life) -> None:
        """Wait for the next look, or until other kinds are required."""
        left = self._period
        while left > 0 and not self._due.wait(min(_NAP, left)):
            left -= _NAP
            if life.is_set():
                return
        self._due.clear()

    def look(self, life: Life | None = None) -> None:
        """Ask what is served, and watch what is. Raises as ``discover`` does."""
        served = discover(self._client)
        if life is not None and life.over:
            return
        self._asked = self._clock()
        self._sink.install(served.groups)
        for kind in self.kinds:
            with self._changing:
                if kind in self.kinds:
                    self._follow(kind, served)

    def _follow(self, named: Kind, served: ServedKinds) -> None:
        running = self._watched.get(named)
        if running is not None and not running.ended:
            return
        kind = served.resolved(named)
        if kind is None:
            self._watched.pop(named, None)
            self._sink.incomplete(named, NOT_SERVED)
            return
        other = served.only_as(kind)
        if other is not None:
            self._absent.discard(kind)
            self._sink.incomplete(kind, f"served only as {other}, which is not read")
        elif served.absent(kind):
            self._watched.pop(kind, None)
            if kind not in self._absent or kind in self._stale:
                self._absent.add(kind)
                self._stale.discard(kind)
                self._sink.replace(kind, [])
        else:
            self._absent.discard(kind)
            scope = self._scopes.get(kind)
            most = None if kind in self._fixed else MOST_REQUIRED
            watch = _KindWatch(self._client, kind, self._sink, self._stale, self._failed, self._clock, scope, most)
            self._watched[kind] = watch
            watch.start(self._supervisor)


class _KindWatch:
    """One part that keeps one kind. It ends where the kind is no longer served.

    Where its thread hangs it is given up, and another goes on from the version that it had come to.
    """

    def __init__(
        self,
        client: Api,
        kind: Kind,
        sink: Sink,
        stale: set[Kind],
        failed: Callable[[Kind | None], None],
        clock: Callable[[], float],
        scope: ListScope | None = None,
        most: int | None = None,
    ) -> None:
        """``most``: how many bytes its objects may take."""
        self.kind, self._most, self._size = kind, most, 0
        self._scope = scope or EVERYWHERE
        self._keep = sink.keep or (whole if scope is not None else None)
        self.ended = False
        self._client, self._sink, self._stale, self._failed, self._clock = client, sink, stale, failed, clock
        self.last_contact = clock()
        self._loaded = False
        self._keeper = Keeper(kind)
        self._version = ""
        self._lock = threading.Lock()
        self._part: Part | None = None
        self._supervisor: Supervisor | None = None

    def start(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._part = supervisor.thread(f"watch {self.kind}", self._run, silence=_SILENCE)

    def _run(self, life: Life) -> None:
        backoff, report = Backoff(_FIRST_WAIT, _LONGEST_WAIT), _Reports(f"watch of {self.kind}")
        while not life.is_set():
            began = self._clock()
            try:
                self._turn(life)
                report.well()
            except NotFoundError:
                # Removed since the server was asked what it serves; the next look says so.
                self._end()
                return
            except ForbiddenError as error:
                report.failed(error)
                self._failed(self.kind)
                self._version = ""
                self._sink.incomplete(self.kind, f"forbidden: {error}")
                life.wait(_FORBIDDEN_RETRY)
                continue
            except ExpiredError:
                self._version = ""
            except TooManyError as error:
                self._version = ""
                self._sink.replace(self.kind, [])
                self._sink.incomplete(self.kind, str(error))
                life.wait(_TOO_MANY_RETRY)
                continue
            except UnreachableError as error:
                # Nothing is lost by it: what has happened meanwhile follows the version that we have.
                report.failed(error)
                self._failed(self.kind)
                life.wait(backoff.next(_LONGEST_WAIT_AWAY))
                continue
            except Exception as error:  # noqa: BLE001  an end of this thread would leave its kind stale for longer
                report.failed(error)
                self._failed(self.kind)
                self._version = ""
                if not self._loaded and isinstance(error, ApiError):
                    # Answered, but not with a list: others must not wait for it. Later the last good list holds.
                    self._sink.incomplete(self.kind, str(error))
            if self._clock() - began >= _NO_WATCH and self._version:
                backoff.reset()
            else:
                life.wait(backoff.next())

    def end(self) -> None:
        """Follow it no more."""
        with self._lock:
            self._end()

    def _end(self) -> None:
        self.ended = True
        if self._supervisor is not None and self._part is not None:
            self._supervisor.remove(self._part)

    def _turn(self, life: Life) -> None:
        """Load where that is needed, then follow changes until the server ends the watch."""
        if not self._version or self.kind in self._stale:
            self._load(life)
        began, heard = self._clock(), False
        seconds = random.randint(_SHORTEST_WATCH, _LONGEST_WATCH)
        for event, raw in self._client.watch(self.kind, self._version, scope=self._scope, seconds=seconds):
            life.beat()
            heard = True
            keep = self._keep
            resource = keep(raw, self.kind) if keep is not None and event in _CHANGES else None
            with self._lock:
                if life.over:
                    return
                self._heard()
                self._version = text(mapping(raw.get("metadata")).get("resourceVersion")) or self._version
                if event == "DELETED":
                    self._sink.remove(resource or self._keeper.forget(raw))
                elif event in _CHANGES:
                    kept = resource or self._keeper.keep(raw)
                    self._sink.put(kept)
                    if self._most is not None and not self._has_room(kept):
                        self._version = ""
                        return
            if self.kind in self._stale:
                return
        if heard or self._clock() - began >= _NO_WATCH:
            self._heard()

    def _has_room(self, kept: Resource) -> bool:
        """Count what a change brings; without room for it all are counted again, as it may be of one that is known."""
        self._size += size_of(kept)
        return self._size <= (self._most or 0)

    def _load(self, life: Life) -> None:
        keeper = Keeper(self.kind)
        self._size = 0

        def keep(raw: Json) -> Resource:
            life.beat()
            if not life.over:
                self._heard()
            if self._keep is not None:
                return self._keep(raw, self.kind)
            kept = keeper.keep(raw)
            if self._most is not None and not self._has_room(kept):
                raise TooManyError(f"its objects take more than {self._most} bytes")
            return kept

        found: list[Resource] | None = None
        if self._sink.begin is not None:
            version = self._sink.begin(self.kind)
        else:
            found, version = self._client.collect(self.kind, keep, scope=self._scope)
        with self._lock:
            if life.over:
                return
            self._heard()
            self._stale.discard(self.kind)
            self._version = version
            self._keeper = keeper
            if found is not None:
                self._sink.replace(self.kind, found)
            self._loaded = True

    def _heard(self) -> None:
        self.last_contact = self._clock()


def whole(raw: Json, kind: Kind) -> Resource:
    """An object as the API server has it, completed with its kind."""
    raw["apiVersion"], raw["kind"] = kind.api_version, kind.name
    return Resource(raw, CLUSTER, kind=kind)


class _Reports:
    """Logs the first of several failures in a row; while the API server is away, one line a kind is enough."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._failing = False

    def failed(self, error: Exception) -> None:
        if not isinstance(error, ClusterError):
            _log.error("%s: unexpected; beginning again", self._what, exc_info=error)
        else:
            _log.log(logging.DEBUG if self._failing else logging.WARNING, "%s: %s", self._what, error)
        self._failing = True

    def well(self) -> None:
        self._failing = False
