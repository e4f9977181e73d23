"""A sender that falls silent, whose clock is off, or whose level is too low, is told of, and not again and again."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from iocaudit.evidence.key import EvidenceKey, EvidenceTally
from iocaudit.receivers.sender_health import SenderHealth
from iocaudit.receivers.senders import Sender, Senders
from iocaudit.receivers.troubles import AGAIN, OVER_AFTER, Troubles
from iocaudit.signals.audit_event import LinePlace, read_event
from iocaudit.signals.falco import read_alert
from iocaudit.signals.signal import Signal, signal_of
from tests.support.audit_events import Json, event
from tests.support.signal_posts import falco_alert, sender

PLACE = LinePlace("b", 1)
BEGIN = datetime(2026, 11, 30, 10, tzinfo=UTC).timestamp()


class Setting:
    """Two senders, of which one is missed after a minute; ``told`` are ids with what was said."""

    def __init__(self) -> None:
        self.now = BEGIN
        self.missed = replace(sender("falco"), silent_after=60)
        self.told: list[tuple[str, str, str]] = []
        senders = Senders([self.missed, sender("api", "*")])
        self.health = SenderHealth(lambda: senders, Troubles(self._count), lambda: self.now)

    def _count(self, key: EvidenceKey, tally: EvidenceTally) -> None:
        assert (key.kind, key.namespace, key.user, tally.count) == ("Sender", None, "", 1)
        self.told.append((key.check, key.name, tally.message))

    def after(self, seconds: float) -> list[tuple[str, str, str]]:
        """What is told once so many seconds have passed."""
        self.now += seconds
        self.told.clear()
        self.health.look()
        return list(self.told)


@pytest.fixture
def setting() -> Setting:
    return Setting()


def test_one_that_never_spoke_is_missed_from_the_start_on(setting: Setting) -> None:
    assert setting.after(59) == []
    [(check, name, said)] = setting.after(2)
    assert (check, name) == ("detector-silent", "falco")
    assert said == "falco has sent nothing since these receivers began at 2026-11-30T10:00:00Z"


def test_one_that_fell_silent_is_told_of_once_in_a_while_until_it_speaks(setting: Setting) -> None:
    setting.after(30)
    setting.health.heard("falco")
    assert setting.after(60) == []
    [(_, _, said)] = setting.after(1)
    assert said == "falco has sent nothing since 2026-11-30T10:00:30Z"
    assert setting.after(AGAIN - 1) == []
    assert len(setting.after(2)) == 1
    setting.health.heard("falco")
    [(_, _, said)] = setting.after(1)
    assert said.startswith("over (it lasted from 2026-11-30T10:01:31Z): falco speaks")
    assert setting.after(1) == []


def audit(**given: object) -> Signal:
    target = {"resource": "clusterroles", "apiGroup": "rbac.authorization.k8s.io", "name": "r"}
    return signal_of(read_event(event(1, **({"objectRef": target, "level": "Metadata"} | given)), PLACE, "native"))


def seen(setting: Setting, signal: Signal, by: Sender, received: float = BEGIN) -> list[str]:
    setting.told.clear()
    setting.health.see(signal, by, received)
    return [check for check, _, _ in setting.told]


def test_a_clock_that_runs_ahead_is_told_of(setting: Setting) -> None:
    ahead: Json = falco_alert(time="2026-11-30T10:10:00Z")
    signal = signal_of(read_alert(ahead, PLACE))
    assert seen(setting, signal, setting.missed) == ["detector-clock-off"]
    assert seen(setting, signal, setting.missed, BEGIN + 1) == []
    setting.health.heard("falco")
    setting.now += OVER_AFTER + 2
    setting.health.heard("falco")
    assert [said[:5] for _, _, said in setting.after(0)] == ["over "]
    late = signal_of(read_alert(falco_alert(time="2026-11-25T10:00:00Z"), PLACE))
    assert seen(setting, late, setting.missed, BEGIN + 2 * AGAIN) == []


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({}, ["audit-level-too-low"]),
        ({"level": "Request"}, []),
        ({"verb": "get"}, []),
        ({"objectRef": {"resource": "pods", "name": "p"}}, []),
        ({"responseStatus": {"code": 403}}, []),
        ({"level": None}, []),
    ],
)
def test_a_level_that_is_too_low_for_what_is_granted_is_told_of(
    setting: Setting, given: Json, wanted: list[str]
) -> None:
    assert seen(setting, audit(**given), sender("api", "*")) == wanted
