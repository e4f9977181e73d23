"""The real process: nothing acknowledged is lost or counted twice, however often it is killed."""

import http.client
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.receiver_process import ReceiverProcess
from tests.support.signal_posts import Parts, event_list, exec_event, sender


@pytest.fixture
def process(tmp_path: Path) -> Iterator[ReceiverProcess]:
    found = ReceiverProcess(tmp_path)
    yield found
    found.close()


class Load:
    """Posts one event after another from several threads until told to stop; ``acknowledged`` are their numbers."""

    def __init__(self, process: ReceiverProcess) -> None:
        self._process = process
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self.sent, self.acknowledged = 0, set[int]()
        self._threads = [threading.Thread(target=self._run) for _ in range(4)]

    def _run(self) -> None:
        while not self._stop.is_set():
            with self._lock:
                self.sent += 1
                number = self.sent
            try:
                if self._process.post(event_list(exec_event(number))) == 200:
                    self.acknowledged.add(number)
            except (OSError, http.client.HTTPException):
                time.sleep(0.05)

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


def counted(folder: Path) -> Counter[str]:
    """How often each rule saw something, by what is in the file."""
    parts = Parts(folder / "data", sender("api-server", "*"))
    parts.read_all()
    found: Counter[str] = Counter()
    for _ in range(2):
        parts.outbox.make_post(parts.reader.read)
        if parts.outbox.posting:
            post = parts.outbox.next_post()
            found.update({key.check: tally.count for key, tally in post.attempts.items()})
            parts.outbox.stored(post.number)
    parts.close()
    return found


def test_killed_at_any_moment_it_loses_and_doubles_nothing(process: ReceiverProcess) -> None:
    process.start()
    with Load(process) as load:
        for turn in range(4):
            until = time.monotonic() + 60
            acknowledged = len(load.acknowledged)
            while len(load.acknowledged) < acknowledged + 20 + turn and time.monotonic() < until:
                time.sleep(0.005)
            process.kill()
            process.start()
    # What had no answer is sent again, as senders do, and what had one as well: nothing counts twice.
    for first in range(1, load.sent + 1, 100):
        numbers = range(first, min(first + 100, load.sent + 1))
        assert process.post(event_list(*map(exec_event, numbers))) == 200
    process.kill()
    assert len(load.acknowledged) >= 80
    assert max(counted(process.folder).values()) == load.sent


def test_it_drains_when_it_is_told_to_end_and_goes_on_where_it_was(process: ReceiverProcess) -> None:
    process.start()
    assert process.post(event_list(exec_event(1), exec_event(2))) == 200
    assert process.terminate() == 0
    process.start()
    assert process.post(event_list(exec_event(2), exec_event(3))) == 200
    process.kill()
    assert max(counted(process.folder).values()) == 3


def test_the_time_that_it_was_down_is_told_of_by_the_next_process(process: ReceiverProcess) -> None:
    process.start()
    assert process.post(event_list(exec_event(1))) == 200
    process.kill()
    time.sleep(2.1)
    process.start()
    until = time.monotonic() + 60
    while process.metric("iocaudit_receiver_sightings_waiting") < 1 and time.monotonic() < until:
        time.sleep(0.05)
    process.terminate()
    assert counted(process.folder)["detector-gap"] == 1


def test_what_cannot_be_used_at_start_ends_it_with_one_line(process: ReceiverProcess) -> None:
    (process.folder / "senders.yaml").write_text("senders: []\n")
    with pytest.raises(AssertionError, match="must have at least one entry"):
        process.start()
    assert "Traceback" not in (process.folder / "log").read_text()
