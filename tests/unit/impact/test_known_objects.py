"""The last state of each object, in as many bytes as are given."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from iocaudit.core.kinds import DEPLOYMENT, NAMESPACE, POD
from iocaudit.core.partial import PartialObject, lacks_of
from iocaudit.impact.known_objects import KnownObjects


def raw(name: str, generation: Any = 1, uid: str = "u", **more: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "generation": generation, "uid": uid, "managedFields": [1]}, **more}


def test_what_was_put_last_is_known() -> None:
    known = KnownObjects()
    known.put(POD, "shop", "a", raw("a", spec=1))
    known.put(POD, "shop", "a", raw("a", spec=2))
    found = known.get(POD, "shop", "a")
    assert found is not None
    assert (found["spec"], "managedFields" in found["metadata"]) == (2, False)
    assert known.get(DEPLOYMENT, "shop", "a") is None
    assert known.get(POD, "other", "a") is None
    known.forget(POD, "shop", "a")
    assert known.get(POD, "shop", "a") is None
    known.put(NAMESPACE, "shop", "shop", raw("shop"))
    assert known.get(NAMESPACE, None, "shop") is not None, "cluster scope has no namespace, whatever the log says"


def test_the_state_before_a_change_is_the_one_that_the_change_follows() -> None:
    known = KnownObjects()
    known.put(POD, "shop", "a", raw("a", 2))
    for generation, is_known in ((1, False), (2, True), (3, True), (4, False), (None, True), ("x", True)):
        assert (known.before(POD, "shop", "a", raw("a", generation)) is not None) == is_known, generation
    assert known.before(POD, "shop", "a", raw("a", 3, uid="other")) is None
    assert known.before(POD, "shop", "a", {}) is not None


def test_what_an_object_lacks_is_kept() -> None:
    known = KnownObjects()
    known.put(POD, "shop", "a", PartialObject(raw("a"), "spec nests too deep"))
    assert lacks_of(known.get(POD, "shop", "a")) == "spec nests too deep"


def test_what_nests_too_deep_is_not_known() -> None:
    deep: Any = 1
    for _ in range(400):
        deep = [deep]
    known = KnownObjects()
    known.put(POD, "shop", "a", raw("a"))
    known.put(POD, "shop", "a", raw("a", spec=deep))
    assert known.get(POD, "shop", "a") is None


@settings(max_examples=50, deadline=None)
@given(names=st.lists(st.sampled_from("abcdefgh"), max_size=40))
def test_there_is_room_for_the_latest(names: list[str]) -> None:
    known = KnownObjects(most_bytes=2000)
    for name in names:
        known.put(POD, "shop", name, raw(name))
        assert known.get(POD, "shop", name) is not None
        assert known._bytes <= 2000
        assert known._bytes >= 0
    latest = list(dict.fromkeys(reversed(names)))[:3]
    assert all(known.get(POD, "shop", name) is not None for name in latest)
    if len(set(names)) == 8:
        assert known.forgotten > 0
