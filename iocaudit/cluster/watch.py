"""Keep a copy of kinds: list, then watch, for ever, whatever happens to the API server or to us.

What is served is asked once for all kinds and again on a period, so that only kinds that are there cost a
thread and a connection.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from iocaudit.cluster.client import Client
from iocaudit.cluster.discovery import discover
from iocaudit.cluster.errors import ApiError, ClusterError, ExpiredError, ForbiddenError, NotFoundError
from iocaudit.core.kinds import Kind
from iocaudit.core.outline import slim
from iocaudit.core.resource import Resource
from iocaudit.core.shape import mapping, text

_log = logging.getLogger(__name__)
DISCOVERY_PERIOD = 15.0
"""Seconds after which a kind that was installed meanwhile is noticed at the latest."""
_FORBIDDEN_RETRY = 30.0
_FIRST_WAIT, _LONGEST_WAIT = 0.5, 30.0


@dataclass(frozen=True, slots=True)
class Sink:
    """Where changes go; called from the watching threads. ``incomplete`` says why a kind cannot be known whole."""

    replace: Callable[[Kind, list[Resource]], None]
    put: Callable[[Resource], None]
    remove: Callable[[Resource], None]
    incomplete: Callable[[Kind, str], None]
    install: Callable[[frozenset[str]], None]
    """Told now and again of the API groups that are installed."""


class Watches:
    """One thread that asks what is served, and one for each of the kinds that is.

    A kind that is not served is complete and empty. ``failed`` is told of each failure, for a metric.
    """

    def __init__(
        self,
        client: Client,
        kinds: Iterable[Kind],
        sink: Sink,
        failed: Callable[[Kind | None], None] = lambda _kind: None,
        *,
        period: float = DISCOVERY_PERIOD,
    ) -> None:
        self.kinds = tuple(kinds)
        self._client, self._sink, self._failed, self._period = client, sink, failed, period
        self._watched: dict[Kind, _KindWatch] = {}
        self._absent: set[Kind] = set()
        self._asked = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="discovery", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def seconds_since_contact(self, kind: Kind) -> float:
        """How long ago the API server last said something about the kind, be it that there is none."""
        watch = self._watched.get(kind)
        return time.monotonic() - (watch.last_contact if watch is not None else self._asked)

    def _run(self) -> None:
        wait = _FIRST_WAIT
        while True:
            try:
                self.look()
            except Exception as error:  # noqa: BLE001  whatever it was, what is served has to be asked again
                _report("discovery", error)
                self._failed(None)
                time.sleep(wait * random.uniform(0.7, 1.3))
                wait = min(wait * 2, _LONGEST_WAIT)
            else:
                wait = _FIRST_WAIT
                time.sleep(self._period)

    def look(self) -> None:
        """Ask what is served, and watch what is. Raises as ``discover`` does."""
        served = discover(self._client)
        self._asked = time.monotonic()
        self._sink.install(served.groups)
        for kind in self.kinds:
            running = self._watched.get(kind)
            if running is not None and not running.ended:
                continue
            other = served.only_as(kind)
            if other is not None:
                self._absent.discard(kind)
                self._sink.incomplete(kind, f"served only as {other}, which is not read")
            elif served.absent(kind):
                self._watched.pop(kind, None)
                if kind not in self._absent:
                    self._absent.add(kind)
                    self._sink.replace(kind, [])
            else:
                self._absent.discard(kind)
                watch = self._watched[kind] = _KindWatch(self._client, kind, self._sink, self._failed)
                watch.start()


class _KindWatch:
    """One thread that keeps one kind. It ends where the kind is no longer served."""

    def __init__(self, client: Client, kind: Kind, sink: Sink, failed: Callable[[Kind | None], None]) -> None:
        self.kind = kind
        self.last_contact = time.monotonic()
        self.ended = False
        self._client, self._sink, self._failed = client, sink, failed
        self._loaded = False
        self._thread = threading.Thread(target=self._run, name=f"watch {kind}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def _run(self) -> None:
        wait = _FIRST_WAIT
        while True:
            began = time.monotonic()
            try:
                self._watch(self._list())
                wait = _FIRST_WAIT
            except NotFoundError:
                # Removed since the server was asked what it serves; the next look says so.
                self.ended = True
                return
            except ForbiddenError as error:
                self._failed(self.kind)
                self._sink.incomplete(self.kind, f"forbidden: {error}")
                time.sleep(_FORBIDDEN_RETRY)
            except Exception as error:  # noqa: BLE001  an end of this thread would leave its kind stale for ever
                _report(f"watch of {self.kind}", error)
                self._failed(self.kind)
                if not self._loaded and isinstance(error, ApiError):
                    # Answered, but not with a list: others must not wait for it. Later the last good list holds.
                    self._sink.incomplete(self.kind, str(error))
                if time.monotonic() - began > _LONGEST_WAIT:
                    wait = _FIRST_WAIT
                time.sleep(wait * random.uniform(0.7, 1.3))
                wait = min(wait * 2, _LONGEST_WAIT)

    def _list(self) -> str:
        found, version = self._client.collect(self.kind, lambda raw: slim(raw, self.kind))
        self.last_contact = time.monotonic()
        self._sink.replace(self.kind, found)
        self._loaded = True
        return version

    def _watch(self, version: str) -> None:
        while True:
            try:
                for event, raw in self._client.watch(self.kind, version):
                    self.last_contact = time.monotonic()
                    version = text(mapping(raw.get("metadata")).get("resourceVersion")) or version
                    if event == "DELETED":
                        self._sink.remove(slim(raw, self.kind))
                    elif event in ("ADDED", "MODIFIED"):
                        self._sink.put(slim(raw, self.kind))
            except ExpiredError:
                return
            self.last_contact = time.monotonic()


def _report(what: str, error: Exception) -> None:
    if isinstance(error, ClusterError):
        _log.warning("%s: %s", what, error)
    else:
        _log.error("%s: unexpected; beginning again", what, exc_info=error)
