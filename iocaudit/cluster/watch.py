"""Keep a copy of a kind: list, then watch, for ever, whatever happens to the API server."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from iocaudit.cluster.client import Client
from iocaudit.cluster.errors import ClusterError, ExpiredError, ForbiddenError, NotFoundError
from iocaudit.core.kinds import Kind
from iocaudit.core.resource import CLUSTER, Resource
from iocaudit.core.shape import mapping, text

_log = logging.getLogger(__name__)
_ABSENT_RETRY = 30.0
_LONGEST_WAIT = 30.0


@dataclass(frozen=True, slots=True)
class Sink:
    """Where changes go; called from the watching thread."""

    replace: Callable[[Kind, list[Resource]], None]
    put: Callable[[Resource], None]
    remove: Callable[[Resource], None]
    incomplete: Callable[[Kind, str], None]


class KindWatch:
    """One thread that keeps one kind. A kind that is not served is simply absent, and looked for again."""

    def __init__(self, client: Client, kind: Kind, sink: Sink) -> None:
        self.kind = kind
        self.last_contact = 0.0
        self._client = client
        self._sink = sink
        self._thread = threading.Thread(target=self._run, name=f"watch {kind}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def _run(self) -> None:
        wait = 0.5
        while True:
            try:
                version = self._list()
                wait = 0.5
                if version is None:
                    time.sleep(_ABSENT_RETRY)
                    continue
                self._watch(version)
            except ForbiddenError as error:
                self._sink.incomplete(self.kind, f"forbidden: {error}")
                time.sleep(_ABSENT_RETRY)
            except ClusterError as error:
                _log.warning("watch of %s: %s", self.kind, error)
                time.sleep(wait * random.uniform(0.7, 1.3))
                wait = min(wait * 2, _LONGEST_WAIT)

    def _list(self) -> str | None:
        try:
            items, version = self._client.list_all(self.kind)
        except NotFoundError:
            items, version = [], ""
        self.last_contact = time.monotonic()
        self._sink.replace(self.kind, [Resource(item, CLUSTER, kind=self.kind) for item in items])
        return version or None

    def _watch(self, version: str) -> None:
        while True:
            try:
                for event, raw in self._client.watch(self.kind, version):
                    self.last_contact = time.monotonic()
                    version = text(mapping(raw.get("metadata")).get("resourceVersion")) or version
                    if event == "DELETED":
                        self._sink.remove(Resource(raw, CLUSTER, kind=self.kind))
                    elif event in ("ADDED", "MODIFIED"):
                        self._sink.put(Resource(raw, CLUSTER, kind=self.kind))
            except ExpiredError:
                return
            self.last_contact = time.monotonic()
