"""kopf reads what we decoded: nothing that anybody may store ends it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import kopf
import pytest
from aiohttp import ClientSession, web
from hypothesis import given
from hypothesis import strategies as st
from kopf._cogs.clients import api
from kubernetes.client import Configuration

from iocaudit.cluster.client import Client
from iocaudit.controller.kopf_part import KopfPart, ShieldedResponse, _rewritten, settings
from iocaudit.controller.sweep import ObjectChange
from iocaudit.records.kinds import AUDIT_POLICY, GROUP
from iocaudit.supervision.part import Life

DEPTHS = (900, 3000, 9000)
Handle = Callable[[web.Request], Awaitable[web.StreamResponse]]


def policy(name: str, depth: int, version: str = "7") -> str:
    fields = '{"f:a":' * depth + "{}" + "}" * depth
    metadata = (
        f'{{"name":"{name}","uid":"u-{name}","resourceVersion":"{version}","managedFields":[{{"fieldsV1":{fields}}}]}}'
    )
    parameters = '{"a":' * depth + '"end"' + "}" * depth
    return f'{{"metadata":{metadata},"spec":{{"priority":5,"checks":[{{"parameters":{parameters}}}]}}}}'


async def answered(body: bytes, ask: Callable[[ClientSession, str], Awaitable[Any]], *, watch: bool = False) -> Any:
    """What is made of an answer that a server on loopback gives."""

    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        for start in range(0, len(body), 5000):  # in pieces, as they come
            await response.write(body[start : start + 5000])
        return response

    async with serving(handle) as url, ClientSession(response_class=ShieldedResponse) as session:
        return await ask(session, f"{url}/?watch=true" if watch else url)


class serving:
    def __init__(self, handle: Handle) -> None:
        self._app = web.Application()
        self._app.router.add_route("*", "/{path:.*}", handle)

    async def __aenter__(self) -> str:
        self._runner = web.AppRunner(self._app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        return f"http://{host}:{port}"

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()


async def as_list(session: ClientSession, url: str) -> Any:
    async with await session.get(url) as response:
        return await response.json()


async def as_watch(session: ClientSession, url: str) -> list[Any]:
    async with await session.get(url) as response:
        return [json.loads(line) async for line in api.iter_jsonlines(response.content)]


@pytest.mark.parametrize("depth", DEPTHS)
def test_a_deep_object_in_a_list_leaves_its_neighbours_as_they_are(depth: int) -> None:
    body = f'{{"metadata":{{"resourceVersion":"9"}},"items":[{policy("deep", depth)},{policy("plain", 1)}]}}'
    found = asyncio.run(answered(body.encode(), as_list))
    deep, plain = found["items"]
    assert (deep["metadata"]["name"], deep["spec"]["priority"]) == ("deep", 5)
    assert plain["spec"]["checks"] == [{"parameters": {"a": "end"}}]
    assert found["metadata"]["resourceVersion"] == "9"


@pytest.mark.parametrize("depth", DEPTHS)
def test_a_deep_object_in_a_watch_leaves_the_next_event_as_it_is(depth: int) -> None:
    lines = [f'{{"type":"MODIFIED","object":{policy(name, depth)}}}' for name in ("deep", "deeper")]
    lines.append(f'{{"type":"ADDED","object":{policy("plain", 1)}}}')
    found = asyncio.run(answered("".join(f"{line}\n" for line in lines).encode(), as_watch, watch=True))
    assert [(event["type"], event["object"]["metadata"]["name"]) for event in found] == [
        ("MODIFIED", "deep"),
        ("MODIFIED", "deeper"),
        ("ADDED", "plain"),
    ]
    assert found[0]["object"]["spec"]["priority"] == 5


def test_what_is_no_json_is_an_error_that_kopf_knows() -> None:
    with pytest.raises(json.JSONDecodeError):
        asyncio.run(answered(b"<html>", as_list))
    assert asyncio.run(answered(b'no\n{"type":"BOOKMARK","object":{}}\n\n', as_watch, watch=True)) == [
        {"type": "BOOKMARK", "object": {}}
    ]


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.text(max_size=5), VALUES, max_size=4), st.integers(0, 400))
def test_any_event_comes_through_as_json_that_kopf_can_read(content: dict[str, Any], depth: int) -> None:
    text = json.dumps({"type": "ADDED", "object": {**content, "deep": "X"}})
    line = text.replace('"X"', "[" * depth + "1" + "]" * depth).encode()
    event = json.loads(_rewritten(line))
    assert event["type"] == "ADDED"
    assert event["object"].keys() == {**content, "deep": 1}.keys()


class Server:
    """As much of an API server as kopf asks: discovery, one list, and a watch."""

    def __init__(self, *events: str) -> None:
        self.events, self.watched = events, 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        path = request.path
        if path == "/apis":
            versions = [{"version": "v1alpha1"}]
            group = {"name": GROUP, "versions": versions, "preferredVersion": versions[0]}
            return web.json_response({"groups": [group]})
        if path == "/api":
            return web.json_response({"versions": ["v1"]})
        if path in ("/api/v1", f"/apis/{GROUP}/v1alpha1"):
            kind, plural = ("Namespace", "namespaces") if path == "/api/v1" else ("AuditPolicy", "auditpolicies")
            one = {"name": plural, "kind": kind, "singularName": kind.lower(), "namespaced": False}
            return web.json_response({"resources": [{**one, "verbs": ["get", "list", "watch", "patch"]}]})
        if request.query.get("watch") != "true":
            body = f'{{"metadata":{{"resourceVersion":"5"}},"items":[{policy("deep", 3000, "4")}]}}'
            return web.Response(body=body, content_type="application/json")
        self.watched += 1
        response = web.StreamResponse()
        await response.prepare(request)
        for event in self.events if self.watched == 1 else ():
            await response.write(f"{event}\n".encode())
        await asyncio.sleep(30)
        return response


def test_kopf_itself_hands_on_what_follows_deep_objects() -> None:
    """The whole of it, with a deep object in the list and another before the event that is waited for."""
    changes: list[ObjectChange] = []
    server = Server(
        f'{{"type":"MODIFIED","object":{policy("deep", 3000)}}}',
        f'{{"type":"ADDED","object":{policy("plain", 1, "8")}}}',
        f'{{"type":"DELETED","object":{policy("plain", 1, "9")}}}',
    )

    async def scenario() -> None:
        async with serving(server.handle) as url:
            configuration = Configuration()
            configuration.host = url
            client = Client.__new__(Client)
            client._host = url
            client._api = type("Api", (), {"configuration": configuration})()
            life = Life(asyncio.get_running_loop().time, 60.0)
            part = KopfPart(client, (AUDIT_POLICY,), changes.append)
            running = asyncio.ensure_future(part._operate(life))
            async with asyncio.timeout(30):
                while len(changes) < 3 and not running.done():
                    await asyncio.sleep(0.05)
                life.end()
                await running

    asyncio.run(scenario())
    names = [(change.raw["metadata"]["name"], change.deleted) for change in changes]
    assert names == [("deep", False), ("plain", False), ("plain", True)]
    assert all(change.raw["kind"] == "AuditPolicy" for change in changes)


def test_kopf_watches_nothing_that_others_write_and_writes_nothing() -> None:
    found = settings()
    assert found.scanning.disabled
    assert not found.posting.enabled
    assert isinstance(found.persistence.progress_storage, kopf.ProgressStorage)
    assert found.watching.server_timeout is not None
    assert found.watching.inactivity_timeout < 60
