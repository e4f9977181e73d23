"""What the operator's watches begin with, and what they hand on."""

from __future__ import annotations

import pytest

from iocaudit.cluster.watch import whole
from iocaudit.controller.changes import Changes
from iocaudit.controller.policies import Policies
from iocaudit.controller.publisher import Publisher
from iocaudit.controller.sweep import ClusterAuditor, ObjectChange
from iocaudit.controller.worker import Worker
from iocaudit.core.kinds import POD, TRAEFIK_MIDDLEWARE, Kind
from iocaudit.core.resource import Resource
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.records.kinds import AUDIT_POLICY, GROUP, IOC_WAIVER
from iocaudit.supervision.supervisor import Supervisor
from tests.support.api import FakeApi

CATALOGUE = builtin_catalogue()


class Setting:
    def __init__(self) -> None:
        self.api = FakeApi()
        self.api.put(POD, "spy", "shop", spec={"hostPID": True, "containers": []})
        self.cluster = ClusterAuditor(self.api, CATALOGUE, Publisher(self.api, CATALOGUE), Policies(CATALOGUE))
        self.worker = Worker(self.cluster, period=600)
        self.received: list[ObjectChange] = []
        self.installed = 0
        self.changes = Changes(
            self.api, (POD, AUDIT_POLICY, TRAEFIK_MIDDLEWARE), self.worker, Supervisor(), self._take, print, self._count
        )
        self.sink = self.changes.watches._sink

    def _take(self, change: ObjectChange) -> None:
        self.received.append(change)

    def _count(self) -> None:
        self.installed += 1

    def begin(self, kind: Kind) -> str:
        assert self.sink.begin is not None
        return self.sink.begin(kind)

    @property
    def sweep_is_wanted(self) -> bool:
        return self.worker._sweep_at < 10_000.0


@pytest.fixture
def setting() -> Setting:
    found = Setting()
    found.cluster.sweep()
    found.worker._sweep_at = 1e12
    found.cluster.swept_at, found.cluster.duration = 5000.0, 1.0
    return found


def test_it_begins_with_the_sweeps_version_and_lists_nothing(setting: Setting) -> None:
    before = len(setting.api.requests)
    assert int(setting.begin(POD)) >= 101
    assert len(setting.api.requests) == before
    assert not setting.sweep_is_wanted


def test_where_that_is_too_old_it_begins_with_the_latest_and_a_sweep_reads_what_lies_between(setting: Setting) -> None:
    first = setting.begin(POD)
    setting.api.put(POD, "later", "shop")
    assert int(setting.begin(POD)) > int(first)
    assert setting.sweep_is_wanted


def test_policies_are_read_again_by_themselves(setting: Setting) -> None:
    api, seen = setting.api, len(setting.api.requests)
    setting.begin(AUDIT_POLICY)
    setting.begin(IOC_WAIVER)
    setting.worker.apply_pending()
    paths = [path.rpartition("/")[2] for _, path in api.requests[seen:]]
    assert {"auditpolicies", "iocwaivers"} <= set(paths)
    assert not setting.sweep_is_wanted
    assert setting.cluster.inventory.get("") is None


def test_a_kind_that_goes_takes_its_objects_along(setting: Setting) -> None:
    setting.sink.replace(TRAEFIK_MIDDLEWARE, [])
    assert not setting.sweep_is_wanted, "it was never there"
    setting.begin(POD)
    setting.sink.replace(POD, [])
    assert setting.sweep_is_wanted


def test_changes_are_handed_on_whole(setting: Setting) -> None:
    raw = {"metadata": {"name": "spy", "uid": "u", "managedFields": []}, "status": {"phase": "Running"}}
    setting.sink.put(whole(raw, POD))
    setting.sink.remove(whole({"metadata": {"name": "old"}}, POD))
    put, removed = setting.received
    assert (put.kind, put.deleted, put.raw) == (POD, False, {"apiVersion": "v1", "kind": "Pod", **raw})
    assert (removed.deleted, removed.raw["kind"]) == (True, "Pod")
    assert isinstance(whole(raw, POD), Resource)


def test_that_our_own_kinds_came_is_told_once(setting: Setting) -> None:
    for groups in (frozenset[str](), frozenset[str](), frozenset({GROUP}), frozenset({GROUP})):
        setting.sink.install(groups)
    assert setting.installed == 1
