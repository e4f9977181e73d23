"""kopf, which runs the handlers on our own kinds: its login, its life cycle, and one ``on.event`` a kind.

It decodes by itself, with decoders that a deep object ends for good, so it is given a session whose answers are
decoded by ours. Kinds that others write are followed by our own watch (`controller.changes`), and so are these two:
whatever becomes of kopf, policies and waivers take effect.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

import aiohttp
import kopf
import orjson

from iocaudit.cluster.client import Client
from iocaudit.controller.sweep import ObjectChange
from iocaudit.core.kinds import Kind
from iocaudit.decoding.answers import decode_event
from iocaudit.decoding.objects import NotJsonError, decode
from iocaudit.supervision.backoff import Backoff
from iocaudit.supervision.part import Life

_log = logging.getLogger(__name__)
_FIRST_WAIT, _LONGEST_WAIT = 1.0, 60.0
_BEAT_EVERY = 0.5
_WATCH_SECONDS = 40
"""What kopf asks the API server for; one that says nothing for longer is asked again."""
_CHUNK = 10
"""Objects a request: policies and waivers are few, and each may be of megabytes."""

ChangeReceiver = Callable[[ObjectChange], None]


class ShieldedResponse(aiohttp.ClientResponse):
    """An answer that kopf reads, decoded by us: what nests too deep is left out, ``managedFields`` among it."""

    async def start(self, connection: Any) -> ShieldedResponse:
        await super().start(connection)
        if self.url.query.get("watch") == "true":
            self.content = _Lines(self.content)  # type: ignore[assignment]
        return self

    async def json(self, **_: Any) -> Any:
        """Raises JSONDecodeError, as the caller expects it."""
        body = await self.read()
        try:
            return decode(body)
        except NotJsonError as error:
            raise json.JSONDecodeError(str(error), "", 0) from error


class _Lines:
    """The body of a watch, line by line, each written anew from what we could read of it."""

    def __init__(self, content: aiohttp.StreamReader) -> None:
        self._content = content

    def __getattr__(self, name: str) -> Any:
        return getattr(self._content, name)

    async def iter_chunked(self, size: int) -> AsyncIterator[bytes]:
        held = bytearray()
        async for chunk in self._content.iter_chunked(size):
            held += chunk
            *lines, rest = held.split(b"\n")
            held = rest
            for line in lines:
                if written := _rewritten(bytes(line)):
                    yield written + b"\n"


def _rewritten(line: bytes) -> bytes:
    """The event with the parts of its object that could be read; empty where there is none."""
    if not line.strip():
        return b""
    try:
        event = decode_event(line)
    except NotJsonError as error:
        _log.warning("an event of a watch of our own kinds cannot be read: %s", error)
        return b""
    return orjson.dumps({"type": event[0], "object": event[1]}) if event is not None else b""


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
    found.watching.chunk_size = _CHUNK
    found.watching.server_timeout = _WATCH_SECONDS
    found.watching.inactivity_timeout = _WATCH_SECONDS + 15
    found.queueing.idle_timeout = 0.05
    found.posting.enabled = False
    found.posting.loggers = False
    # It would watch all CRDs to learn of new kinds: we know ours, and see ourselves when they come.
    found.scanning.disabled = True
    found.process.ultimate_exiting_timeout = None
    return found


def registry(client: Client, kinds: Iterable[Kind], receive: ChangeReceiver) -> kopf.OperatorRegistry:
    """Handlers for these kinds that only hand the raw object on, and the login."""
    handlers = kopf.OperatorRegistry()
    for kind in kinds:
        # A coroutine: plain functions would be run in a pool of threads, out of order.
        async def handle(event: Any, kind: Kind = kind, **_: Any) -> None:
            raw = event.get("object")
            if isinstance(raw, dict) and event.get("type") is not None:  # of the first listing the sweep knows
                complete = {**raw, "apiVersion": kind.api_version, "kind": kind.name}
                receive(ObjectChange(kind, event.get("type") == "DELETED", complete))

        kopf.on.event(kind.group, kind.version, kind.plural, id=f"{kind.plural}.{kind.group}", registry=handlers)(
            handle
        )

    async def log_in(**_: Any) -> kopf.AiohttpSession:
        return kopf.AiohttpSession(server=client.host, aiohttp_session=_session(client))

    kopf.on.login(registry=handlers)(log_in)
    return handlers


def _session(client: Client) -> aiohttp.ClientSession:
    configuration = client.configuration
    held = [configuration.get_api_key_with_prefix(key) for key in ("authorization", "BearerToken")]
    authorization = next((str(key) for key in held if key), "")
    scheme, _space, credential = authorization.rpartition(" ")
    info = kopf.ConnectionInfo(
        server=client.host,
        ca_path=configuration.ssl_ca_cert,
        insecure=not configuration.verify_ssl,
        certificate_path=configuration.cert_file,
        private_key_path=configuration.key_file,
        scheme=scheme or None,
        token=credential or None,
    )
    connector = aiohttp.TCPConnector(limit=0, ssl=info.as_ssl_context())
    return aiohttp.ClientSession(connector=connector, headers=info.as_http_headers(), response_class=ShieldedResponse)


class KopfPart:
    """kopf as a part of the process. Where it gives up (the API server is away), it begins again, ever more slowly."""

    def __init__(self, client: Client, kinds: Iterable[Kind], receive: ChangeReceiver) -> None:
        self._client, self._kinds, self._receive = client, tuple(kinds), receive

    def run(self, life: Life) -> None:
        """Run until the life is over."""
        backoff = Backoff(_FIRST_WAIT, _LONGEST_WAIT)
        while not life.is_set():
            begun = life.beaten
            try:
                asyncio.run(self._operate(life))
            except Exception as error:  # noqa: BLE001  whatever ended it, it begins again
                _log.error("kopf ended: %s: %s", type(error).__name__, error)
            if life.over:
                return
            if life.beaten - begun > _LONGEST_WAIT:
                backoff.reset()
            life.wait(backoff.next())

    async def _operate(self, life: Life) -> None:
        flag = asyncio.Event()

        async def beat() -> None:
            while not life.is_set():
                await asyncio.sleep(_BEAT_EVERY)
            flag.set()

        beating = asyncio.ensure_future(beat())
        try:
            await kopf.operator(
                registry=registry(self._client, self._kinds, self._receive),
                settings=settings(),
                standalone=True,
                clusterwide=True,
                stop_flag=flag,
            )
        finally:
            beating.cancel()
