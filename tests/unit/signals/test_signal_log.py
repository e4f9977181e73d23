"""Recorded signals of every sort in one stream."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from iocaudit.signals.signal import SignalSource
from iocaudit.signals.signal_log import SignalLog
from tests.support.audit_events import event, line
from tests.support.detection_samples import ANYTHING

FALCO: dict[str, Any] = {
    "rule": "Write below etc",
    "priority": "Error",
    "time": "2026-11-30T10:00:02Z",
    "output_fields": {"fd.name": "/etc/x"},
}
ALERTS: dict[str, Any] = {
    "version": "4",
    "receiver": "r",
    "alerts": [
        {"labels": {"alertname": "A", "ioc": "5"}, "startsAt": "2026-11-30T10:00:03Z", "fingerprint": "1"},
        {"labels": {"alertname": "B", "ioc": "7"}, "startsAt": "2026-11-30T10:00:04Z", "fingerprint": "2"},
    ],
}


def write(folder: Path, *lines: bytes, name: str = "log") -> str:
    path = folder / name
    path.write_bytes(b"".join(lines))
    return str(path)


def test_one_file_may_hold_several_sorts(tmp_path: Path) -> None:
    log = SignalLog([write(tmp_path, line(event(1)), line(FALCO), line(ALERTS))])
    assert [one.source for one in log] == [
        SignalSource.AUDIT,
        SignalSource.FALCO,
        SignalSource.ALERTMANAGER,
        SignalSource.ALERTMANAGER,
    ]
    assert dict(log.tally.wrappers) == {"native": 1, "falco": 1, "alertmanager": 2}


def test_several_files_are_read_in_the_order_of_time(tmp_path: Path) -> None:
    paths = [
        write(tmp_path, line(ALERTS), name="c"),
        write(tmp_path, line(FALCO), name="b"),
        write(tmp_path, line(event(1)), line(event(9)), name="a"),
    ]
    times = [one.when for one in SignalLog(paths)]
    assert len(times) == 5
    assert times == sorted(time for time in times if time is not None)


def test_the_same_signal_counts_once(tmp_path: Path) -> None:
    log = SignalLog(
        [write(tmp_path, line(FALCO), line(FALCO), line(ALERTS), line(ALERTS), line(event()), line(event()))]
    )
    assert len(list(log)) == 4
    assert log.tally.repeated == 4


def test_an_audit_event_with_the_words_of_an_alert_is_one(tmp_path: Path) -> None:
    found = event(requestObject={"data": {"rule": "x", "output_fields": "y", "alerts": "[]"}})
    (one,) = SignalLog([write(tmp_path, line(found))])
    assert one.source is SignalSource.AUDIT


def test_what_is_neither_is_counted(tmp_path: Path) -> None:
    log = SignalLog([write(tmp_path, b'{"alerts": [], "receiver": 1}\n', b'{"x": 1}\n', b"nonsense\n", line(FALCO))])
    assert len(list(log)) == 1
    assert (log.tally.left_out, log.tally.foreign, log.tally.unread_count) == (1, 1, 1)


@given(st.lists(ANYTHING | st.binary(max_size=40), max_size=5))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None)
def test_neighbours_of_hostile_lines_are_read(tmp_path: Path, values: list[Any]) -> None:
    texts = [one.replace(b"\n", b"") if isinstance(one, bytes) else json.dumps(one).encode() for one in values]
    bad = [b'{"rule": ' + one + b', "output_fields": 1}\n' for one in texts]
    found = list(SignalLog([write(tmp_path, line(event(1)), *bad, line(FALCO), line(event(2)))]))
    assert sum(one.source is SignalSource.AUDIT for one in found) == 2
    assert any(one.report.when is not None and one.source is SignalSource.FALCO for one in found)
