"""What lies outside a profile is seen, as severe as the profile's mode says; without profiles nothing is."""

import pytest

from iocaudit.core.severity import IoC, Severity
from iocaudit.core.shape import Json
from iocaudit.signals.audit_event import read_event
from iocaudit.signals.detector import Detector
from iocaudit.signals.falco import read_alert
from iocaudit.signals.signal import Signal, signal_of
from tests.support.detection_samples import PLACE
from tests.support.profiles import profile_object, profiles_of, program_alert, request_event

STRANGE = signal_of(
    read_alert(program_alert("/tmp/x", {"evt.type": "connect", "fd.rip": "198.51.100.7", "fd.rport": 1}), PLACE)
)
READ = signal_of(read_event(request_event(1, resource="services"), PLACE, "native"))


def seen(signal: Signal, *objects: Json) -> dict[str, tuple[tuple[IoC, ...], Severity]]:
    detector = Detector(profiles=profiles_of(*objects) if objects else None)
    found = {one.rule: (one.iocs, one.severity) for one in detector.take(signal) if "profile" in one.rule}
    assert not detector.faults
    return found


def test_each_sort_is_of_its_indicator() -> None:
    assert seen(STRANGE, profile_object()) == {
        "program-outside-profile": ((IoC.UNKNOWN_BINARY,), Severity.HIGH),
        "destination-outside-profile": ((IoC.OUTBOUND_TRAFFIC,), Severity.HIGH),
    }
    assert seen(READ, profile_object()) == {"request-outside-profile": ((IoC.USER_ACTIVITY,), Severity.MEDIUM)}


@pytest.mark.parametrize("signal", [STRANGE, READ])
def test_the_mode_says_how_severe(signal: Signal) -> None:
    assert {severity for _, severity in seen(signal, profile_object(mode="warn")).values()} == {Severity.LOW}
    assert seen(signal, profile_object(mode="learn")) == {}
    assert seen(signal) == {}
    assert seen(signal, profile_object("payments")) == {}


def test_messages_name_who_and_what() -> None:
    detector = Detector(profiles=profiles_of(profile_object()))
    said = {one.rule: one.message for signal in (STRANGE, READ) for one in detector.take(signal)}
    where = "in Pod shop/web-1 of image registry.example.com/shop/web"
    assert said["program-outside-profile"] == f"/tmp/x runs {where}, which no profile expects"
    assert "shop/web-1 talks to 198.51.100.7 port 1" in said["destination-outside-profile"]
    assert "system:serviceaccount:shop:web asks to get services" in said["request-outside-profile"]
