"""The stream of events: whatever a line holds, its neighbours are read, in the order of time, each request once."""

from __future__ import annotations

import dataclasses
import gzip
import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from iocaudit.signals.audit_event import AuditEvent
from iocaudit.signals.audit_log import AuditLog
from iocaudit.signals.log_files import LogError
from tests.support.audit_events import event, gke, line, wrapped


def everything(verb: str, group: str, resource: str) -> bool:
    return True


def pods(verb: str, group: str, resource: str) -> bool:
    return verb in ("create", "update", "patch", "delete") and (group, resource) == ("", "pods")


def write(folder: Path, *lines: bytes, name: str = "audit.log") -> str:
    path = folder / name
    path.write_bytes(b"".join(lines))
    return str(path)


def ids(log: AuditLog) -> list[str]:
    return [one.audit_id for one in log]


def plain(one: AuditEvent) -> dict[str, Any]:
    """What an event says, wherever it was read."""
    found = dataclasses.asdict(one)
    return {key: value for key, value in found.items() if key not in ("place", "wrapper")}


def test_an_event_is_read_whole(tmp_path: Path) -> None:
    (one,) = AuditLog([write(tmp_path, line(event()))], pods)
    assert (one.verb, one.code, one.user.username, one.user.groups) == (
        "create",
        201,
        "alice",
        ("devs", "system:authenticated"),
    )
    assert (one.target.resource, one.target.namespace, one.target.name) == ("pods", "shop", "web-1")
    assert one.response_object is not None
    assert one.response_object["kind"] == "Pod"
    assert one.when is not None
    assert one.when.isoformat() == "2026-11-30T10:00:01.500000+00:00"
    assert str(one.place) == f"{tmp_path}/audit.log:1"
    assert not one.is_dry_run


@pytest.mark.parametrize("name", wrapped(event()))
def test_a_wrapped_event_is_the_native_one(name: str, tmp_path: Path) -> None:
    (native,) = AuditLog([write(tmp_path, line(event()))], pods)
    log = AuditLog([write(tmp_path, wrapped(event())[name], name="wrapped")], pods)
    (found,) = log
    assert plain(found) == plain(native)
    assert (log.tally.unread_count, log.tally.foreign) == (0, 0)


def test_wrappers_may_change_from_line_to_line(tmp_path: Path) -> None:
    lines = [one for number, one in enumerate(wrapped(event(1)).values()) if b"\n  " not in one and b"\n " not in one]
    texts = [one.replace(b"id-1", f"id-{number}".encode()) for number, one in enumerate(lines)]
    assert ids(AuditLog([write(tmp_path, *texts)], pods)) == [f"id-{number}" for number in range(len(lines))]


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (b"{]\n", "not JSON"),
        (b'{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Request","auditID":"a","sta\n', "not JSON"),
        (line(event(7))[:300] + b"\n", "not JSON"),
        (b"\xff\xfe\n", "not JSON"),
        (b"{\n", "not JSON"),
        (b"[1,\n", "not JSON"),
        (b"[" * 1500 + b"\n", "not JSON"),
        (b'{"a":"' + b"x" * 3000 + b'"}\n', "longer than"),
    ],
)
def test_a_bad_line_is_told_and_costs_nothing_else(bad: bytes, said: str, tmp_path: Path) -> None:
    for where in range(3):
        lines = [line(event(number)) for number in (1, 2)]
        lines.insert(where, bad)
        log = AuditLog([write(tmp_path, *lines)], pods, most_line_bytes=2000)
        assert ids(log) == ["id-1", "id-2"]
        if where or bad[:1] != b"[":  # a list that begins a file is a document, as far as it goes
            assert any(f"audit.log:{where + 1}: " in str(one) for one in log.tally.unread)
        assert any(said in str(one) or "JSON document" in str(one) for one in log.tally.unread)


def test_a_read_that_is_cut_off_is_told_all_the_same(tmp_path: Path) -> None:
    reads = line(event(verb="list", requestObject=None, responseObject=None))
    log = AuditLog([write(tmp_path, reads, reads[:-40])], pods)
    assert ids(log) == []
    assert log.tally.left_out == 1
    (cut,) = log.tally.unread
    assert "the file may have been cut" in str(cut)


def test_what_is_json_but_no_event_is_counted(tmp_path: Path) -> None:
    log = AuditLog([write(tmp_path, b'{"message":"I1130 klog line"}\n', line(event()), b"7\n", b'{"a":1}\n')], pods)
    assert ids(log) == ["id-1"]
    assert (log.tally.foreign, log.tally.unread_count) == (3, 0)
    assert log.tally.first_foreign is not None
    assert "audit.log:1" in str(log.tally.first_foreign)


def test_only_what_was_answered_counts_and_that_once(tmp_path: Path) -> None:
    stages = [line(event(stage=stage)) for stage in ("RequestReceived", "ResponseStarted", "ResponseComplete")]
    log = AuditLog([write(tmp_path, *stages, *stages)], pods)
    (one,) = log
    assert one.stage == "ResponseComplete"
    assert log.tally.repeated == 1
    # The id is the client's to choose: another request under it is another request.
    other = event(requestReceivedTimestamp="2026-11-30T11:00:00Z")
    assert len(list(AuditLog([write(tmp_path, *stages, line(other))], pods))) == 2
    (panicked,) = AuditLog([write(tmp_path, line(event(stage="Panic", responseStatus={"code": 500})))], pods)
    assert panicked.code == 500


def test_a_connection_counts_from_its_start(tmp_path: Path) -> None:
    exec_: dict[str, Any] = {
        "objectRef": {"resource": "pods", "subresource": "exec", "namespace": "shop", "name": "web"},
        "verb": "get",
        "responseStatus": {"code": 101},
        "requestObject": None,
        "responseObject": None,
    }
    lines = [line(event(stage=stage, **exec_)) for stage in ("RequestReceived", "ResponseStarted", "ResponseComplete")]
    (one,) = AuditLog([write(tmp_path, *lines)], everything)
    assert (one.stage, one.is_connection) == ("ResponseStarted", True)


def test_a_connection_in_googles_log_counts_once(tmp_path: Path) -> None:
    """Its begin and its end have an entry and a time each."""

    def entry(when: str, **operation: bool) -> bytes:
        found = gke(event(1))
        found["operation"] = {"id": "op-1", **operation}
        payload = found["protoPayload"]
        payload["methodName"] = "io.k8s.core.v1.pods.exec.create"
        payload["resourceName"] += "/exec"
        return line({**found, "timestamp": when})

    ends = entry("2026-11-30T10:00:00Z", first=True), entry("2026-11-30T10:09:00Z", last=True)
    log = AuditLog([write(tmp_path, *ends)], everything)
    (one,) = log
    assert (one.is_connection, log.tally.repeated) == (True, 1)


def test_the_times_of_a_log_are_its_earliest_and_its_latest(tmp_path: Path) -> None:
    log = AuditLog([write(tmp_path, *(line(event(number)) for number in (5, 1, 9, 3)))], pods)
    times = [one.when for one in log if one.when is not None]
    assert (log.tally.first, log.tally.last) == (min(times), max(times))


def test_dry_runs_are_told_apart(tmp_path: Path) -> None:
    def is_dry(uri: str) -> bool:
        (one,) = AuditLog([write(tmp_path, line(event(requestURI=uri)))], pods)
        return one.is_dry_run

    assert is_dry("/api/v1/namespaces/shop/pods?dryRun=All&fieldManager=kubectl")
    assert not is_dry("/api/v1/namespaces/shop/pods/dryRun=All")
    assert not is_dry("/api/v1/namespaces/shop/pods?dryRun=")


def test_several_logs_are_one_in_the_order_of_time(tmp_path: Path) -> None:
    odd = write(tmp_path, *(line(event(number)) for number in (1, 3, 5)), name="odd")
    even = write(tmp_path, *(line(event(number)) for number in (2, 4, 6)), name="even")
    late = tmp_path / "late.gz"
    late.write_bytes(gzip.compress(line(event(7)) + line(event(2))))
    log = AuditLog([str(late), even, odd, odd], pods)
    assert ids(log) == [f"id-{number}" for number in range(1, 8)]
    assert log.tally.repeated == 1
    assert log.tally.lines == 8


def test_standard_input_is_read_beside_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(line(event(2)) + b"{]\n")))
    log = AuditLog(["-", write(tmp_path, line(event(1)), line(event(3)))], pods)
    assert ids(log) == ["id-1", "id-2", "id-3"]
    assert [str(one.place) for one in log.tally.unread] == ["<stdin>:2"]


def test_a_compressed_log_that_is_cut_off_is_told(tmp_path: Path) -> None:
    whole = gzip.compress(b"".join(line(event(number)) for number in range(50)))
    log = AuditLog([write(tmp_path, whole[:-30])], pods)
    assert len(ids(log)) > 0
    assert "ends in the middle" in str(log.tally.unread[0])
    log = AuditLog([write(tmp_path, whole[:40] + b"\0" * 40)], pods)
    assert ids(log) == []
    assert log.tally.unread_count == 1


def test_a_path_that_is_not_a_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(LogError, match="No such file"):
        AuditLog([str(tmp_path / "absent")], pods)
    with pytest.raises(LogError, match="a folder"):
        AuditLog([str(tmp_path)], pods)


def test_too_deep_an_object_says_what_it_lacks(tmp_path: Path) -> None:
    deep: Any = "x"
    for _ in range(400):
        deep = {"a": deep}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {"deep": deep}}
    (one,) = AuditLog([write(tmp_path, line(event(responseObject=pod)))], pods)
    assert one.response_object is not None
    assert "levels deep" in getattr(one.response_object, "lacks", "")


_names = st.sampled_from([*event(), "items", "events", "message", "log", "records", "properties", "protoPayload"])
_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["Event", "{", "["]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_names, inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    changes=st.dictionaries(_names, _values, max_size=4),
    left_out=st.sets(_names, max_size=4),
    noise=st.lists(st.binary(max_size=60).map(lambda data: data.replace(b"\n", b"") + b"\n"), max_size=4),
    where=st.integers(0, 4),
)
def test_no_field_is_trusted_and_no_neighbour_lost(
    tmp_path: Path, changes: dict[str, Any], left_out: set[str], noise: list[bytes], where: int
) -> None:
    odd = {key: value for key, value in (event(50) | changes).items() if key not in left_out}
    good = [line(event(number)) for number in (1, 2, 3)]
    lines = [good[0], *noise, good[1], json.dumps(odd, separators=(",", ":")).encode() + b"\n", good[2]]
    if where < len(lines):
        lines[where:where] = noise[:1]
    log = AuditLog([write(tmp_path, *lines)], pods)
    found = list(log)
    assert {"id-1", "id-2", "id-3"} <= {one.audit_id for one in found}
    for one in found:
        assert isinstance(one.is_dry_run, bool)
        assert isinstance(one.target.whole, str)
        assert one.code is None or isinstance(one.code, int)
        assert one.when is None or one.when.tzinfo is not None
    told = log.tally.unread_count + log.tally.foreign
    blank = sum(one.isspace() for one in lines)
    assert log.tally.lines == len(lines) - blank
    assert told <= log.tally.lines + sum(len(line_) for line_ in noise)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.dictionaries(_names, _values, max_size=3))
def test_wrapping_changes_nothing_that_an_event_says(tmp_path: Path, changes: dict[str, Any]) -> None:
    found = event() | changes | {"kind": "Event", "apiVersion": "audit.k8s.io/v1"}
    native = [plain(one) for one in AuditLog([write(tmp_path, line(found))], pods)]
    for name, data in wrapped(found).items():
        log = AuditLog([write(tmp_path, data, name="wrapped")], pods)
        assert [plain(one) for one in log] == native, name
