"""How severe it is that strands belong together."""

import pytest

from iocaudit.core.severity import IoC, Severity
from iocaudit.incidents.grade import FREQUENT, RARE, UNCOMMON, grade, indicators_of
from iocaudit.incidents.strand import StrandLog
from iocaudit.signals.sighting import Sighting
from tests.support.sightings import sighting

LOW, MEDIUM, HIGH, CRITICAL = Severity
OTHER = IoC.FILESYSTEM_CHANGE


def graded(*sightings: Sighting, weight: int = RARE) -> Severity | None:
    log = StrandLog()
    for one in sightings:
        log.add(one)
    return grade(list(log), {one.rule: weight for one in sightings})


@pytest.mark.parametrize(
    ("sightings", "wanted"),
    [
        ([sighting(0)], None),
        ([sighting(minute) for minute in range(50)], None),
        ([sighting(0), sighting(1, "b", severity=LOW, ioc=OTHER)], None),
        ([sighting(0), sighting(1, "b")], MEDIUM),
        ([sighting(0), sighting(1, "b", ioc=OTHER)], HIGH),
        ([sighting(0, severity=HIGH)], MEDIUM),
        ([sighting(0, severity=CRITICAL)], HIGH),
        ([sighting(0, severity=CRITICAL), sighting(1, "b", ioc=OTHER)], CRITICAL),
        ([sighting(0, is_sequence=True)], MEDIUM),
        ([sighting(0, severity=HIGH, is_sequence=True)], HIGH),
        ([sighting(0, severity=CRITICAL, is_check=True)], None),
        ([sighting(0), sighting(1, "b", severity=CRITICAL, ioc=OTHER, is_check=True)], None),
    ],
)
def test_one_rule_is_never_high_and_two_indicators_are(sightings: list[Sighting], wanted: Severity | None) -> None:
    assert graded(*sightings) == wanted


@pytest.mark.parametrize(("weight", "rules", "wanted"), [(UNCOMMON, 2, None), (UNCOMMON, 3, HIGH), (FREQUENT, 4, None)])
def test_rules_that_are_heard_of_many_need_more_to_agree(weight: int, rules: int, wanted: Severity | None) -> None:
    seen = [sighting(number, "abcd"[number], ioc=(OTHER, IoC.USER_ACTIVITY)[number % 2]) for number in range(rules)]
    assert graded(*seen, weight=weight) == wanted


def test_indicators_are_those_of_signals() -> None:
    log = StrandLog()
    log.add(sighting(0))
    log.add(sighting(0, "b", ioc=OTHER, is_check=True))
    assert indicators_of(log) == (IoC.USER_ACTIVITY,)
