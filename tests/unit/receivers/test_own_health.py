"""Indicators that nobody sees, an operator that takes nothing, and the time that receivers were down."""

from pathlib import Path

import pytest

from iocaudit.receivers.outbox import Outbox
from iocaudit.receivers.own_health import UNHEARD_AFTER, OwnHealth
from iocaudit.receivers.senders import Sender
from iocaudit.signals.signal import SignalSource
from tests.support.health import BEGIN, HealthSetting
from tests.support.signal_posts import Parts, sender

API = sender("api", "*")
FALCO, ALERTS = sender("falco", source=SignalSource.FALCO), sender("alerts", source=SignalSource.ALERTMANAGER)


class Watched(HealthSetting):
    def __init__(self, outbox: Outbox, *senders: Sender, follows_log: bool = False) -> None:
        super().__init__(*senders)
        self.health = OwnHealth(self.in_force, outbox, self.troubles, follows_log=follows_log, clock=self.clock)


@pytest.fixture
def parts(tmp_path: Path) -> Parts:
    return Parts(tmp_path)


@pytest.mark.parametrize(
    ("senders", "log", "unseen"),
    [
        ([API], False, (1, 2, 6, 7, 8, 9)),
        ([FALCO], False, (1, 3, 4, 5, 8, 10)),
        ([FALCO], True, (1, 8)),
        ([ALERTS], False, (3, 4, 6, 9)),
        ([API, FALCO, ALERTS], False, None),
    ],
)
def test_indicators_that_no_sender_sees_are_named(
    parts: Parts, senders: list[Sender], log: bool, unseen: tuple[int, ...] | None
) -> None:
    watched = Watched(parts.outbox, *senders, follows_log=log)
    watched.health.look()
    assert [one.iocs for one in watched] == ([unseen] if unseen else [])


def test_a_source_that_is_added_ends_it_and_one_that_is_missing_still_is_named(parts: Parts) -> None:
    watched = Watched(parts.outbox, API)
    watched.health.look()
    [told] = watched.said()
    assert told.message == (
        "no sender in the file of senders sees the indicators 1, 2, 6, 7, 8, 9: add one of alertmanager and of falco"
    )
    watched.senders = [API, ALERTS]
    watched.health.look()
    [told] = watched.said()
    assert told.message.endswith("the indicators 6, 9: add one of falco")
    watched.senders = [API, ALERTS, FALCO]
    watched.health.look()
    assert watched.said()[0].message.endswith("each indicator has a sender")


def test_an_operator_that_takes_nothing_is_told_of_and_when_it_takes_again(parts: Parts) -> None:
    watched = Watched(parts.outbox, API, FALCO, ALERTS)
    post = parts.outbox.next_post()
    watched.health.look()
    watched.now += UNHEARD_AFTER
    watched.health.look()
    assert watched.said() == []
    watched.now += 1
    watched.health.look()
    [told] = watched.said()
    assert told.message == "the operator has taken nothing since 2026-11-30T10:00:00Z; what is seen is kept here"
    parts.outbox.stored(post.number)
    watched.health.look()
    [told] = watched.said()
    assert told.message == "over (it lasted from 2026-11-30T10:01:01Z): the operator takes what is seen"
    watched.now += 600
    watched.health.look()
    assert watched.said() == []


def test_what_senders_sent_while_nobody_listened_is_lost_as_far_as_they_do_not_repeat_it(parts: Parts) -> None:
    watched = Watched(parts.outbox, API, FALCO, ALERTS)
    watched.health.was_down(BEGIN - 30)
    [told] = watched.said()
    assert told.message == (
        "the receivers were down from 2026-11-30T09:59:30Z to 2026-11-30T10:00:00Z: what falco sent meanwhile is lost "
        "(falco)"
    )
    assert told.iocs == (2, 6, 7, 9)
    watched.health.was_down(BEGIN - 120)
    assert [one.name for one in watched] == ["api", "falco"]
    watched.health.was_down(BEGIN - 1)
    assert watched.said() == []
