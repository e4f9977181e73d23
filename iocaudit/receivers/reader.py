"""Reads what was stored, shows it to the detections, and counts what they see. One thread."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from typing import Protocol

from iocaudit.evidence.key import EvidenceTally
from iocaudit.evidence.post import LONGEST
from iocaudit.receivers.attribution import attribute
from iocaudit.receivers.body import BodyError, read_signals
from iocaudit.receivers.health import DetectorHealth
from iocaudit.receivers.incident_desk import IncidentDesk
from iocaudit.receivers.journal import Journal, JournalFullError, StoredBatch
from iocaudit.receivers.metrics import SignalMetrics
from iocaudit.receivers.outbox import Outbox
from iocaudit.receivers.pod_index import PodIndex
from iocaudit.receivers.senders import Sender, Senders
from iocaudit.signals.detector import Detector
from iocaudit.signals.memory import Memory, MemoryFormatError
from iocaudit.signals.sighting import Sighting
from iocaudit.signals.signal import Signal, SignalSource
from iocaudit.supervision.part import Stop

_log = logging.getLogger(__name__)

POST_EVERY = 1.0
"""Seconds between two posts at least: what is counted meanwhile shares one."""
KEEP_EVERY = 30.0
"""Seconds after which what was counted and is remembered is kept: at most as much is read again."""
KEEP_BYTES = 64 << 20
"""Bytes of batches after which it is kept earlier, so they can be dropped."""
_NAP = 0.5
_FEW, _GATHER = 64, 0.02
"""Seconds in which more may come, after fewer batches than these: each look into the file keeps what stores waiting."""
_TURN, _GLANCE = 0.03, 0.001


class ObjectJudge(Protocol):
    """Judges the objects of requests by the checks."""

    def take(self, signal: Signal) -> Iterable[Sighting]: ...


class SignalReader:
    """`run` is its thread; `wake` tells it that something was stored."""

    def __init__(
        self,
        journal: Journal,
        outbox: Outbox,
        senders: Callable[[], Senders],
        pods: PodIndex,
        metrics: SignalMetrics,
        objects: ObjectJudge,
        incidents: IncidentDesk,
        health: DetectorHealth | None = None,
        is_storing: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``is_storing``: whether someone waits for an answer, who goes first."""
        self._journal, self._outbox, self._senders = journal, outbox, senders
        self._pods, self._metrics, self._objects, self._clock = pods, metrics, objects, clock
        self._is_storing, self._incidents = is_storing, incidents
        self._health = health or DetectorHealth(journal, outbox, senders, clock=clock)
        self._wake = threading.Event()
        memory = _memory_of(outbox.memory)
        self._detector = Detector(memory)
        self._faults = 0
        self.read = outbox.remembered
        """The last batch that was read."""
        self._posted = self._kept = self._gave_way = 0.0
        self._told = 0
        metrics.waiting.set_function(lambda: journal.waiting_bytes)

    def wake(self) -> None:
        self._wake.set()

    def run(self, life: Stop) -> None:
        """Read until told to end. What is read and not in a post yet is read again by the next process."""
        while not life.is_set():
            self._wake.clear()
            batches = self._journal.after(self.read)
            for batch in batches:
                self._take(batch)
                self.read = batch.id
                if life.is_set():
                    return
            self._health.look(batches[-1].received if batches else self._clock())
            if self.read >= self._outbox.counted:
                self._incidents.look()
            self._post()
            if not batches:
                self._metrics.behind.set(0)
                self._wake.wait(_NAP)
            elif len(batches) < _FEW:
                time.sleep(_GATHER)

    def _take(self, batch: StoredBatch) -> None:
        sender = self._senders().named(batch.sender)
        self._metrics.behind.set(max(self._clock() - batch.received, 0.0))
        is_counted = batch.id > self._outbox.counted
        try:
            for signal in read_signals(SignalSource(batch.source), batch.body, batch.left_out, f"batch {batch.id}"):
                self._give_way()
                if is_counted and sender is not None:
                    self._health.see(signal, sender, batch.received)
                for sighting in (*self._detector.take(signal), *self._objects.take(signal)):
                    self._count(sighting, sender or _gone(batch), batch.received, is_counted=is_counted)
        except (BodyError, ValueError) as error:
            self._metrics.faults.inc()
            _log.error("batch %d of %s cannot be read: %s", batch.id, batch.sender, error)
        except Exception:  # noqa: BLE001  one body must not cost those after it
            self._metrics.faults.inc()
            _log.exception("batch %d of %s was not read to its end", batch.id, batch.sender)
        if len(self._detector.faults) > self._faults:
            self._metrics.faults.inc(len(self._detector.faults) - self._faults)
            for fault in self._detector.faults[self._faults :]:
                _log.error("%s: %s", fault.detection, fault.error)
            self._faults = len(self._detector.faults)

    def _give_way(self) -> None:
        """Let what stores go first, for as long as half of the time: one interpreter runs both."""
        now = time.monotonic()
        if now - self._gave_way < _TURN:
            return
        until = now + _TURN
        while now < until and self._is_storing():
            time.sleep(_GLANCE)
            now = time.monotonic()
        self._gave_way = now

    def _count(self, sighting: Sighting, sender: Sender, received: float, *, is_counted: bool) -> None:
        """What was counted before is told to the incidents alone, which were kept as of then."""
        found = attribute(sighting, sender, self._pods)
        if not found.reason:
            self._incidents.see(sighting, found.key, received)
        if not is_counted:
            return
        state = "unattributed" if found.reason else "attributed"
        self._metrics.sightings.labels(sighting.signal.source, state).inc()
        message = f"not attributed ({found.reason}): {sighting.message}" if found.reason else sighting.message
        self._outbox.count(
            found.key,
            EvidenceTally(
                1,
                received,
                received,
                sighting.severity,
                sighting.iocs,
                message[: LONGEST["message"]],
                _fix(sighting)[: LONGEST["fix"]],
            ),
        )

    def _post(self) -> None:
        """Make a post, and keep what is known, where it is time for that. A full disk delays it and loses nothing."""
        now = time.monotonic()
        is_heavy = self._journal.waiting_bytes > KEEP_BYTES and now - self._kept > POST_EVERY
        try:
            if now - self._posted >= POST_EVERY:
                self._posted = now
                self._outbox.make_post(self.read)
            is_new = self.read > self._outbox.remembered or self._health.told > self._told
            if is_new and (is_heavy or now - self._kept >= KEEP_EVERY):
                self._kept, self._told = now, self._health.told
                self._outbox.keep(self.read, self._detector.memory.dump(), self._pods.dump(), self._incidents.dump())
        except JournalFullError as error:
            _log.error("what was counted cannot be kept yet: %s", error)


def _memory_of(kept: bytes | None) -> Memory | None:
    if kept is None:
        return None
    try:
        return Memory.load(kept)
    except MemoryFormatError as error:
        _log.error("sequences that had begun are not remembered: %s", error)
        return Memory()


def _gone(batch: StoredBatch) -> Sender:
    """A sender that was taken out of the file since: what it sent is counted, and attributed to nobody."""
    return Sender(batch.sender, frozenset(), "", None, ())


def _fix(sighting: Sighting) -> str:
    if not sighting.related:
        return ""
    return f"See what made it possible: iocaudit explain {' '.join(sighting.related[:3])}"
