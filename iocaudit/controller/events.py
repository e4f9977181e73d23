"""kopf as the source of changes: one ``on.event`` handler a kind, and nothing it would write."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable
from typing import Any

import kopf

from iocaudit.cluster.client import Client
from iocaudit.controller.sweep import Change
from iocaudit.core.kinds import Kind

_log = logging.getLogger(__name__)
_FIRST_WAIT, _LONGEST_WAIT = 1.0, 60.0
_SETTLED = 10.0
"""Seconds after which the first listings of the watches count as done."""

Receive = Callable[[Change, bool], None]
"""Takes a change, and whether it is of a first listing (so that it may be no change at all)."""


class _NoProgress(kopf.ProgressStorage):
    """No handler here has progress to keep; kopf's own storages cost four deep copies an object."""

    def fetch(self, **_: Any) -> None:
        return None

    def store(self, **_: Any) -> None:
        return None

    def purge(self, **_: Any) -> None:
        return None

    def touch(self, **_: Any) -> None:
        return None

    def clear(self, *, essence: Any) -> Any:
        return essence


class _NoDiffBase(kopf.DiffBaseStorage):
    """No handler here asks what changed."""

    def build(self, **_: Any) -> Any:
        return {}

    def fetch(self, **_: Any) -> None:
        return None

    def store(self, **_: Any) -> None:
        return None


def settings() -> kopf.OperatorSettings:
    """kopf's settings as measured to be bounded in memory, and without any write of its own."""
    found = kopf.OperatorSettings()
    found.persistence.progress_storage = _NoProgress()
    found.persistence.diffbase_storage = _NoDiffBase()
    found.watching.chunk_size = 50
    found.queueing.idle_timeout = 0.05
    found.posting.enabled = False
    found.posting.loggers = False
    found.process.ultimate_exiting_timeout = None
    return found


def registry(client: Client, kinds: Iterable[Kind], receive: Receive) -> kopf.OperatorRegistry:
    """Handlers for these kinds that only hand the raw object on."""
    handlers = kopf.OperatorRegistry()
    for kind in kinds:
        # A coroutine: plain functions would be run in a pool of threads, out of order.
        async def handle(event: Any, kind: Kind = kind, **_: Any) -> None:
            raw = event.get("object")
            if isinstance(raw, dict):
                complete = {**raw, "apiVersion": kind.api_version, "kind": kind.name}
                receive(Change(kind, event.get("type") == "DELETED", complete), event.get("type") is None)

        kopf.on.event(kind.group, kind.version, kind.plural, id=f"{kind.plural}.{kind.group}", registry=handlers)(
            handle
        )

    async def log_in(**_: Any) -> kopf.ConnectionInfo:
        configuration = client.configuration
        held = [configuration.get_api_key_with_prefix(key) for key in ("authorization", "BearerToken")]
        authorization = next((str(key) for key in held if key), "")
        scheme, _space, credential = authorization.rpartition(" ")
        return kopf.ConnectionInfo(
            server=client.host,
            ca_path=configuration.ssl_ca_cert,
            insecure=not configuration.verify_ssl,
            certificate_path=configuration.cert_file,
            private_key_path=configuration.key_file,
            scheme=scheme or None,
            token=credential or None,
        )

    kopf.on.login(registry=handlers)(log_in)
    return handlers


class Watches:
    """The watches of a process. ``kinds`` says anew, each time they begin, what is to be watched.

    ``lost`` is told when they had to be begun again, and once they have settled: kopf's first listing does
    not tell of what was deleted before it, so that only a sweep that comes after it leaves nothing out.
    """

    def __init__(
        self,
        client: Client,
        kinds: Callable[[], Collection[Kind]],
        receive: Receive,
        lost: Callable[[], None],
    ) -> None:
        self._client, self._kinds, self._receive, self._lost = client, kinds, receive, lost
        self._watched: frozenset[Kind] = frozenset()
        self._again = threading.Event()
        self.restarts = 0

    def refresh(self) -> None:
        """Begin again if other kinds are to be watched now than when they began."""
        if self._watched and frozenset(self._kinds()) != self._watched:
            self._again.set()

    def run(self, stop: threading.Event) -> None:
        """Watch until ``stop``. Where kopf gives up (the API server is away), begin again, ever more slowly."""
        wait = _FIRST_WAIT
        while not stop.is_set():
            begun = time.monotonic()
            kinds = tuple(self._kinds())
            self._watched = frozenset(kinds)
            self._again.clear()
            try:
                asyncio.run(self._watch(kinds, stop))
            except Exception as error:  # noqa: BLE001  whatever ended the watches, they are begun again
                _log.error("the watches ended: %s: %s", type(error).__name__, error)
            if stop.is_set():
                return
            self.restarts += 1
            wait = _FIRST_WAIT if time.monotonic() - begun > _LONGEST_WAIT else min(wait * 2, _LONGEST_WAIT)
            stop.wait(0.0 if self._again.is_set() else wait)
            self._lost()

    async def _watch(self, kinds: Collection[Kind], stop: threading.Event) -> None:
        flag = asyncio.Event()

        async def wait() -> None:
            settled = time.monotonic() + _SETTLED
            while not (stop.is_set() or self._again.is_set()):
                if settled and time.monotonic() > settled:
                    settled = 0.0
                    self._lost()
                await asyncio.sleep(0.2)
            flag.set()

        waiting = asyncio.create_task(wait())
        try:
            await kopf.operator(
                registry=registry(self._client, kinds, self._receive),
                settings=settings(),
                standalone=True,
                clusterwide=True,
                stop_flag=flag,
            )
        finally:
            waiting.cancel()
