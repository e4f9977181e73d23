"""The pods behind signals, also when they are gone."""

from collections.abc import Iterable

import pytest

from iocaudit.core.kinds import POD
from iocaudit.core.resource import Resource
from iocaudit.receivers import pod_index as module
from iocaudit.receivers.pod_index import PodIndex, PodsFormatError, Workload
from tests.support.audit_events import Json
from tests.support.signal_posts import CONTAINER, pod_object


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def kept(raw: Json) -> Resource:
    keep = PodIndex().sink().keep
    assert keep is not None
    return keep(raw, POD)


def pods_of(objects: Iterable[Json], clock: Clock | None = None) -> PodIndex:
    pods = PodIndex(clock or Clock())
    pods.sink().replace(POD, [kept(one) for one in objects])
    return pods


def test_a_pod_is_found_by_its_container_and_by_its_name() -> None:
    pods = pods_of([pod_object()])
    by_container = pods.by_container(CONTAINER[:12])
    assert by_container is not None
    assert by_container is pods.by_container(CONTAINER) is pods.by_name("shop", "web-5d9c7b8f6-x2x4z")
    assert (by_container.node, by_container.workload) == ("node-1", Workload("apps", "Deployment", "web"))
    assert pods.by_container(CONTAINER[:11]) is pods.by_container("") is pods.by_name("other", "web") is None


@pytest.mark.parametrize(
    ("owner", "workload"),
    [
        (None, Workload("", "Pod", "p")),
        ({"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db"}, Workload("apps", "StatefulSet", "db")),
        ({"apiVersion": "batch/v1", "kind": "Job", "name": "j"}, Workload("batch", "Job", "j")),
        ({"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "own"}, Workload("apps", "ReplicaSet", "own")),
        ({"kind": 7}, Workload("", "Pod", "p")),
    ],
)
def test_the_workload_is_the_top_level_owner(owner: Json | None, workload: Workload) -> None:
    raw = pod_object("p")
    raw["metadata"]["ownerReferences"] = [owner | {"controller": True}] if owner else None
    found = pods_of([raw]).by_name("shop", "p")
    assert found is not None
    assert found.workload == workload


def test_a_container_that_was_restarted_and_one_that_began_later_are_known() -> None:
    pods = pods_of([pod_object()])
    later = pod_object(container="f" * 64)
    later["status"]["containerStatuses"][0]["lastState"] = {"terminated": {"containerID": "cri-o://" + "e" * 64}}
    pods.sink().put(kept(later))
    assert {pods.by_container(one * 64) for one in "ef"} == {pods.by_container(CONTAINER)}


def test_a_pod_that_is_gone_is_known_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    pods = pods_of([pod_object()], clock)
    pods.sink().remove(kept(pod_object()))
    clock.now += module.GONE_SECONDS - 1
    assert pods.by_container(CONTAINER) is not None
    assert pods.by_name("shop", "web-5d9c7b8f6-x2x4z") is not None
    clock.now += 2
    assert pods.by_container(CONTAINER) is pods.by_name("shop", "web-5d9c7b8f6-x2x4z") is None
    monkeypatch.setattr(module, "MOST_GONE", 2)
    pods.sink().replace(POD, [kept(pod_object(f"p{number}", container=str(number) * 64)) for number in range(5)])
    pods.sink().replace(POD, [])
    assert [number for number in range(5) if pods.by_container(str(number) * 64)] == [3, 4]


def test_a_pod_of_the_same_name_takes_the_place_of_the_one_before() -> None:
    pods = pods_of([pod_object()])
    pods.sink().remove(kept(pod_object()))
    pods.sink().put(kept(pod_object(container="f" * 64)))
    found = pods.by_name("shop", "web-5d9c7b8f6-x2x4z")
    assert found is not None
    assert found.containers == ("f" * 64,)
    assert pods.by_container(CONTAINER) is not None


def test_what_is_lacking_is_said_until_pods_were_read() -> None:
    pods = PodIndex()
    assert pods.lacking
    pods.sink().incomplete(POD, "forbidden")
    assert pods.lacking == "forbidden"
    pods.sink().replace(POD, [])
    assert pods.lacking == ""


def test_of_a_pod_nothing_but_what_is_asked_is_kept() -> None:
    raw = pod_object()
    raw["spec"]["containers"][0]["env"] = [{"name": "PASSWORD", "value": "hunter2"}]
    raw["metadata"]["annotations"] = {"a": "hunter2"}
    assert "hunter2" not in str(kept(raw).raw)


def test_pods_are_known_after_a_restart_for_as_long_as_they_would_have_been() -> None:
    clock = Clock()
    pods = pods_of([pod_object("here", container="a" * 64), pod_object("gone", container="b" * 64)], clock)
    pods.sink().remove(kept(pod_object("gone")))
    kept_ones = pods.dump()
    assert kept_ones is not None
    assert pods.dump() is None, "nothing changed since"
    clock.now += module.GONE_SECONDS - 1
    again = PodIndex(clock)
    again.load(kept_ones)
    assert again.by_container("a" * 64) == pods.by_container("a" * 64)
    assert again.by_container("b" * 64) == pods.by_container("b" * 64)
    assert again.lacking, "what is there now was not read yet"
    clock.now += 2
    assert again.by_container("b" * 64) is None


@pytest.mark.parametrize("data", [b"", b"{", b"7", b"[1]", b"[[1, 2]]", b'[["x", "", "", "", [], []]]'])
def test_what_was_not_kept_by_it_is_refused(data: bytes) -> None:
    with pytest.raises(PodsFormatError, match="cannot be read"):
        PodIndex().load(data)
