"""The arithmetic of stages: time counts only while all is known, and only a step back undoes a promotion."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iocaudit.core.would_be_denied import ELSEWHERE, MOST_WHO, RolloutOutcome, RolloutRequester, RolloutTally
from iocaudit.engine.presets import Mode
from iocaudit.engine.rollout import WHOLE, Rollout, RolloutStage, RolloutState, order_of, progress_in
from iocaudit.engine.rollout_status import (
    MOST_HOLDS,
    RolloutCoverage,
    RolloutStatus,
    advance,
    begin,
    count,
    from_json,
    heartbeat,
    is_worth_writing,
    patience,
    step,
    to_json,
)

DAY = 86_400
WEEK = timedelta(days=7)
START = 1_800_000_000
ROLLOUT = Rollout(Mode.WARN, Mode.DENY, WEEK, fingerprint="f")
SHARED = ROLLOUT._replace(first=2000)
NAMES = [f"team-{number}" for number in range(20)]
FIRST, *_, LAST = sorted(NAMES, key=lambda name: order_of("p", name))
WHO = RolloutRequester("secret-access", "alice", "Role/reader")
DENIED, LOCKED_OUT = RolloutOutcome.WOULD_BE_DENIED, RolloutOutcome.LOCKED_OUT


def at(day: float) -> float:
    return START + day * DAY


def stepped(
    status: RolloutStatus, until: float, rollout: Rollout = ROLLOUT, since: float = 0.0, lacking: str = "", **more: Any
) -> RolloutStatus:
    status = advance(status, RolloutCoverage(since, at(until), lacking, frozenset({"one"})))
    return step(status, rollout, "p", more.get("namespaces", NAMES), cluster_scope=more.get("cluster_scope", True))


def counted(
    status: RolloutStatus, day: float, place: str, number: int, outcome: RolloutOutcome = DENIED, replica: str = "one"
) -> RolloutStatus:
    tally = RolloutTally(1, at(day), ((WHO, at(day)),))
    return count(status, "p", replica, number, {(place, outcome): tally}, at(day))[0]


def test_it_is_promoted_once_the_time_is_clean() -> None:
    status = stepped(begin(ROLLOUT, at(0)), 6.99)
    assert (status.stage, status.next_promotion) == (RolloutStage.COUNTING, at(7))
    status = stepped(status, 7)
    assert (status.stage, status.since) == (RolloutStage.PROMOTED, at(7))
    assert status.progress.standing("p", None) is RolloutState.TO
    assert "deny in every place that is not held" in status.reason


def test_the_first_share_goes_first_and_cluster_scope_last() -> None:
    status = stepped(begin(SHARED, at(0)), 7, SHARED)
    assert status.stage is RolloutStage.FIRST
    promoted = {name for name in NAMES if status.progress.standing("p", name) is RolloutState.TO}
    assert promoted == {name for name in NAMES if order_of("p", name) < 2000}
    assert FIRST in promoted
    assert status.progress.standing("p", None) is RolloutState.FROM
    assert stepped(status, 13.9, SHARED).stage is RolloutStage.FIRST
    assert stepped(status, 14, SHARED).stage is RolloutStage.PROMOTED


def test_the_first_share_holds_at_least_one_namespace_that_is_clean() -> None:
    rollout = ROLLOUT._replace(first=1)
    status = stepped(counted(begin(rollout, at(0)), 6, FIRST, 1), 7, rollout)
    second = sorted(NAMES, key=lambda name: order_of("p", name))[1]
    assert status.progress.standing("p", FIRST) is RolloutState.FROM
    assert status.progress.standing("p", second) is RolloutState.TO


def test_a_would_be_denial_holds_its_namespace_alone() -> None:
    status = stepped(counted(begin(ROLLOUT, at(0)), 6, LAST, 1), 7)
    assert status.stage is RolloutStage.PROMOTED
    assert status.progress.standing("p", LAST) is RolloutState.FROM
    assert status.progress.standing("p", FIRST) is RolloutState.TO
    assert status.next_promotion == at(13)
    assert f"would be denied within the time: {LAST}" in status.reason
    assert stepped(status, 12.9).progress.held == {LAST}
    assert stepped(status, 13).progress.held == frozenset()


def test_it_waits_while_something_would_be_denied_everywhere() -> None:
    status = begin(ROLLOUT, at(0))
    for number, name in enumerate((*NAMES, "")):
        status = counted(status, 5, name, number + 1)
    status = stepped(status, 8)
    assert status.stage is RolloutStage.COUNTING
    assert "something would be denied in every" in status.reason
    assert status.next_promotion == at(12)


def test_what_cannot_be_placed_holds_all() -> None:
    status = stepped(counted(begin(ROLLOUT, at(0)), 5, ELSEWHERE, 1), 8)
    assert status.stage is RolloutStage.COUNTING
    assert "no single namespace could be named" in status.reason
    assert stepped(status, 12).stage is RolloutStage.PROMOTED


def test_more_places_than_are_told_apart_hold_all() -> None:
    status = begin(ROLLOUT, at(0))
    for number in range(MOST_HOLDS + 1):
        status = counted(status, 5, f"n-{number}", number + 1)
    assert len(status.holds) == MOST_HOLDS
    assert stepped(status, 8).stage is RolloutStage.COUNTING


def test_time_in_which_not_all_is_known_does_not_count() -> None:
    status = stepped(begin(ROLLOUT, at(0)), 3)
    status = stepped(status, 3, lacking="no webhook replica reports")
    assert "the time does not count: no webhook replica reports" in status.reason
    assert status.next_promotion is None
    status = stepped(status, 8, since=at(6))
    assert (status.counted, status.stage) == (5 * DAY, RolloutStage.COUNTING)
    assert status.next_promotion == at(10)
    assert stepped(status, 9.99, since=at(6)).stage is RolloutStage.COUNTING
    assert stepped(status, 10, since=at(6)).stage is RolloutStage.PROMOTED


def test_nothing_is_promoted_while_nobody_knows_the_namespaces_or_it_matches_none() -> None:
    status = stepped(begin(ROLLOUT, at(0)), 9, namespaces=None)
    assert status.stage is RolloutStage.COUNTING
    status = stepped(status, 10, namespaces=[], cluster_scope=False)
    assert (status.stage, status.next_promotion) == (RolloutStage.COUNTING, None)
    assert "the policy matches nothing yet" in status.reason


PROMOTED = stepped(begin(ROLLOUT, at(0)), 7)


def test_what_was_counted_before_the_promotion_demotes_nobody() -> None:
    status = counted(PROMOTED, 6, LAST, 1)
    assert (status.holds, status.would_be_denied) == ({}, 1)


def test_a_step_back_holds_for_its_namespace_and_for_the_time() -> None:
    status = counted(PROMOTED, 8, FIRST, 1, LOCKED_OUT)
    assert status.progress.standing("p", FIRST) is RolloutState.BACK
    assert status.progress.standing("p", LAST) is RolloutState.TO
    status = stepped(status, 10)
    assert f"taken back: {FIRST}" in status.reason
    assert counted(status, 10, FIRST, 2).holds[FIRST].at == status.clock(at(10))
    assert stepped(status, 15.1).progress.standing("p", FIRST) is RolloutState.TO


@pytest.mark.parametrize(
    ("status", "day", "place", "refused"),
    [
        (PROMOTED, 8.0, "", "no namespace is concerned"),
        (PROMOTED, 8.0, ELSEWHERE, "no namespace is concerned"),
        (begin(ROLLOUT, at(0)), 1.0, LAST, "the namespace is not promoted any more"),
        (counted(PROMOTED, 8, FIRST, 1, LOCKED_OUT), 8.1, FIRST, "the namespace is not promoted any more"),
        (counted(PROMOTED, 8, FIRST, 1, LOCKED_OUT), 8.99, LAST, "there was a step back within a day"),
    ],
)
def test_a_step_back_is_refused_with_the_reason(status: RolloutStatus, day: float, place: str, refused: str) -> None:
    tally = RolloutTally(1, at(day), ((WHO, at(day)),))
    after, (asked,) = count(status, "p", "two", 9, {(place, LOCKED_OUT): tally}, at(day))
    assert asked.refused == refused
    assert after.progress == status.progress


def test_after_a_day_there_may_be_another() -> None:
    status = counted(counted(PROMOTED, 8, FIRST, 1, LOCKED_OUT), 9, LAST, 2, LOCKED_OUT)
    assert status.progress.back == {FIRST, LAST}


def test_a_step_back_keeps_the_rest_where_it_is() -> None:
    status = stepped(begin(SHARED, at(0)), 7, SHARED)
    status = counted(status, 12, FIRST, 1, LOCKED_OUT)
    status = stepped(status, 15, SHARED)
    assert status.stage is RolloutStage.FIRST
    assert "a namespace was taken back" in status.reason
    assert stepped(status, 19.1, SHARED).stage is RolloutStage.PROMOTED


def test_who_is_named_is_bounded_and_the_last() -> None:
    status = begin(ROLLOUT, at(0))
    for number in range(9):
        who = WHO._replace(user=f"user-{number}")
        tally = RolloutTally(1, at(number / 10), ((who, at(number / 10)),))
        status, _ = count(status, "p", "one", number + 1, {(LAST, DENIED): tally}, at(1))
    assert [who.user for who, _ in status.holds[LAST].who] == ["user-8", "user-7", "user-6"][:MOST_WHO]
    assert status.holds[LAST].count == 9


@pytest.mark.parametrize(("after", "seconds"), [(1, 2.0), (20, 2.0), (100, 10.0), (DAY, 30.0)])
def test_replicas_speak_within_a_tenth_of_the_time(after: int, seconds: float) -> None:
    assert heartbeat(timedelta(seconds=after)) == seconds
    assert patience(timedelta(seconds=after)) == 4 * seconds


# -- properties ----------------------------------------------------------------------------------------------

DELTAS = st.tuples(
    st.sampled_from(["one", "two", "three"]),
    st.dictionaries(
        st.tuples(st.sampled_from([*NAMES[:4], "", ELSEWHERE]), st.sampled_from(RolloutOutcome)),
        st.builds(
            lambda n, day, user: RolloutTally(n, at(day), ((WHO._replace(user=user), at(day)),)),
            st.integers(1, 3),
            st.floats(0, 20).map(lambda day: round(day, 3)),
            st.sampled_from(["alice", "bob"]),
        ),
        max_size=3,
    ),
)
TICKS = st.tuples(st.floats(0, 5), st.booleans())
STEPS = st.lists(st.one_of(DELTAS, TICKS), max_size=25)
ROLLOUTS = st.builds(
    lambda share, days: ROLLOUT._replace(first=share, after=timedelta(days=days)),
    st.sampled_from([1, 2000, 5000, WHOLE]),
    st.sampled_from([1, 3, 7]),
)


def lives(rollout: Rollout, steps: list[Any], restart: Any = lambda status, _: status) -> list[RolloutStatus]:
    """The statuses one after another; ``restart`` is what is left of one for the next."""
    status, day, known = begin(rollout, at(0)), 0.0, 0.0
    found = [status]
    numbers = dict.fromkeys(("one", "two", "three"), 0)
    for first, second in steps:
        if isinstance(first, str):
            numbers[first] += 1
            tallies = {key: replace(tally, last=min(tally.last, at(day))) for key, tally in second.items()}
            status, _ = count(status, "p", first, numbers[first], tallies, at(day))
        else:
            day += first
            if second:  # nobody knows what happened meanwhile
                known = day
            status = stepped(status, day, rollout, since=at(known))
        status = restart(status, rollout)
        found.append(status)
    return found


@given(ROLLOUTS, STEPS)
def test_a_promotion_is_undone_by_a_step_back_alone(rollout: Rollout, steps: list[Any]) -> None:
    for before, after in pairwise(lives(rollout, steps)):
        for name in (*NAMES[:4], None):
            was, now = before.progress.standing("p", name), after.progress.standing("p", name)
            if was is RolloutState.TO and now is not RolloutState.TO:
                assert now is RolloutState.BACK
                assert after.last_step_back
        assert list(RolloutStage).index(after.stage) >= list(RolloutStage).index(before.stage)
        assert len(after.progress.back) <= len(before.progress.back) + 1


@given(ROLLOUTS, STEPS)
def test_nothing_is_promoted_within_the_time_of_a_would_be_denial(rollout: Rollout, steps: list[Any]) -> None:
    after = rollout.after.total_seconds()
    found = lives(rollout, steps)
    for before, status in pairwise(found):
        for name in NAMES[:4]:
            was, now = before.progress.standing("p", name), status.progress.standing("p", name)
            if now is RolloutState.TO and was is not RolloutState.TO:
                hold = before.holds.get(name)
                assert hold is None or status.counted - hold.at >= after
                assert status.counted_until - START >= after - 1


@given(ROLLOUTS, STEPS)
def test_a_restart_at_any_point_changes_nothing(rollout: Rollout, steps: list[Any]) -> None:
    def restart(status: RolloutStatus, rollout: Rollout) -> RolloutStatus:
        stored = {"rollout": {key: value for key, value in to_json(status).items() if value is not None}}
        again = from_json(stored, rollout)
        assert again is not None
        judged = progress_in(stored, rollout.fingerprint)
        for name in (*NAMES, None):
            assert judged.standing("p", name) is status.progress.standing("p", name)
        return again

    assert [to_json(one) for one in lives(rollout, steps, restart)] == [to_json(one) for one in lives(rollout, steps)]


@given(st.lists(DELTAS, max_size=8), st.randoms(use_true_random=False))
def test_the_order_of_posts_decides_nothing(deltas: list[Any], random: Any) -> None:
    """Those of different replicas; each replica's own come by number."""
    posts: dict[str, list[Any]] = {"one": [], "two": [], "three": []}
    for replica, tallies in deltas:
        only = {key: tally for key, tally in tallies.items() if key[1] is DENIED}
        posts[replica].append((len(posts[replica]) + 1, only))
    start = stepped(begin(ROLLOUT, at(0)), 2)

    def taken(order: list[str]) -> Any:
        status, left = start, {name: list(each) for name, each in posts.items()}
        for replica in order:
            number, tallies = left[replica].pop(0)
            status, _ = count(status, "p", replica, number, tallies, at(20))
        return {key: value for key, value in to_json(status).items() if key != "replicas"}, dict(status.replicas)

    order = [name for name, each in posts.items() for _ in each]
    shuffled = list(order)
    random.shuffle(shuffled)
    assert taken(order) == taken(shuffled)


@given(ROLLOUTS, STEPS, st.integers(0, 24))
def test_a_post_that_comes_again_counts_once(rollout: Rollout, steps: list[Any], which: int) -> None:
    status = lives(rollout, steps)[min(which, len(steps))]
    for replica, number in status.replicas.items():
        tally = {(NAMES[0], DENIED): RolloutTally(5, at(1)), (NAMES[1], LOCKED_OUT): RolloutTally(1, at(1))}
        assert count(status, "p", replica, number, tally, at(20)) == (status, [])


@given(ROLLOUTS, st.lists(st.floats(0.0001, 0.01), max_size=30))
@settings(max_examples=30)
def test_nothing_is_written_while_nothing_changes(rollout: Rollout, steps: list[float]) -> None:
    """But progress, now and then, so that a crash costs little."""
    stored = stepped(begin(rollout, at(0)), 0.1, rollout)
    day, writes = 0.1, 0
    for one in steps:
        day += one
        after = stepped(stored, day, rollout)
        if is_worth_writing(stored, after, rollout):
            writes += 1
            stored = after
    assert writes <= (day - 0.1) / (rollout.after.days / 20) + 1
    assert is_worth_writing(None, stored, rollout)
    gap = stepped(stored, day, rollout, lacking="no webhook replica reports")
    assert is_worth_writing(stored, gap, rollout)


def test_what_came_while_no_time_counted_holds_for_the_time_from_then_on() -> None:
    """Not for as long again as no time counted."""
    status = stepped(begin(ROLLOUT, at(0)), 1)
    for place, number in (("team-1", 1), (ELSEWHERE, 2)):
        status = counted(status, 31, place, number)
    status = stepped(status, 31, since=at(31))
    assert (status.counted, status.holds["team-1"].at, status.elsewhere_at) == (DAY, DAY, DAY)
    assert status.next_promotion == at(38)
    assert stepped(status, 37.9).progress.cut == 0
    assert stepped(status, 38).stage is RolloutStage.PROMOTED


FAR = "9999-12-31T23:59:59-12:00"
MOST = 2**63 - 1


@pytest.mark.parametrize(
    "forged",
    [
        {"since": FAR},
        {"countedUntil": FAR},
        {"lastStepBack": FAR},
        {"counted": MOST},
        {"stageAt": MOST},
        {"elsewhereAt": MOST},
        {"stepBackAt": MOST},
        {"nextPromotion": FAR},
        {"holds": [{"namespace": "shop", "at": MOST}]},
        {"holds": [{"namespace": "shop", "at": 0, "last": FAR, "steppedBack": FAR}]},
        {"holds": [{"namespace": "shop", "at": 0, "who": [{"check": "c", "user": "u", "target": "t", "last": FAR}]}]},
    ],
    ids=str,
)
def test_a_status_of_which_someone_wrote_a_time_can_be_carried_on(forged: Any) -> None:
    """Anyone who may write statuses of policies can write this: the operator must not end of it."""
    stored = to_json(stepped(begin(ROLLOUT, at(0)), 1))
    read = from_json({"rollout": {key: value for key, value in stored.items() if value is not None} | forged}, ROLLOUT)
    status = begin(ROLLOUT, at(1)) if read is None else read
    for day in (2, 30):
        status = stepped(status, day)
        assert from_json({"rollout": to_json(status)}, ROLLOUT) is not None
