"""A policy that is written so that nobody made up is covered by it: whom it covers is found all the same."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iocaudit.core.request import Operation, Request, groups_of
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.engine.policy_reader import read_policy
from iocaudit.engine.policy_set import PolicySet
from iocaudit.engine.weakening import taken, taken_by_change, without

Json = dict[str, Any]
CATALOGUE = builtin_catalogue().select(("privileged-container", "host-pid"))
HARMLESS = {"kind": "Group", "name": "harmless"}
PEOPLE = ["".join(letters) for length in range(1, 5) for letters in itertools.product("ab", repeat=length)]
GROUPS: tuple[tuple[str, ...], ...] = ((), ("a",), ("ab",), ("ba", "b"))


def policy(name: str, mode: str, priority: int, **match: Any) -> Any:
    spec = {"priority": priority, "match": match, "checks": [{"ids": ["privileged-container"], "mode": mode}]}
    return read_policy({"metadata": {"name": name}, "spec": spec}, CATALOGUE)


def user(name: str) -> Json:
    return {"kind": "User", "name": name}


def users(names: str) -> list[Json]:
    return [user(name) for name in names.split()]


@pytest.mark.parametrize("decoy", [False, True])
@pytest.mark.parametrize(
    ("match", "covered"),
    [
        ({"subjects": [user("bob*")], "excludeSubjects": [user("bob?*")]}, "bob"),
        ({"subjects": [user("bob?")], "excludeSubjects": [user("bobx")]}, "boby"),
        ({"subjects": [user("*")], "excludeSubjects": [user("??*")]}, "q"),
        (
            {
                "subjects": [user("bob*")],
                "excludeSubjects": [*map(user, ("bobx", "bobzq9*", "bob0", "bobm-1", "bob*bob*"))],
            },
            "bobby",
        ),
        ({"excludeSubjects": [user("zq9-nobody")]}, "bob"),
        ({"excludeSubjects": [*map(user, ("zq9*", "*x*", "*0*", "*m-1*"))]}, "bob"),
        (
            {
                "excludeSubjects": [
                    *map(user, ("*0*", "*1*", "*2*", "*3*", "*4*", "*5*", "*6*", "*7*", "*8*", "*9*", "*-*"))
                ]
            },
            "bob",
        ),
        ({"subjects": [user("bob*")], "excludeSubjects": [user("bob?"), user("bob???*")]}, "bobby"),
        (
            {
                "subjects": [{"kind": "ServiceAccount", "namespace": "ci", "name": "*"}],
                "excludeSubjects": [{"kind": "ServiceAccount", "namespace": "*", "name": "??*"}],
            },
            "system:serviceaccount:ci:a",
        ),
    ],
)
def test_what_it_takes_away_is_told(match: Json, covered: str, *, decoy: bool) -> None:
    """Also where it covers somebody else, from whom it takes nothing away."""
    base = policy("base", "deny", 0, excludeSubjects=[HARMLESS])
    if decoy and "subjects" in match:
        match = {**match, "subjects": [*match["subjects"], HARMLESS]}
    hidden = policy("hidden", "off", 10, **match)
    assert hidden.covers(Request(Operation.CREATE, covered, groups_of(covered)))
    before = PolicySet(CATALOGUE, (base,))
    after = without(before, "hidden", hidden)
    assert taken_by_change(before, after, "hidden")
    guarded = PolicySet(CATALOGUE, (hidden,), preset=before.preset.GUARD)
    assert taken(hidden, guarded)


_subjects = st.lists(
    st.builds(
        lambda kind, name: {"kind": kind, "name": name},
        st.sampled_from(["User", "User", "Group"]),
        st.text("ab*?", min_size=1, max_size=4),
    ),
    min_size=1,
    max_size=3,
)


@given(_subjects | st.none(), _subjects | st.none(), _subjects | st.none())
@settings(max_examples=60, deadline=None)
def test_nobody_is_covered_unseen(
    named: list[Json] | None, excluded: list[Json] | None, spared: list[Json] | None
) -> None:
    """Everyone of a small world is asked: what a new policy takes away from any of them is told."""

    def match(**given: list[Json] | None) -> Json:
        return {field: value for field, value in given.items() if value is not None}

    base = policy("base", "deny", 0, **match(excludeSubjects=spared))
    hidden = policy("hidden", "off", 10, **match(subjects=named, excludeSubjects=excluded))
    before = PolicySet(CATALOGUE, (base,))
    after = without(before, "hidden", hidden)
    asked = (Request(Operation.CREATE, one, groups_of(one, some)) for one in PEOPLE for some in GROUPS)
    if any(hidden.covers(request) and base.covers(request) for request in asked):
        assert taken_by_change(before, after, "hidden")
