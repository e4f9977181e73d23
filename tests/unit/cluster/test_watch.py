"""Watches of what is served, through everything that can go wrong with them."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from iocaudit.cluster import watch
from iocaudit.cluster.errors import ApiError, ForbiddenError
from iocaudit.cluster.watch import Sink, Watches
from iocaudit.core.kinds import LIMIT_RANGE, NAMESPACE, TRAEFIK_MIDDLEWARE, Kind
from iocaudit.core.resource import Resource
from tests.unit.controller.fake_api import FakeApi, Json


class Api(FakeApi):
    """With watches, fed by ``events``; an exception in it is raised to the watcher."""

    def __init__(self) -> None:
        super().__init__()
        self.events: queue.Queue[tuple[str, Json] | Exception] = queue.Queue()

    def watch(
        self, kind: Kind, resource_version: str, *, namespace: str | None = None, seconds: int = 240
    ) -> Iterator[tuple[str, Json]]:
        while True:
            event = self.events.get()
            if isinstance(event, Exception):
                raise event
            yield event


class Seen:
    """What a sink was told."""

    def __init__(self) -> None:
        self.names: dict[Kind, set[str]] = {}
        self.lacking: dict[Kind, str] = {}
        self.installed: list[frozenset[str]] = []
        self.failed: list[Kind | None] = []

    def sink(self) -> Sink:
        def replace(kind: Kind, resources: list[Resource]) -> None:
            self.names[kind] = {resource.name for resource in resources}
            self.lacking.pop(kind, None)

        def put(resource: Resource) -> None:
            assert resource.kind is not None
            self.names[resource.kind].add(resource.name)

        def remove(resource: Resource) -> None:
            assert resource.kind is not None
            self.names[resource.kind].discard(resource.name)

        return Sink(replace, put, remove, self.lacking.__setitem__, self.installed.append)


def wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, f"waited for {what}"
        time.sleep(0.01)


def asked(api: FakeApi, plural: str) -> int:
    return sum(path.endswith(plural) for _, path in api.requests)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "_FIRST_WAIT", 0.01)
    monkeypatch.setattr(watch, "_LONGEST_WAIT", 0.05)
    monkeypatch.setattr(watch, "_FORBIDDEN_RETRY", 0.05)


def test_only_what_is_served_is_watched_and_what_comes_later_is_found() -> None:
    api, seen = Api(), Seen()
    api.put(LIMIT_RANGE, "one", "shop")
    watches = Watches(api, [LIMIT_RANGE, TRAEFIK_MIDDLEWARE], seen.sink())
    before = threading.active_count()
    watches.look()
    wait_for(lambda: LIMIT_RANGE in seen.names, "the first list")
    assert seen.names == {LIMIT_RANGE: {"one"}, TRAEFIK_MIDDLEWARE: set()}, "not served: complete and empty"
    assert threading.active_count() == before + 1
    assert asked(api, "middlewares") == 0
    assert watches.seconds_since_contact(TRAEFIK_MIDDLEWARE) < 20
    assert TRAEFIK_MIDDLEWARE.group not in seen.installed[-1]

    api.absent.discard((TRAEFIK_MIDDLEWARE.group, TRAEFIK_MIDDLEWARE.plural))
    api.put(TRAEFIK_MIDDLEWARE, "limit", "shop")
    watches.look()
    wait_for(lambda: seen.names[TRAEFIK_MIDDLEWARE] == {"limit"}, "the kind that was installed")
    assert TRAEFIK_MIDDLEWARE.group in seen.installed[-1]
    assert asked(api, "limitranges") == 1, "what is watched already is left alone"


def test_a_kind_that_is_removed_ends_its_thread_and_is_empty() -> None:
    api, seen = Api(), Seen()
    api.put(LIMIT_RANGE, "one", "shop")
    watches = Watches(api, [LIMIT_RANGE], seen.sink())
    before = threading.active_count()
    watches.look()
    wait_for(lambda: LIMIT_RANGE in seen.names, "the first list")
    api.absent.add(("", "limitranges"))
    api.events.put(ApiError("watch", 500, "Gone", "the storage is gone"))
    wait_for(lambda: threading.active_count() == before, "the thread to end")
    watches.look()
    assert seen.names[LIMIT_RANGE] == set()


def test_changes_are_handed_on() -> None:
    api, seen = Api(), Seen()
    watches = Watches(api, [NAMESPACE], seen.sink())
    watches.look()
    shop: dict[str, Any] = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}
    api.events.put(("ADDED", shop))
    wait_for(lambda: seen.names.get(NAMESPACE) == {"shop"}, "the new object")
    api.events.put(("DELETED", shop))
    wait_for(lambda: seen.names[NAMESPACE] == set(), "its end")


def test_an_unexpected_error_begins_the_watch_again_and_is_counted_and_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    api, seen = Api(), Seen()
    watches = Watches(api, [LIMIT_RANGE], seen.sink(), seen.failed.append)
    watches.look()
    wait_for(lambda: LIMIT_RANGE in seen.names, "the first list")
    api.put(LIMIT_RANGE, "later", "shop")
    api.events.put(RuntimeError("a bug"))
    wait_for(lambda: seen.names[LIMIT_RANGE] == {"later"}, "the list after the error")
    assert seen.failed == [LIMIT_RANGE]
    assert any("a bug" in str(record.exc_info) for record in caplog.records)


def test_what_may_not_be_read_is_incomplete_until_it_may() -> None:
    api, seen = Api(), Seen()

    def refuse(_method: str, path: str) -> None:
        if path.endswith("limitranges"):
            raise ForbiddenError(f"GET {path}", 403, "Forbidden", "no right to list")

    api.before = refuse
    Watches(api, [LIMIT_RANGE], seen.sink()).look()
    wait_for(lambda: "forbidden" in seen.lacking.get(LIMIT_RANGE, ""), "the reason")
    api.before = lambda _method, _path: None
    wait_for(lambda: LIMIT_RANGE in seen.names, "the list once it is allowed")
    assert not seen.lacking


def test_an_answer_that_is_no_list_is_incomplete_only_while_there_was_none() -> None:
    api, seen = Api(), Seen()

    def fail(_method: str, path: str) -> None:
        if path.endswith("limitranges"):
            raise ApiError(f"GET {path}", 500, "InternalError", "conversion failed")

    api.before = fail
    Watches(api, [LIMIT_RANGE], seen.sink(), seen.failed.append).look()
    wait_for(lambda: "conversion failed" in seen.lacking.get(LIMIT_RANGE, ""), "the reason")
    api.before = lambda _method, _path: None
    wait_for(lambda: LIMIT_RANGE in seen.names, "the list")
    known = len(seen.failed)
    api.before = fail
    api.events.put(ApiError("watch", 500, "InternalError", "conversion failed"))
    wait_for(lambda: len(seen.failed) > known + 1, "further failures")
    assert not seen.lacking, "the last good list holds"


def test_a_kind_that_is_served_only_in_another_version_is_incomplete() -> None:
    newer = Kind("", "v2", "LimitRange", "limitranges")
    seen = Seen()
    Watches(Api(), [newer], seen.sink()).look()
    assert seen.lacking == {newer: "served only as v1, which is not read"}
    assert newer not in seen.names


def test_discovery_itself_is_tried_again() -> None:
    api, seen = Api(), Seen()

    def fail(_method: str, path: str) -> None:
        if path == "/apis":
            raise RuntimeError("a bug")

    api.before = fail
    Watches(api, [LIMIT_RANGE], seen.sink(), seen.failed.append, period=0.01).start()
    wait_for(lambda: seen.failed[:2] == [None, None], "two failures")
    api.before = lambda _method, _path: None
    wait_for(lambda: LIMIT_RANGE in seen.names, "the list")
