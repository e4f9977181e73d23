"""What was attributed makes incidents, through restarts as well; what was not is part of none."""

import json
import logging
from datetime import UTC, datetime
from pathlib import Path

import pytest

from iocaudit.core.kinds import POD
from iocaudit.core.severity import Severity
from iocaudit.receivers.body import read_entries
from iocaudit.receivers.incident_desk import IncidentDesk
from iocaudit.receivers.journal import NewBatch
from iocaudit.records.incident import IncidentRecord, IncidentState
from iocaudit.signals.signal import SignalSource
from tests.support.audit_events import Json
from tests.support.signal_posts import Parts, event_list, exec_event, falco_alert, pod_object, sender

API = sender("api", "*")
FALCO = sender("falco", source=SignalSource.FALCO)
DROPPED = falco_alert(rule="Drop and execute new binary in container", priority="Critical")
RECEIVED = datetime(2026, 11, 30, 10, 5, tzinfo=UTC).timestamp()


class Desk(Parts):
    """With one pod that is known, and a clock that is set."""

    def __init__(self, folder: Path, now: float = RECEIVED) -> None:
        super().__init__(folder, API, FALCO)
        keep = self.pods.sink().keep
        assert keep is not None
        self.pods.sink().replace(POD, [keep(pod_object("web-1"), POD)])
        self.now = now
        self.desk._clock = lambda: self.now

    def store(self, *bodies: tuple[SignalSource, bytes], received: float = RECEIVED) -> None:
        for source, body in bodies:
            identities = [one.identity for one in read_entries(source, body)]
            name = "api" if source is SignalSource.AUDIT else "falco"
            self.journal.append([NewBatch(source, name, received, body, identities)])
        self.read_all()

    def told(self) -> list[IncidentRecord]:
        self.desk._look_at = 0.0
        self.desk.look()
        post = self.incidents.next_post()
        self.incidents.stored(post.number)
        return list(post.incidents)


def shell(user: str = "mallory") -> tuple[SignalSource, bytes]:
    return SignalSource.AUDIT, event_list(exec_event(1, user=user))


def dropped(**given: object) -> tuple[SignalSource, bytes]:
    return SignalSource.FALCO, json.dumps({**DROPPED, **given}).encode()


def test_what_shares_a_workload_is_one_incident(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.store(shell(), dropped())
    [one] = desk.told()
    assert one.severity >= Severity.HIGH
    assert one.accounts == ("mallory",)
    assert "shop/Deployment/web" in one.targets
    assert {step.target for step in one.steps} == {"shop/Deployment/web"}
    assert len(one.iocs) >= 2
    assert desk.told() == []
    desk.close()


def test_what_was_not_attributed_is_part_of_none(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.store(dropped(hostname="another-node"))
    assert desk.told() == []
    assert desk.metrics.strands.collect()  # the gauge is served
    assert desk.desk._book.strands == 0
    desk.close()


def test_a_restart_keeps_the_names_and_tells_again_what_is_known(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.store(shell())
    desk.outbox.keep(desk.reader.read, desk.reader._detector.memory.dump(), None, desk.desk.dump())
    desk.store(dropped())
    [before] = desk.told()
    desk.close()
    again = Desk(tmp_path, RECEIVED + 60)
    [told] = again.told()
    assert told == before, "told again, as nobody knows what was taken of it"
    again.read_all()
    assert again.told() == []
    again.store(dropped(rule="Netcat Remote Code Execution in Container", time="2026-11-30T10:06:00Z"))
    [after] = again.told() or [before]
    assert after.name == before.name
    again.now += 2 * 3600
    [closed] = again.told()
    assert (closed.name, closed.state, closed.signals) == (before.name, IncidentState.CLOSED, before.signals + 1)
    again.close()


def test_what_was_kept_and_cannot_be_read_costs_no_start(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk(tmp_path)
    desk.journal.note({"incidents": b"[1]", "known-incidents": b"{"})
    with caplog.at_level(logging.ERROR):
        IncidentDesk(desk.journal, desk.incidents, desk.metrics, desk.evidence)
    assert "incidents begin anew" in caplog.text
    desk.close()


@pytest.mark.parametrize("claimed", ["2026-12-24T00:00:00Z", "2026-01-01T00:00:00Z", None])
def test_a_clock_that_is_far_off_does_not_tear_an_incident_apart(tmp_path: Path, claimed: str | None) -> None:
    desk = Desk(tmp_path)
    given: Json = {"time": claimed}
    desk.store(shell(), dropped(**given))
    [one] = desk.told()
    assert one.accounts == ("mallory",)
    assert one.last.timestamp() <= RECEIVED
    desk.close()
