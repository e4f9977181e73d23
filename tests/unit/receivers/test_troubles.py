"""What is wrong is counted as it begins, again while it lasts, and once more when it is over."""

import pytest

from iocaudit.core.severity import IoC
from iocaudit.evidence.post import LONGEST
from iocaudit.receivers.troubles import AGAIN, OVER_AFTER, RECEIVERS, Troubles, of_sender
from iocaudit.signals.detector_health import DROPS, NOT_LOADED, SILENT
from tests.support.health import BEGIN, HealthSetting

FALCO = of_sender("falco")


def test_it_is_counted_as_it_begins_again_while_it_lasts_and_when_it_is_over() -> None:
    setting = HealthSetting()
    for seconds in range(0, int(2 * AGAIN), 10):
        setting.troubles.tell(SILENT, FALCO, "nothing", BEGIN + seconds)
    assert [one.message for one in setting.said()] == ["nothing", "nothing"]
    setting.troubles.over(SILENT, FALCO, "it speaks", BEGIN + 3 * AGAIN)
    assert [one.message for one in setting] == ["over (it lasted from 2026-11-30T10:00:00Z): it speaks"]
    setting.troubles.over(SILENT, FALCO, "it speaks", BEGIN + 3 * AGAIN)
    assert setting.said() == []
    setting.troubles.tell(SILENT, FALCO, "nothing", BEGIN + 3 * AGAIN + 1)
    assert len(setting.said()) == 1


def test_other_indicators_are_told_of_at_once() -> None:
    setting = HealthSetting()
    setting.troubles.tell(NOT_LOADED, FALCO, "one", BEGIN, (IoC.DNS_ANOMALY,))
    setting.troubles.tell(NOT_LOADED, FALCO, "two", BEGIN + 1, (IoC.DNS_ANOMALY, IoC.RESPONSE_SIZE))
    assert [one.iocs for one in setting] == [(7,), (7, 8)]


def test_what_comes_in_single_events_is_over_after_a_while_without_one() -> None:
    setting = HealthSetting()
    setting.troubles.tell(DROPS, FALCO, "dropped", BEGIN)
    setting.troubles.tell(DROPS, FALCO, "dropped", BEGIN + 60)
    setting.troubles.tell(SILENT, RECEIVERS, "lasts", BEGIN)
    setting.said()
    setting.troubles.end_quiet(DROPS, BEGIN + 60 + OVER_AFTER)
    assert setting.said() == []
    setting.troubles.end_quiet(DROPS, BEGIN + 61 + OVER_AFTER)
    [told] = setting.said()
    assert (told.name, told.message) == (
        "falco",
        "over (it lasted from 2026-11-30T10:00:00Z): none since 2026-11-30T10:01:00Z",
    )


def test_what_lasts_is_known_to_the_next_process() -> None:
    before = HealthSetting()
    before.troubles.tell(SILENT, FALCO, "nothing", BEGIN)
    after = HealthSetting()
    after.troubles.load(before.troubles.dump())
    after.troubles.tell(SILENT, FALCO, "nothing", BEGIN + 1)
    assert after.said() == []
    after.troubles.over(SILENT, FALCO, "it speaks", BEGIN + 2)
    assert len(after.said()) == 1
    assert after.troubles.dump() == b"[]"


@pytest.mark.parametrize(
    "kept", [b"{", b'[{"rule": "detector-silent"}]', b'[{"rule": "x", "times": [1,2,3], "iocs": []}]']
)
def test_what_cannot_be_read_says_so(kept: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  of the decoder, or ours
        Troubles(HealthSetting().count).load(kept)


def test_a_long_message_is_cut_to_what_the_operator_takes() -> None:
    setting = HealthSetting()
    setting.troubles.tell(DROPS, FALCO, "x" * 100_000, BEGIN)
    [told] = setting.said()
    assert len(told.message) == LONGEST["message"]
