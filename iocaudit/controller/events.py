"""kopf as the source of changes: one ``on.event`` handler a kind, and nothing it would write."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Collection, Iterable
from typing import Any

import kopf

from iocaudit.cluster.client import Client
from iocaudit.controller.sweep import Change
from iocaudit.core.kinds import Kind

_log = logging.getLogger(__name__)

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
    found.watching.chunk_size = 500
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


def watch(
    client: Client, kinds: Collection[Kind], receive: Receive, lost: Callable[[], None], stop: threading.Event
) -> None:
    """Watch until ``stop``; where kopf gives up (the API server is away), begin again and say so by ``lost``."""
    while not stop.is_set():
        try:
            asyncio.run(
                kopf.operator(
                    registry=registry(client, kinds, receive),
                    settings=settings(),
                    standalone=True,
                    clusterwide=True,
                    stop_flag=stop,
                )
            )
        except Exception as error:  # noqa: BLE001  whatever ended the watches, they are begun again
            _log.error("the watches ended: %s: %s", type(error).__name__, error)
        if not stop.is_set():
            lost()
            stop.wait(2.0)
