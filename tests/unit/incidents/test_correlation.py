"""What belongs together: the same in any order, attacks among a day's noise each by itself, and nothing else."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iocaudit.core.severity import IoC, Severity
from iocaudit.incidents.correlation import COMMON, MANY, Incident, incidents_of
from iocaudit.incidents.strand import StrandLog
from iocaudit.signals.detector import Detector
from iocaudit.signals.sighting import Sighting
from tests.support.noisy_day import BEGIN, NoisyDay
from tests.support.quiet_day import quiet_day
from tests.support.sightings import sighting

OTHER = IoC.FILESYSTEM_CHANGE
SIGHTINGS = st.lists(
    st.builds(
        sighting,
        minute=st.integers(min_value=0, max_value=900),
        rule=st.sampled_from("abcd"),
        account=st.sampled_from(["", "x", "y", "z"]),
        pod=st.sampled_from(["", "p", "q", "r"]),
        severity=st.sampled_from(Severity),
        ioc=st.sampled_from(IoC),
        is_sequence=st.booleans(),
    ),
    max_size=30,
)


def incidents(*sightings: Sighting) -> list[Incident]:
    log = StrandLog()
    for one in sightings:
        log.add(one)
    return incidents_of(log)


@given(sightings=SIGHTINGS, order=st.randoms(use_true_random=False))
def test_the_same_signals_in_any_order_give_the_same_incidents(sightings: list[Sighting], order: random.Random) -> None:
    shuffled = list(sightings)
    order.shuffle(shuffled)
    assert incidents(*sightings) == incidents(*shuffled)


@given(sightings=SIGHTINGS)
def test_no_strand_is_in_two_incidents_and_names_are_apart(sightings: list[Sighting]) -> None:
    found = incidents(*sightings)
    strands = [id(strand) for one in found for strand in one.strands]
    assert len(strands) == len(set(strands))
    assert len({one.name for one in found}) == len(found)
    assert all(one.severity >= Severity.MEDIUM for one in found)


def test_an_account_and_a_pod_tie_steps_together() -> None:
    [one] = incidents(
        sighting(0, "a", "x", "p"),
        sighting(40, "b", "x", "q", ioc=OTHER),
        sighting(80, "c", "", "q", severity=Severity.HIGH),
    )
    assert one.severity is Severity.HIGH
    assert (one.accounts, one.targets) == (("x",), ("shop/Pod/q", "shop/Pod/p"))
    assert (one.signals, one.indicators) == (3, (IoC.USER_ACTIVITY, OTHER))


def test_what_is_far_apart_in_time_or_has_nothing_in_common_is_not_one() -> None:
    assert incidents(sighting(0), sighting(200, "b", ioc=OTHER)) == []
    assert incidents(sighting(0, "a", "x", "p"), sighting(1, "b", "y", "q", ioc=OTHER)) == []
    assert incidents(sighting(0, "a", "x", ""), sighting(1, "b", "y", "", ioc=OTHER)) == []


def test_a_chain_of_steps_is_one_however_long() -> None:
    steps = [sighting(50 * step, "ab"[step % 2], ioc=(OTHER, IoC.DNS_ANOMALY)[step % 2]) for step in range(20)]
    [one] = incidents(*steps)
    assert one.signals == 20


def test_what_a_rule_says_of_everyone_opens_nothing_and_is_shown_beside() -> None:
    habit = [sighting(number, "noisy", f"user-{number % MANY}", f"p{number}") for number in range(COMMON + MANY)]
    assert incidents(*habit) == []
    attack = [sighting(5, "a", "x", "p5"), sighting(6, "b", "x", "p5", ioc=OTHER)]
    [one] = incidents(*habit, *attack)
    assert {strand.key.voice for strand in one.strands} == {"a", "b"}
    assert {strand.key.voice for strand in one.habits} == {"noisy"}


def test_what_a_rule_says_of_one_all_day_is_a_habit_of_that_one() -> None:
    all_day = [sighting(10 * number, "noisy") for number in range(60)]
    assert incidents(*all_day, sighting(300, "b", ioc=OTHER)) == []
    [one] = incidents(*all_day[:3], sighting(30, "b", ioc=OTHER))
    assert one.severity is Severity.HIGH


def test_a_sequence_and_proof_of_use_stand_by_themselves_unless_they_are_said_of_many() -> None:
    def seen(count: int) -> list[Incident]:
        return incidents(
            *(sighting(number, "s", f"user-{number}", f"p{number}", is_sequence=True) for number in range(count)),
            *(sighting(number, "c", f"other-{number}", f"q{number}", Severity.CRITICAL) for number in range(count)),
        )

    assert sorted(one.severity for one in seen(5)) == [Severity.MEDIUM] * 5 + [Severity.HIGH] * 5
    assert seen(COMMON) == []


@pytest.mark.parametrize(("seed", "tail"), [(1, 1.1), (2, 1.5), (3, 2.0)])
def test_each_attack_of_a_noisy_day_stands_by_itself(seed: int, tail: float) -> None:
    day = NoisyDay(seed, tail)
    attacks = day.attacks()
    signals = [*day.noise(), *(one for attack in attacks for one in attack.signals)]
    detector, log = Detector(), StrandLog()
    for signal in sorted(signals, key=lambda one: one.when or BEGIN):
        for one in detector.take(signal):
            log.add(one)
    found = incidents_of(log)
    assert len(found) <= 10
    for attack in attacks:
        [its] = [incident for incident in found if attack.account in incident.accounts]
        assert its.severity >= Severity.HIGH
        assert its.accounts == (attack.account,)
        assert any(target.endswith(attack.pod) for target in its.targets)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_day_of_controllers_pipelines_and_a_drain_is_no_incident(seed: int) -> None:
    detector, log = Detector(), StrandLog()
    for signal in quiet_day(seed):
        for one in detector.take(signal):
            log.add(one)
    assert incidents_of(log) == []
    assert {strand.severity for strand in log} <= {Severity.LOW}
