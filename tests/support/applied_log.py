"""The audit log of an administrator who applies manifests, as a real API server writes it at level RequestResponse."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from iocaudit.core.kinds import KINDS
from iocaudit.signals.audit_event import LinePlace, read_event
from iocaudit.signals.signal import Signal, signal_of
from tests.support.audit_events import Json, event

ADMINISTRATOR = {"username": "kubernetes-admin", "groups": ["system:masters", "system:authenticated"]}
_PLACE = LinePlace("applied", 1)


def applied(objects: Iterable[Json], verb: str, begin: datetime) -> Iterator[Signal]:
    """One request an object, a few a second; ``verb`` is create for an install and patch for an upgrade."""
    for number, one in enumerate(objects):
        when = (begin + timedelta(milliseconds=200 * number)).isoformat()
        group, _, version = str(one.get("apiVersion", "v1")).rpartition("/")
        kind = KINDS.get((group, one["kind"]))
        metadata = one.get("metadata") or {}
        reference = {
            "resource": kind.plural if kind is not None else f"{one['kind'].lower()}s",
            "name": metadata.get("name", ""),
            "apiVersion": version,
            "apiGroup": group,
            "namespace": metadata.get("namespace") or ("default" if kind is not None and kind.namespaced else ""),
        }
        raw = event(
            number,
            auditID=f"{verb}-{number}",
            verb=verb,
            user=ADMINISTRATOR,
            objectRef={key: value for key, value in reference.items() if value},
            requestURI=f"/apis/{reference['resource']}",
            responseStatus={"code": 201 if verb == "create" else 200},
            requestObject=one,
            responseObject=one,
            requestReceivedTimestamp=when,
            stageTimestamp=when,
        )
        yield signal_of(read_event(raw, _PLACE, "native"))
