"""Incidents over time: names that stay, states by stated rules, and the same in whatever order signals arrive."""

import random
from collections import Counter
from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from iocaudit.core.severity import IoC, Severity
from iocaudit.incidents.book import HABIT, HORIZON, QUIET, IncidentBook
from iocaudit.incidents.correlation import COMMON, MANY, incidents_of
from iocaudit.incidents.strand import Strand, StrandLog, strand_of
from iocaudit.records.incident import IncidentRecord, IncidentState
from iocaudit.signals.sighting import Sighting
from tests.support.sightings import BEGIN, sighting
from tests.unit.incidents.test_correlation import SIGHTINGS

OTHER = IoC.FILESYSTEM_CHANGE


def strand(one: Sighting) -> Strand:
    assert one.signal.when is not None
    locus = one.signal.locus
    return strand_of(one, one.signal.when, one.signal.account.username, locus.namespace, locus.target)


def at(minute: int) -> datetime:
    return BEGIN + timedelta(minutes=minute)


class Diary:
    """A book, and what it told last of each incident."""

    def __init__(self) -> None:
        self.book = IncidentBook()
        self.last: dict[str, IncidentRecord] = {}
        self.writes = 0

    def take(self, *sightings: Sighting) -> None:
        for one in sightings:
            self.book.put(strand(one))

    def look(self, minute: int) -> list[IncidentRecord]:
        told = self.book.look(at(minute))
        self.last |= {one.name: one for one in told}
        self.writes += len(told)
        return told

    def restarted(self) -> None:
        kept = self.book.dump()
        self.book = IncidentBook()
        self.book.load(kept)


ATTACK = (sighting(0, "a", "x", "p"), sighting(10, "b", "x", "q", ioc=OTHER))


def test_an_incident_is_opened_told_again_when_it_changes_and_closed() -> None:
    diary = Diary()
    diary.take(*ATTACK)
    [opened] = diary.look(10)
    assert (opened.state, opened.severity, opened.signals) == (IncidentState.OPEN, Severity.HIGH, 2)
    assert diary.look(11) == []
    diary.take(sighting(12, "c", "x", "q", severity=Severity.CRITICAL, ioc=IoC.DNS_ANOMALY))
    [raised] = diary.look(12)
    assert (raised.name, raised.severity, raised.opened) == (opened.name, Severity.CRITICAL, opened.opened)
    assert diary.look(72) == []
    [closed] = diary.look(73)
    assert (closed.name, closed.state, closed.reason) == (opened.name, IncidentState.CLOSED, QUIET)
    assert diary.look(74) == []


def test_what_is_only_counted_is_told_ever_more_rarely() -> None:
    diary = Diary()
    diary.take(*ATTACK)
    diary.look(10)
    for minute in range(11, 60):
        diary.take(sighting(minute, "a", "x", "p"))
        diary.look(minute)
    assert 6 <= diary.writes <= 10
    assert diary.look(600)[0].signals == 51


def test_a_signal_that_comes_late_opens_it_again_and_an_earlier_one_does_not_rename_it() -> None:
    diary = Diary()
    diary.take(*ATTACK)
    [opened] = diary.look(10)
    diary.look(100)
    diary.take(sighting(-20, "d", "x", "p"), sighting(65, "a", "x", "q"))
    [again] = diary.look(101)
    assert (again.name, again.state, again.first) == (opened.name, IncidentState.OPEN, at(-20))


def test_two_that_turn_out_to_be_one_are_merged_into_the_older() -> None:
    diary = Diary()
    diary.take(*ATTACK)
    [older] = diary.look(10)
    diary.take(sighting(11, "a", "y", "r"), sighting(12, "b", "y", "r", ioc=OTHER))
    [younger] = diary.look(12)
    diary.take(sighting(13, "c", "y", "p"))
    told = {one.name: one for one in diary.look(13)}
    assert told[younger.name].state is IncidentState.MERGED
    assert told[younger.name].merged_into == older.name
    assert told[older.name].state is IncidentState.OPEN
    assert told[older.name].accounts == ("y", "x")


def test_what_turns_out_to_be_a_habit_is_closed_and_says_so() -> None:
    diary = Diary()
    diary.take(sighting(0, "s", "x", "p", severity=Severity.HIGH))
    [opened] = diary.look(0)
    assert opened.severity is Severity.MEDIUM
    diary.take(*(sighting(1, "s", f"user-{number % MANY}", f"p{number}") for number in range(COMMON + MANY)))
    [closed] = diary.look(2)
    assert (closed.name, closed.state, closed.reason) == (opened.name, IncidentState.CLOSED, HABIT)


def test_what_was_closed_a_day_ago_is_forgotten_with_what_it_consists_of() -> None:
    diary = Diary()
    diary.take(*ATTACK, sighting(5, "noise", "z", "z", severity=Severity.LOW))
    diary.look(10)
    day = int(HORIZON.total_seconds() // 60)
    diary.look(100)
    assert (len(diary.book), diary.book.strands) == (1, 3)
    diary.take(sighting(day + 9, "noise", "z", "z", severity=Severity.LOW))
    diary.look(day + 9)
    assert (len(diary.book), diary.book.strands) == (1, 3), "what an incident consists of is held"
    diary.look(day + 12)
    diary.take(sighting(day + 13, "noise", "z", "z", severity=Severity.LOW))
    diary.look(day + 13)
    assert (len(diary.book), diary.book.strands) == (0, 1)


def test_where_there_is_no_room_the_oldest_goes_and_never_what_an_incident_consists_of() -> None:
    book = IncidentBook(most=20)
    for one in ATTACK:
        book.put(strand(one))
    book.look(at(10))
    for number in range(100):
        book.put(strand(sighting(20 + number, f"rule-{number}", f"u{number}", f"p{number}", severity=Severity.LOW)))
        book.look(at(20 + number))
    assert book.strands <= 20
    assert book.forgotten > 0
    assert len(book) == 1
    [known] = book.again()
    assert known.step_count == 2


@settings(max_examples=60)
@given(sightings=SIGHTINGS, order=st.randoms(use_true_random=False))
def test_in_whatever_order_signals_arrive_the_incidents_are_the_same(
    sightings: list[Sighting], order: random.Random
) -> None:
    now = 901
    log = StrandLog()
    for one in sightings:
        log.put(strand(one))
    wanted = Counter((one.severity, one.signals, one.first, one.last, one.accounts) for one in incidents_of(log))
    shuffled = list(sightings)
    order.shuffle(shuffled)
    diary = Diary()
    for one in shuffled:
        diary.take(one)
        if order.random() < 0.3:
            diary.look(now)
        if order.random() < 0.1:
            diary.restarted()
    diary.book.put(strand(sighting(now, "other", "other", "other", severity=Severity.LOW)))
    for later in (now, now + 60):  # what was only counted is told then
        diary.look(later)
    found = [one for one in diary.last.values() if one.reason in ("", QUIET) and one.merged_into == ""]
    assert Counter((one.severity, one.signals, one.first, one.last, one.accounts) for one in found) == wanted


@given(sightings=SIGHTINGS)
def test_a_restart_changes_nothing(sightings: list[Sighting]) -> None:
    diary = Diary()
    diary.take(*sightings)
    diary.look(905)
    before = diary.book.again()
    diary.restarted()
    assert diary.book.again() == before
    assert diary.book.look(at(905)) == []
