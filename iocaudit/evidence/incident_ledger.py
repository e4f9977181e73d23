"""Writes the incidents that receivers tell of as IocIncidents, with the weaknesses behind them.

An incident is told whole each time: what is stored is replaced, and what is stored already is not written again. So a
post that comes twice, to another leader or after a restart, changes nothing.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol

from iocaudit.cluster.api import Api
from iocaudit.cluster.errors import ApiError, NotFoundError
from iocaudit.cluster.writer import put
from iocaudit.core.moments import is_past
from iocaudit.core.shape import Json, mapping, text
from iocaudit.evidence.metrics import IncidentMetrics
from iocaudit.evidence.post import Post
from iocaudit.records.incident import IncidentRecord, IncidentState, IncidentWeakness, incident_body
from iocaudit.records.kinds import IOC_INCIDENT

_log = logging.getLogger(__name__)

RETENTION: Final = timedelta(days=30)
_REFUSED = frozenset({400, 403, 413, 422})
_MISSING_KIND = "the IocIncident CRD is not installed"


class WeaknessSource(Protocol):
    """Where the open posture findings behind an incident are."""

    def of(self, record: IncidentRecord) -> list[IncidentWeakness]:
        """Those behind it. Raises ClusterError."""


class IncidentLedger:
    """`accept` takes posts from any thread, the rest is the writing thread's."""

    def __init__(
        self,
        client: Api,
        weaknesses: WeaknessSource,
        metrics: IncidentMetrics,
        *,
        retention: timedelta = RETENTION,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._client, self._weaknesses, self._metrics = client, weaknesses, metrics
        self._retention, self._clock = retention, clock
        self._lock = threading.Lock()
        self._pending: dict[str, IncidentRecord] = {}
        self._stored: dict[str, Json] = {}
        self._written: dict[str, IncidentRecord] = {}
        self._is_missing = False

    def load(self) -> None:
        """Read what is stored. Raises ClusterError."""
        try:
            bodies = list(self._client.each(IOC_INCIDENT))
        except NotFoundError:
            bodies = []
        with self._lock:
            self._stored = {_name(body): body for body in bodies}

    def accept(self, post: Post) -> bool:
        """Take the incidents of a post; whether all of them are stored."""
        with self._lock:
            new = {one.name: one for one in post.incidents if self._written.get(one.name) != one}
            self._pending |= new
            return not new

    def turn(self) -> None:
        """Write what was told. Raises ClusterError where it should be tried again."""
        with self._lock:
            pending = list(self._pending.values())
        for record in sorted(pending, key=lambda one: (-one.severity, one.name)):
            try:
                self._write(record)
            except NotFoundError:
                # It waits until its kind is there, and what else is to be written does not.
                if not self._is_missing:
                    _log.error("%s: incidents are not written until it is", _MISSING_KIND)
                self._is_missing = True
                return
            self._is_missing = False
            with self._lock:
                self._written[record.name] = record
                if self._pending.get(record.name) == record:
                    del self._pending[record.name]

    def _write(self, record: IncidentRecord) -> None:
        before = self._stored.get(record.name)
        body = incident_body(record, self._weaknesses.of(record), self._clock(), before)
        if before is not None and _content(before) == _content(body):
            return
        try:
            self._stored[record.name] = put(self._client, IOC_INCIDENT, body)
        except ApiError as error:
            if error.status not in _REFUSED:
                raise
            self._metrics.dropped.inc()
            _log.error("an incident could not be stored: %s", error, extra={"incident": record.name})
            return
        self._metrics.written.labels(_action(before, record)).inc()

    def tidy(self) -> None:
        """Remove those that were closed long ago. Raises ClusterError."""
        now = self._clock()
        for name, body in list(self._stored.items()):
            content = mapping(body.get("incident"))
            is_over = content.get("state") != IncidentState.OPEN
            if is_over and is_past(text(content.get("lastSignal")), self._retention, now) is True:
                uid = text(mapping(body.get("metadata")).get("uid"))
                self._client.delete(IOC_INCIDENT, None, name, uid=uid or None)
                del self._stored[name]
                self._written.pop(name, None)
        for state in IncidentState:
            found = sum(mapping(body.get("incident")).get("state") == state for body in self._stored.values())
            self._metrics.incidents.labels(state.value).set(found)


def _name(body: Mapping[str, Any]) -> str:
    return text(mapping(body.get("metadata")).get("name"))


def _content(body: Mapping[str, Any]) -> Json:
    return {key: value for key, value in mapping(body.get("incident")).items() if key != "lastChanged"}


def _action(before: Json | None, record: IncidentRecord) -> str:
    if before is None:
        return "opened"
    return "updated" if record.state is IncidentState.OPEN else record.state.value.lower()
