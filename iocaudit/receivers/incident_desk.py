"""Keeps the book of incidents: shown what was attributed, it says what is to be posted of them.

What was not attributed is part of no incident: a forged signal must not tie others together.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

from iocaudit.evidence.key import EvidenceKey
from iocaudit.incidents.book import BookFormatError, IncidentBook
from iocaudit.incidents.correlation import target_of
from iocaudit.incidents.evidence_record import record_of
from iocaudit.incidents.evidence_store import EvidenceStore, EvidenceStoreError
from iocaudit.incidents.strand import strand_of
from iocaudit.receivers.attribution import USER_KIND
from iocaudit.receivers.incident_outbox import IncidentOutbox
from iocaudit.receivers.journal import Journal, JournalFullError
from iocaudit.receivers.metrics import SignalMetrics
from iocaudit.receivers.outbox import INCIDENTS
from iocaudit.records.incident import IncidentRecord, incident_content
from iocaudit.signals.sighting import Sighting

_log = logging.getLogger(__name__)

LOOK_EVERY: Final = 0.25
"""Seconds between two looks at least."""
TIDY_EVERY: Final = 60.0
SHARE: Final = 0.1
"""Of the time that looks may take at most."""
AHEAD: Final = timedelta(minutes=5)
BEHIND: Final = timedelta(days=1)
"""By how much the time of a signal may differ from ours: beyond it the time of its arrival counts."""
_KNOWN: Final = "known-incidents"
"""The name of the fact that holds the incidents alone: their names, as they were told last."""


class IncidentDesk:
    """Used by the reader's thread alone."""

    def __init__(
        self,
        journal: Journal,
        outbox: IncidentOutbox,
        metrics: SignalMetrics,
        evidence: EvidenceStore,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Takes up what was kept, and has all of it posted again: nobody knows what the operator took of it."""
        self._journal, self._outbox, self._metrics, self._clock = journal, outbox, metrics, clock
        self._evidence = evidence
        self._look_at = self._tidy_at = 0.0
        self._book = IncidentBook()
        facts = journal.facts()
        try:
            if INCIDENTS in facts:
                self._book.load(facts[INCIDENTS], facts.get(_KNOWN))
            elif _KNOWN in facts:
                self._book.load_known(facts[_KNOWN])
        except BookFormatError as error:
            _log.error("%s: incidents begin anew", error)
            self._book = IncidentBook()
        outbox.tell(self._with_evidence(one) for one in self._book.again())
        metrics.incidents.set_function(lambda: len(self._book))
        metrics.strands.set_function(lambda: self._book.strands)

    def see(self, sighting: Sighting, key: EvidenceKey, received: float) -> None:
        """Take what was attributed to a workload, an object or an account."""
        target = "" if key.kind == USER_KIND else f"{key.kind}/{key.name}" if key.name else key.kind
        when = _when(sighting.signal.when, datetime.fromtimestamp(received, UTC))
        strand = strand_of(sighting, when, key.user, key.namespace or "", target)
        if self._evidence.has_room(strand.key):
            record = record_of(sighting, when, key.user, target_of(strand))
            self._evidence.add(strand.key, when, sighting.signal.identity, record)
        self._book.put(strand)

    def look(self) -> None:
        """Have posted what changed, where it is time for that."""
        begin = time.monotonic()
        if begin < self._look_at:
            return
        now = datetime.fromtimestamp(self._clock(), UTC)
        told = [self._with_evidence(one) for one in self._book.look(now)]
        self._keep_evidence(now, begin)
        if told:
            try:
                # Before anybody hears of it: a name that was told is not given to another after a restart.
                self._journal.note({_KNOWN: self._book.dump_known()})
            except JournalFullError as error:
                _log.error("incidents cannot be kept yet: %s", error)
            self._outbox.tell(told)
        end = time.monotonic()
        self._look_at = end + max(LOOK_EVERY, (end - begin) / SHARE)

    def _with_evidence(self, record: IncidentRecord) -> IncidentRecord:
        """The record with the head of the chain that its evidence has now."""
        try:
            self._evidence.flush()
            head = self._evidence.take_up(record.name, self._book.spans_of(record.name))
        except EvidenceStoreError as error:
            self._metrics.faults.inc()
            _log.error("%s", error)
            return record
        found = replace(record, evidence_count=head.records, evidence_head=head.head)
        with contextlib.suppress(EvidenceStoreError):
            self._evidence.describe(record.name, incident_content(found))
        return found

    def _keep_evidence(self, now: datetime, turn: float) -> None:
        try:
            self._evidence.flush()
            if turn >= self._tidy_at:
                self._tidy_at = turn + TIDY_EVERY
                self._evidence.tidy(now)
        except EvidenceStoreError as error:
            self._metrics.faults.inc()
            _log.error("%s", error)

    def dump(self) -> bytes:
        """All of it, to be kept with how far the journal was read."""
        return self._book.dump()


def _when(claimed: datetime | None, received: datetime) -> datetime:
    if claimed is None or claimed - received > AHEAD or received - claimed > BEHIND:
        return received
    return claimed
