"""What was stored is shown to the detections, and each signal counts once, through restarts as well."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from iocaudit.core.kinds import POD
from iocaudit.core.severity import Severity
from iocaudit.evidence.key import EvidenceKey
from iocaudit.evidence.post import MOST_ENTRIES, read_post, to_bytes
from iocaudit.receivers.attribution import SENDER_KIND
from iocaudit.receivers.body import BodyError, read_entries
from iocaudit.receivers.journal import NewBatch
from iocaudit.signals.signal import SignalSource
from tests.support.audit_events import event
from tests.support.campaign import Campaign
from tests.support.signal_posts import (
    Parts,
    alert_message,
    event_list,
    exec_event,
    falco_alert,
    pod_object,
    sender,
)

RECEIVED = datetime(2026, 11, 30, 12, tzinfo=UTC).timestamp()
API = sender("api", "*")
FALCO = sender("falco", source=SignalSource.FALCO)
SHOP = sender("shop-alerts", "shop", source=SignalSource.ALERTMANAGER)


def store(parts: Parts, source: SignalSource, by: str, body: bytes) -> None:
    parts.journal.append([NewBatch(source, by, RECEIVED, body, [one.identity for one in read_entries(source, body)])])


def seen(parts: Parts) -> list[tuple[str, str | None, str, int]]:
    parts.read_all()
    parts.outbox.make_post(parts.reader.read)
    attempts = parts.outbox.next_post().attempts
    return sorted((one.kind, one.namespace, one.name, tally.count) for one, tally in attempts.items())


def test_what_detections_see_is_counted_on_its_workload(tmp_path: Path) -> None:
    parts = Parts(tmp_path, API, FALCO, SHOP)
    keep = parts.pods.sink().keep
    assert keep is not None
    parts.pods.sink().replace(POD, [keep(pod_object(), POD)])
    store(parts, SignalSource.AUDIT, "api", event_list(exec_event(1), exec_event(2), event(3, verb="get")))
    store(parts, SignalSource.FALCO, "falco", json.dumps(falco_alert()).encode())
    store(parts, SignalSource.ALERTMANAGER, "shop-alerts", json.dumps(alert_message()).encode())
    found = seen(parts)
    assert ("Pod", "shop", "web-1", 2) in found
    assert [one for one in found if one[0] == "Deployment"] == [("Deployment", "shop", "web", 1)] * 2
    parts.close()


def test_what_is_not_proven_says_so_and_names_its_sender_alone(tmp_path: Path) -> None:
    parts = Parts(tmp_path, FALCO)
    store(parts, SignalSource.FALCO, "falco", json.dumps(falco_alert()).encode())
    parts.read_all()
    parts.outbox.make_post(1)
    [(key, tally)] = parts.outbox.next_post().attempts.items()
    assert (key.kind, key.namespace, key.name, key.user) == ("Sender", None, "falco", "")
    assert tally.message.startswith("not attributed (pods were not read yet): ")
    assert tally.severity <= Severity.HIGH
    parts.close()


def test_a_sender_that_was_taken_out_of_the_file_blames_nobody(tmp_path: Path) -> None:
    parts = Parts(tmp_path)
    store(parts, SignalSource.AUDIT, "api", event_list(exec_event(1)))
    assert {one[:3] for one in seen(parts)} == {("Sender", None, "api")}
    parts.close()


def test_sequences_are_remembered_through_a_restart_and_nothing_counts_twice(tmp_path: Path) -> None:
    """A denied read of a Secret, then one that went on, is one of the sequences."""

    def secret(number: int, code: int) -> dict[str, object]:
        target = {"resource": "secrets", "namespace": "shop", "name": "s", "apiVersion": "v1"}
        said = {"metadata": {}, "code": code}
        decision = {"authorization.k8s.io/decision": "forbid" if code == 403 else "allow"}
        return event(
            number,
            verb="get",
            objectRef=target,
            responseStatus=said,
            annotations=decision,
            requestObject=None,
            responseObject=None,
        )

    whole = Parts(tmp_path / "whole", API)
    for number, code in [(1, 403), (2, 200)]:
        store(whole, SignalSource.AUDIT, "api", event_list(secret(number, code)))
    expected = seen(whole)
    whole.close()
    for keeps in (True, False):
        folder = tmp_path / f"keeps-{keeps}"
        parts = Parts(folder, API)
        store(parts, SignalSource.AUDIT, "api", event_list(secret(1, 403)))
        parts.read_all()
        if keeps:
            parts.outbox.keep(parts.reader.read, parts.reader._detector.memory.dump())
        parts.close()
        parts = Parts(folder, API)
        store(parts, SignalSource.AUDIT, "api", event_list(secret(2, 200)))
        assert seen(parts) == expected
        parts.close()


def test_a_body_that_cannot_be_read_costs_none_beside_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    parts = Parts(tmp_path, API)
    parts.journal.append([NewBatch("audit", "api", 1.0, b"{", [b"1"]), NewBatch("nothing", "api", 1.0, b"{}", [b"2"])])
    store(parts, SignalSource.AUDIT, "api", event_list(exec_event(1)))
    assert seen(parts)[0][:3] == ("Pod", "shop", "web-1")
    assert "batch 1 of api cannot be read" in caplog.text
    parts.close()


class Ended:
    """Over once it was looked at so often."""

    def __init__(self, looks: int) -> None:
        self.looks = looks

    def is_set(self) -> bool:
        self.looks -= 1
        return self.looks < 0

    def wait(self, _timeout: float | None = None, /) -> bool:
        return self.is_set()


def test_the_thread_reads_posts_and_keeps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("iocaudit.receivers.reader.POST_EVERY", 0.0)
    monkeypatch.setattr("iocaudit.receivers.reader.KEEP_EVERY", 0.0)
    monkeypatch.setattr("iocaudit.receivers.reader._NAP", 0.0)
    parts = Parts(tmp_path, API)
    store(parts, SignalSource.AUDIT, "api", event_list(exec_event(1)))
    parts.reader.run(Ended(4))
    assert parts.outbox.posting
    assert (parts.outbox.remembered, parts.journal.waiting_bytes) == (1, 0)
    parts.close()


def test_the_reader_gives_way_to_what_is_stored_and_still_goes_on(tmp_path: Path) -> None:
    parts = Parts(tmp_path, API)
    looks: list[None] = []

    def storing() -> bool:
        looks.append(None)
        return True

    parts.reader._is_storing = storing
    parts.reader._gave_way = -1000.0
    store(parts, SignalSource.AUDIT, "api", event_list(*(exec_event(number) for number in range(1, 50))))
    assert seen(parts)[0][3] == 49
    assert looks
    parts.close()


@pytest.mark.parametrize("seed", range(4))
def test_a_campaign_of_hostile_signals_blames_nothing_that_was_not_proven(tmp_path: Path, seed: int) -> None:
    parts = Parts(tmp_path, FALCO, SHOP)
    keep = parts.pods.sink().keep
    assert keep is not None
    parts.pods.sink().replace(POD, [keep(pod_object(), POD)])
    acknowledged = 0
    for by, source, body in Campaign(seed).bodies(1_000):
        try:
            entries = read_entries(source, body)
        except BodyError:
            continue
        acknowledged += parts.journal.append([NewBatch(source, by, 1.8e9, body, [one.identity for one in entries])])[0]
    parts.read_all()
    parts.outbox.make_post(parts.reader.read)
    post = parts.outbox.next_post()
    assert read_post(to_bytes(post)).attempts == post.attempts, "the operator takes all of it"
    assert 0 < len(post.attempts) <= MOST_ENTRIES
    for key in post.attempts:
        assert _is_proven(key) or (key.kind, key.namespace, key.user) == (SENDER_KIND, None, ""), key
    assert sum(tally.count for tally in post.attempts.values()) <= 2 * acknowledged
    assert parts.metrics.faults._value.get() == 0
    parts.close()


def _is_proven(key: EvidenceKey) -> bool:
    """The pod of the container that Falco named, or what is in the namespace that the alerts' sender speaks for."""
    return key.namespace == "shop"
