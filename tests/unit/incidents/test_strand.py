"""Strands: the same in whatever order sightings arrive, and bounded."""

import random
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from iocaudit.core.severity import Severity
from iocaudit.incidents.strand import WINDOW, Strand, StrandLog
from iocaudit.signals.detector import Detector
from iocaudit.signals.sighting import Sighting
from tests.support.noisy_day import alert, session
from tests.support.sightings import BEGIN, sighting

SIGHTINGS = st.lists(
    st.builds(
        sighting,
        minute=st.integers(min_value=0, max_value=600),
        rule=st.sampled_from("abc"),
        account=st.sampled_from(["", "x", "y"]),
        pod=st.sampled_from(["p", "q"]),
        severity=st.sampled_from(Severity),
    ),
    max_size=25,
)


def strands(sightings: list[Sighting]) -> list[Strand]:
    log = StrandLog()
    for one in sightings:
        log.add(one)
    return list(log)


@given(sightings=SIGHTINGS, order=st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_matter(sightings: list[Sighting], order: random.Random) -> None:
    shuffled = list(sightings)
    order.shuffle(shuffled)
    assert strands(sightings) == strands(shuffled)


@given(sightings=SIGHTINGS)
def test_nothing_is_lost_and_strands_of_one_key_are_apart(sightings: list[Sighting]) -> None:
    found = strands(sightings)
    assert sum(one.count for one in found) == len(sightings)
    for one in found:
        assert one.first <= one.last
        for other in found:
            if one.key == other.key and one.first < other.first:
                assert other.first - one.last > WINDOW


def test_a_sighting_between_two_strands_joins_them() -> None:
    apart = [sighting(0), sighting(100)]
    assert len(strands(apart)) == 2
    [one] = strands([*apart, sighting(50)])
    assert (one.count, one.last - one.first) == (3, timedelta(minutes=100))


def test_it_says_the_first_of_the_worst() -> None:
    [one] = strands(
        [sighting(0, severity=Severity.LOW), sighting(9, severity=Severity.HIGH), sighting(5, severity=Severity.HIGH)]
    )
    assert (one.severity, one.said.when) == (Severity.HIGH, BEGIN + timedelta(minutes=5))


def test_rules_of_a_sender_are_told_apart_though_one_detection_takes_them() -> None:
    detector = Detector()
    when = datetime(2026, 11, 30, tzinfo=UTC)
    signals = [alert(rule, "shop", "p", when, "warning") for rule in ("write below etc", "write below root")]
    found = strands([seen for signal in [*signals, session("x", "shop", "p", when)] for seen in detector.take(signal)])
    assert {one.key.voice for one in found} == {
        "falco-file: write below etc",
        "falco-file: write below root",
        "session-opened",
    }


def test_what_has_no_time_or_no_room_is_counted() -> None:
    log = StrandLog(most=2)
    for pod in "abc":
        log.add(sighting(0, pod=pod))
    log.add(sighting(1, pod="a"))
    log.add(sighting(None))
    assert (len(log), log.beyond, log.timeless) == (2, 1, 1)
    assert sum(one.count for one in log) == 3
