"""Bodies taken apart: entries with the sender's identity of each, and the signals they are."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iocaudit.receivers.body import BodyError, read_entries, read_signals
from iocaudit.signals.signal import SignalSource
from tests.support.audit_events import Json, event, wrapped
from tests.support.detection_samples import ANYTHING
from tests.support.signal_posts import alert_message, event_list, exec_event, falco_alert

SAMPLES: dict[SignalSource, bytes] = {
    SignalSource.AUDIT: event_list(exec_event(1), exec_event(2)),
    SignalSource.FALCO: json.dumps(falco_alert()).encode(),
    SignalSource.ALERTMANAGER: json.dumps(alert_message()).encode(),
}


@pytest.mark.parametrize("source", SignalSource)
def test_the_same_body_has_the_same_identities(source: SignalSource) -> None:
    first, second = (read_entries(source, SAMPLES[source]) for _ in range(2))
    assert [one.identity for one in first] == [one.identity for one in second]
    assert len({one.identity for one in first}) == len(first)
    assert {len(one.identity) for one in first} == {16}
    signals = list(read_signals(source, SAMPLES[source], (), "batch 1"))
    assert [one.source for one in signals] == [source] * len(first)


def test_what_was_stored_before_is_left_out() -> None:
    body = event_list(exec_event(1), exec_event(2), exec_event(3))
    found = [one.report.audit_id for one in read_signals(SignalSource.AUDIT, body, {0, 2}, "b")]  # type: ignore[union-attr]
    assert found == ["id-2"]


def test_an_event_is_told_by_request_stage_time_and_user() -> None:
    base = exec_event(1)
    others: list[Json] = [
        {"auditID": "other"},
        {"stage": "ResponseStarted"},
        {"requestReceivedTimestamp": "2026-11-30T11:00:00Z"},
        {"user": {"username": "eve"}},
    ]
    identities = {
        read_entries(SignalSource.AUDIT, json.dumps(base | one).encode())[0].identity for one in [{}, *others]
    }
    assert len(identities) == 5
    unimportant = base | {"userAgent": "x"}
    assert read_entries(SignalSource.AUDIT, json.dumps(unimportant).encode())[0].identity in identities


def test_an_alert_that_fires_again_later_is_another_and_one_that_is_repeated_is_not() -> None:
    def identity(**given: Any) -> bytes:
        message = alert_message()
        message["alerts"][0] |= given
        return read_entries(SignalSource.ALERTMANAGER, json.dumps(message).encode())[0].identity

    assert identity() == identity(endsAt="2026-11-30T12:00:00Z")
    assert len({identity(), identity(startsAt="2026-11-30T11:00:00Z"), identity(status="resolved")}) == 3


def test_a_heartbeat_that_is_repeated_is_another_each_time() -> None:
    body = json.dumps(alert_message(alertname="IocauditHeartbeat", iocaudit_health="heartbeat")).encode()
    [first], [second] = (read_entries(SignalSource.ALERTMANAGER, body) for _ in range(2))
    assert first.identity != second.identity


def test_events_in_the_wrappers_of_clouds_are_read() -> None:
    for name, body in wrapped(event(7)).items():
        if name == "exported":
            continue  # a line of a file, which is not JSON as a whole
        signals = list(read_signals(SignalSource.AUDIT, body, (), "b"))
        assert [one.report.audit_id for one in signals] == ["id-7"], name  # type: ignore[union-attr]


def test_an_empty_list_is_one() -> None:
    assert read_entries(SignalSource.AUDIT, event_list()) == []


@pytest.mark.parametrize("source", SignalSource)
@pytest.mark.parametrize("body", [b"", b"{", b"null", b"[]", b"7", b'"x"', b"[1, null]"])
def test_what_is_no_signal_is_refused_with_the_reason(source: SignalSource, body: bytes) -> None:
    with pytest.raises(BodyError, match=r"the body (is not|has)"):
        read_entries(source, body)


@pytest.mark.parametrize("source", [SignalSource.FALCO, SignalSource.ALERTMANAGER])
def test_a_signal_of_another_sort_is_refused(source: SignalSource) -> None:
    for other, body in SAMPLES.items():
        if other is not source:
            with pytest.raises(BodyError, match="the body is not"):
                read_entries(source, body)


@given(
    source=st.sampled_from(SignalSource),
    raw=ANYTHING
    | st.lists(
        st.dictionaries(st.sampled_from(["rule", "output_fields", "auditID", "verb", "stage", "user"]), ANYTHING)
    )
    | st.fixed_dictionaries({"alerts": ANYTHING, "receiver": ANYTHING})
    | st.fixed_dictionaries({"items": ANYTHING}),
)
def test_whatever_arrives_is_read_or_refused_by_our_own_error(source: SignalSource, raw: object) -> None:
    body = json.dumps(raw).encode("utf-8", "surrogatepass")
    try:
        entries = read_entries(source, body)
    except BodyError:
        return
    signals = list(read_signals(source, body, (), "b"))
    assert len(signals) <= len(entries) + 10
    assert list(read_signals(source, body, range(len(entries)), "b")) == []
