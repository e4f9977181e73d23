"""Watches of what is served, through everything that can go wrong with them."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from iocaudit.cluster import watch
from iocaudit.cluster.api import EVERYWHERE, ListScope
from iocaudit.cluster.discovery import NOT_SERVED
from iocaudit.cluster.errors import ApiError, ExpiredError, ForbiddenError, UnreachableError
from iocaudit.cluster.watch import Sink, Watches
from iocaudit.core.kinds import CONFIG_MAP, LIMIT_RANGE, NAMESPACE, TRAEFIK_MIDDLEWARE, Kind
from iocaudit.core.resource import CLUSTER, Resource
from iocaudit.supervision.supervisor import Supervisor
from tests.support.api import FakeApi, Json


class Api(FakeApi):
    """Notes from which versions it is watched, and for how long."""

    def __init__(self) -> None:
        super().__init__()
        self.since: list[str] = []
        self.scopes: list[ListScope] = []
        self.lengths: list[int] = []

    def watch(
        self, kind: Kind, resource_version: str, *, scope: ListScope = EVERYWHERE, seconds: int = 240
    ) -> Iterator[tuple[str, Json]]:
        self.since.append(resource_version)
        self.scopes.append(scope)
        self.lengths.append(seconds)
        yield from super().watch(kind, resource_version, scope=scope, seconds=seconds)


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


@pytest.fixture
def supervisor() -> Iterator[Supervisor]:
    found = Supervisor(look_every=0.01, cut_off=lambda _code: None)
    found.start()
    yield found
    found.close()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "_FIRST_WAIT", 0.01)
    monkeypatch.setattr(watch, "_LONGEST_WAIT", 0.05)
    monkeypatch.setattr(watch, "_FORBIDDEN_RETRY", 0.05)


def test_only_what_is_served_is_watched_and_what_comes_later_is_found(supervisor: Supervisor) -> None:
    api, seen = Api(), Seen()
    api.put(LIMIT_RANGE, "one", "shop")
    watches = Watches(api, [LIMIT_RANGE, TRAEFIK_MIDDLEWARE], seen.sink(), supervisor)
    watches.look()
    wait_for(lambda: LIMIT_RANGE in seen.names, "the first list")
    assert seen.names == {LIMIT_RANGE: {"one"}, TRAEFIK_MIDDLEWARE: set()}, "not served: complete and empty"
    assert [part.name for part in supervisor.parts] == ["watch LimitRange"]
    assert asked(api, "middlewares") == 0
    assert watches.seconds_since_contact(TRAEFIK_MIDDLEWARE) < 20
    assert TRAEFIK_MIDDLEWARE.group not in seen.installed[-1]

    api.absent.discard((TRAEFIK_MIDDLEWARE.group, TRAEFIK_MIDDLEWARE.plural))
    api.put(TRAEFIK_MIDDLEWARE, "limit", "shop")
    watches.look()
    wait_for(lambda: seen.names[TRAEFIK_MIDDLEWARE] == {"limit"}, "the kind that was installed")
    assert TRAEFIK_MIDDLEWARE.group in seen.installed[-1]
    assert asked(api, "limitranges") == 1, "what is watched already is left alone"


def test_of_a_kind_with_a_scope_nothing_else_is_asked_for_and_all_of_it_is_kept(supervisor: Supervisor) -> None:
    api, seen, data = Api(), Seen(), dict[str, int]()

    def replace(_kind: Kind, resources: list[Resource]) -> None:
        data.update({one.name: len(one.raw["data"]["text"]) for one in resources})

    api.put(CONFIG_MAP, "ours", "iocaudit", metadata={"labels": {"wanted": "yes"}}, data={"text": "x" * 500_000})
    api.put(CONFIG_MAP, "unlabelled", "iocaudit", data={"text": "x"})
    api.put(CONFIG_MAP, "elsewhere", "shop", metadata={"labels": {"wanted": "yes"}}, data={"text": "x"})
    sink = dataclasses.replace(seen.sink(), replace=replace)
    scope = ListScope("iocaudit", "wanted=yes")
    Watches(api, [CONFIG_MAP], sink, supervisor, scopes={CONFIG_MAP: scope}).look()
    wait_for(lambda: bool(data) and bool(api.scopes), "the list and the watch")
    assert data == {"ours": 500_000}, "what checks look up is bounded; this is asked for by name and kept whole"
    assert api.scopes == [scope]
    assert {path for _, path in api.requests if path.endswith("configmaps")} == {
        "/api/v1/namespaces/iocaudit/configmaps"
    }


def test_a_kind_that_is_removed_ends_its_thread_and_is_empty(supervisor: Supervisor) -> None:
    api, seen = Api(), Seen()
    api.put(LIMIT_RANGE, "one", "shop")
    watches = Watches(api, [LIMIT_RANGE], seen.sink(), supervisor)
    watches.look()
    wait_for(lambda: LIMIT_RANGE in seen.names, "the first list")
    api.absent.add(("", "limitranges"))
    api.events.put(ApiError("watch", 500, "Gone", "the storage is gone"))
    wait_for(lambda: supervisor.parts == (), "the thread to end")
    watches.look()
    assert seen.names[LIMIT_RANGE] == set()


def test_changes_are_handed_on(supervisor: Supervisor) -> None:
    api, seen = Api(), Seen()
    watches = Watches(api, [NAMESPACE], seen.sink(), supervisor)
    watches.look()
    shop: dict[str, Any] = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}
    api.events.put(("ADDED", shop))
    wait_for(lambda: seen.names.get(NAMESPACE) == {"shop"}, "the new object")
    api.events.put(("DELETED", shop))
    wait_for(lambda: seen.names[NAMESPACE] == set(), "its end")


def test_an_unexpected_error_begins_the_watch_again_and_is_counted_and_logged(
    caplog: pytest.LogCaptureFixture, supervisor: Supervisor
) -> None:
    api, seen = Api(), Seen()
    watches = Watches(api, [LIMIT_RANGE], seen.sink(), supervisor, seen.failed.append)
    watches.look()
    wait_for(lambda: LIMIT_RANGE in seen.names, "the first list")
    api.put(LIMIT_RANGE, "later", "shop")
    api.events.put(RuntimeError("a bug"))
    wait_for(lambda: seen.names[LIMIT_RANGE] == {"later"}, "the list after the error")
    assert seen.failed == [LIMIT_RANGE]
    assert any("a bug" in str(record.exc_info) for record in caplog.records)


def test_what_may_not_be_read_is_incomplete_until_it_may(supervisor: Supervisor) -> None:
    api, seen = Api(), Seen()

    def refuse(_method: str, path: str) -> None:
        if path.endswith("limitranges"):
            raise ForbiddenError(f"GET {path}", 403, "Forbidden", "no right to list")

    api.before = refuse
    Watches(api, [LIMIT_RANGE], seen.sink(), supervisor).look()
    wait_for(lambda: "forbidden" in seen.lacking.get(LIMIT_RANGE, ""), "the reason")
    api.before = lambda _method, _path: None
    wait_for(lambda: LIMIT_RANGE in seen.names, "the list once it is allowed")
    assert not seen.lacking


def test_an_answer_that_is_no_list_is_incomplete_only_while_there_was_none(supervisor: Supervisor) -> None:
    api, seen = Api(), Seen()

    def fail(_method: str, path: str) -> None:
        if path.endswith("limitranges"):
            raise ApiError(f"GET {path}", 500, "InternalError", "conversion failed")

    api.before = fail
    Watches(api, [LIMIT_RANGE], seen.sink(), supervisor, seen.failed.append).look()
    wait_for(lambda: "conversion failed" in seen.lacking.get(LIMIT_RANGE, ""), "the reason")
    api.before = lambda _method, _path: None
    wait_for(lambda: LIMIT_RANGE in seen.names, "the list")
    known = len(seen.failed)
    api.before = fail
    api.events.put(ApiError("watch", 500, "InternalError", "conversion failed"))
    wait_for(lambda: len(seen.failed) > known + 1, "further failures")
    assert not seen.lacking, "the last good list holds"


def test_a_kind_that_is_served_only_in_another_version_is_incomplete(supervisor: Supervisor) -> None:
    newer = Kind("", "v2", "LimitRange", "limitranges")
    seen = Seen()
    Watches(Api(), [newer], seen.sink(), supervisor).look()
    assert seen.lacking == {newer: "served only as v1, which is not read"}
    assert newer not in seen.names


def test_discovery_itself_is_tried_again(supervisor: Supervisor) -> None:
    api, seen = Api(), Seen()

    def fail(_method: str, path: str) -> None:
        if path == "/apis":
            raise RuntimeError("a bug")

    api.before = fail
    Watches(api, [LIMIT_RANGE], seen.sink(), supervisor, seen.failed.append, period=0.01).start()
    wait_for(lambda: seen.failed[:2] == [None, None], "two failures")
    api.before = lambda _method, _path: None
    wait_for(lambda: LIMIT_RANGE in seen.names, "the list")


class Time:
    """Real time, and what the test adds to it."""

    def __init__(self) -> None:
        self.more = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.more


@pytest.fixture
def clock() -> Time:
    return Time()


@pytest.fixture
def looked_after(clock: Time) -> Iterator[Supervisor]:
    """A supervisor of that time, whose looks are the test's."""
    found = Supervisor(clock=clock, cut_off=lambda _code: None)
    yield found
    found.close()


def test_a_kind_of_which_nothing_is_heard_is_incomplete_until_it_is_loaded_again(
    clock: Time, looked_after: Supervisor
) -> None:
    """A connection that is alive and says nothing: the last list must not stay in force without a word."""
    api, seen = Api(), Seen()
    api.put(LIMIT_RANGE, "one", "shop")
    watches = Watches(api, [LIMIT_RANGE, TRAEFIK_MIDDLEWARE], seen.sink(), looked_after, clock=clock)
    watches.look()
    wait_for(lambda: LIMIT_RANGE in seen.names, "the first list")
    clock.more += watch.STALE - 5
    watches.check()
    assert seen.lacking == {}
    clock.more += 10
    watches.check()
    assert set(seen.lacking) == {LIMIT_RANGE, TRAEFIK_MIDDLEWARE}
    assert "has sent nothing about it for 6" in seen.lacking[LIMIT_RANGE]
    api.put(LIMIT_RANGE, "two", "shop")
    api.events.put(("BOOKMARK", {"metadata": {"resourceVersion": "7"}}))
    wait_for(lambda: seen.names[LIMIT_RANGE] == {"one", "two"}, "it to be loaded again")
    assert LIMIT_RANGE not in seen.lacking
    watches.look()
    assert seen.lacking == {}, "and that a kind is not served was heard again"


def test_a_kind_that_could_never_be_loaded_is_incomplete_too(clock: Time, looked_after: Supervisor) -> None:
    """Others must not wait for it: a webhook that restarts would never be ready."""
    api, seen, release = Api(), Seen(), threading.Event()

    def hang(_method: str, path: str) -> None:
        if path.endswith("limitranges"):
            release.wait(20)

    api.before = hang
    watches = Watches(api, [LIMIT_RANGE], seen.sink(), looked_after, clock=clock)
    watches.look()
    clock.more += watch.STALE + 1
    watches.check()
    assert LIMIT_RANGE in seen.lacking
    release.set()
    wait_for(lambda: LIMIT_RANGE in seen.names, "the list after all")


def test_a_watch_that_hangs_is_given_up_and_what_it_still_says_counts_for_nothing(
    clock: Time, looked_after: Supervisor
) -> None:
    api, seen, release = Api(), Seen(), threading.Event()
    sink = seen.sink()
    first = [True]

    def keep(raw: Json, kind: Kind) -> Resource:
        if first and raw["metadata"]["name"] == "late":
            first.clear()
            release.wait(20)
        return Resource(raw, CLUSTER, kind=kind)

    watches = Watches(api, [LIMIT_RANGE], dataclasses.replace(sink, keep=keep), looked_after, clock=clock)
    watches.look()
    wait_for(lambda: LIMIT_RANGE in seen.names, "the first list")
    late = {"metadata": {"name": "late", "namespace": "shop", "resourceVersion": "7"}}
    api.events.put(("ADDED", late))
    wait_for(lambda: not first, "the thread to hang")
    for _ in range(100):
        clock.more += 1.0
        looked_after.look()
    assert looked_after.hanging == 1
    (part,) = looked_after.parts
    assert part.restarts == 1
    api.events.put(("ADDED", {"metadata": {"name": "later", "namespace": "shop", "resourceVersion": "8"}}))
    wait_for(lambda: "later" in seen.names[LIMIT_RANGE], "the next thread to go on")
    release.set()
    wait_for(lambda: looked_after.hanging == 0, "the first thread to end")
    assert seen.names[LIMIT_RANGE] == {"later"}


def test_a_watch_goes_on_from_the_version_it_had_come_to(supervisor: Supervisor) -> None:
    api, seen = Api(), Seen()
    api.put(LIMIT_RANGE, "one", "shop")
    Watches(api, [LIMIT_RANGE], seen.sink(), supervisor).look()
    wait_for(lambda: LIMIT_RANGE in seen.names, "the first list")
    api.events.put(("BOOKMARK", {"metadata": {"resourceVersion": "777"}}))
    api.events.put(UnreachableError("away"))
    wait_for(lambda: api.since[-1] == "777", "the next watch")
    assert asked(api, "limitranges") == 1, "nothing was lost, so that nothing is listed"
    api.events.put(ExpiredError("watch", 410, "Expired", "too old"))
    wait_for(lambda: asked(api, "limitranges") == 2, "a list, as the version is too old")


def test_a_sink_that_begins_in_its_own_way_is_not_given_lists(supervisor: Supervisor) -> None:
    api, seen = Api(), Seen()
    api.put(LIMIT_RANGE, "one", "shop")
    sink = dataclasses.replace(seen.sink(), begin=lambda _kind: "55")
    seen.names[LIMIT_RANGE] = set()
    Watches(api, [LIMIT_RANGE], sink, supervisor).look()
    wait_for(lambda: api.since == ["55"], "the watch")
    api.events.put(("ADDED", {"metadata": {"name": "two", "resourceVersion": "56"}}))
    wait_for(lambda: seen.names[LIMIT_RANGE] == {"two"}, "the change")
    assert asked(api, "limitranges") == 0


def test_watches_are_short_enough_for_silence_to_be_noticed(supervisor: Supervisor) -> None:
    api, seen = Api(), Seen()
    Watches(api, [LIMIT_RANGE], seen.sink(), supervisor).look()
    wait_for(lambda: bool(api.lengths), "the watch")
    assert all(length + 15 < watch.STALE for length in api.lengths)


def test_what_is_required_is_followed_until_it_is_not(supervisor: Supervisor) -> None:
    api, seen = Api(), Seen()
    api.put(NAMESPACE, "shop")
    api.put(LIMIT_RANGE, "one", "shop")
    watches = Watches(api, [NAMESPACE], seen.sink(), supervisor, period=60.0)
    watches.start()
    wait_for(lambda: NAMESPACE in seen.names, "the kinds of the start")
    watches.require([LIMIT_RANGE, NAMESPACE])
    wait_for(lambda: seen.names.get(LIMIT_RANGE) == {"one"}, "the kind, without waiting for the next look")
    assert list(watches.kinds) == [NAMESPACE, LIMIT_RANGE]
    watches.require([])
    assert list(watches.kinds) == [NAMESPACE]
    wait_for(lambda: "watch LimitRange" not in [part.name for part in supervisor.parts], "its watch to end")
    assert "watch Namespace" in [part.name for part in supervisor.parts]
    watches.require([LIMIT_RANGE])
    wait_for(lambda: asked(api, "limitranges") == 2, "it to be listed anew")


def test_a_required_kind_by_a_name_that_nothing_is_served_by_is_incomplete(supervisor: Supervisor) -> None:
    unknown = Kind("acme.io", "", "Team", "teams")
    seen = Seen()
    watches = Watches(Api(), [], seen.sink(), supervisor)
    watches.require([unknown])
    watches.look()
    assert seen.lacking == {unknown: NOT_SERVED}
    assert supervisor.parts == ()


def test_of_a_required_kind_that_takes_too_much_nothing_is_held(
    supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "MOST_REQUIRED", 2_000)
    monkeypatch.setattr(watch, "_TOO_MANY_RETRY", 0.05)
    api, seen = Api(), Seen()
    for number in range(40):
        api.put(LIMIT_RANGE, f"range-{number}", "shop")
    watches = Watches(api, [], seen.sink(), supervisor)
    watches.require([LIMIT_RANGE])
    watches.look()
    wait_for(lambda: seen.lacking.get(LIMIT_RANGE) == "its objects take more than 2000 bytes", "it to be said")
    assert seen.names[LIMIT_RANGE] == set()
    for number in range(38):
        api.delete(LIMIT_RANGE, "shop", f"range-{number}")
    wait_for(lambda: seen.names[LIMIT_RANGE] == {"range-38", "range-39"}, "it to be followed once there is room")
