"""One store for every door: what changes one by one in the webhook and as a whole in the operator ends up the same."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.live.policies import PolicyStore
from iocaudit.live.waivers import WaiverStore

CATALOGUE = builtin_catalogue()
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
Json = dict[str, Any]
Store = PolicyStore | WaiverStore
NAMES = ("a", "b", "c")
BAD = "bad"
VERSIONS = ("host-pid", "host-ipc", BAD)


def policy(name: str, version: str) -> Json:
    spec: Json = {"checks": [{"ids": [version], "mode": "deny"}]} if version != BAD else {"chekcs": []}
    return {"metadata": {"name": name}, "spec": spec}


def waiver(name: str, version: str) -> Json:
    spec: Json = {"checks": [version], "namespaces": ["shop"], "owner": "o", "reason": "r"}
    spec["expires"] = "2026-12-24T00:00:00Z" if version != BAD else "never"
    return {"metadata": {"name": name, "creationTimestamp": "2026-11-20T00:00:00Z"}, "spec": spec}


def policies() -> PolicyStore:
    return PolicyStore(CATALOGUE)


def waivers() -> WaiverStore:
    return WaiverStore(CATALOGUE, clock=lambda: NOW)


def in_force(store: Store) -> dict[str, list[str]]:
    """By name, the checks that those in force name."""
    if isinstance(store, PolicyStore):
        return {one.name: sorted(one.rules[0].ids) for one in store.current.policies}
    return {one.name: sorted(one.checks) for one in store.current.all}


KINDS = pytest.mark.parametrize(("make", "raw"), [(policies, policy), (waivers, waiver)], ids=["policy", "waiver"])
EVENTS = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from((*VERSIONS, None))), max_size=12)


@KINDS
@given(events=EVENTS)
def test_single_changes_and_whole_lists_end_up_the_same(
    make: Callable[[], Store], raw: Callable[[str, str], Json], events: list[tuple[str, str | None]]
) -> None:
    single, whole = make(), make()
    there: dict[str, str] = {}
    good: dict[str, list[str]] = {}
    for name, version in events:
        before = in_force(single)
        if version is None:
            there.pop(name, None)
            good.pop(name, None)
            changed = single.remove(name)
        else:
            there[name] = version
            if version != BAD:
                good[name] = [version]
            elif make is waivers:
                good.pop(name, None)
            changed = single.put(raw(name, version))
        assert changed == (before != in_force(single))
        assert changed == whole.replace([raw(one, at) for one, at in there.items()])
        assert in_force(single) == in_force(whole) == good
        bad = {one for one, at in there.items() if at == BAD}
        assert single.refused.keys() == whole.refused.keys() == bad
        assert single.usable == whole.usable == len(there) - len(bad)


@KINDS
def test_what_was_read_of_it_is_never_changed_in_place(
    make: Callable[[], Store], raw: Callable[[str, str], Json]
) -> None:
    """The thread that serves metrics reads it while another one changes it."""
    store = make()
    store.replace([raw("a", "host-pid"), raw("b", BAD)])
    current, refused = store.current, store.refused
    store.put(raw("a", "host-ipc"))
    store.put(raw("c", BAD))
    store.remove("b")
    assert list(refused) == ["b"]
    assert store.current is not current
    assert list(store.refused) == ["c"]


@KINDS
def test_the_log_tells_of_each_mistake_once(
    make: Callable[[], Store], raw: Callable[[str, str], Json], caplog: pytest.LogCaptureFixture
) -> None:
    quiet = make()
    quiet.put(raw("a", BAD))
    assert not caplog.records, "the command line says it by itself"
    log = logging.getLogger("test")
    store = PolicyStore(CATALOGUE, log=log) if make is policies else WaiverStore(CATALOGUE, log=log)
    store.put(raw("a", "host-pid"))
    for _ in range(3):
        store.put(raw("a", BAD))
        store.replace([raw("a", BAD)])
    (record,) = caplog.records
    kept = "its last good version stays in force" if make is policies else "it is not in force"
    assert kept in record.getMessage()
    assert store.refused["a"] in record.getMessage()
