"""What events arrive in: as they are, in a list, and as clouds and log collectors wrap them.

- The API server: an Event a line; its webhook backend: an EventList.
- EKS, from CloudWatch: the event as text in ``message`` of a log event, alone or in ``events`` (filter-log-events) or
  ``logEvents`` (a subscription); an export to S3 puts the time before each.
- AKS, from diagnostic settings: ``properties.log`` as text or as an object, alone or in ``records`` (an event hub).
- GKE: ``protoPayload`` (``gke_entry``).
- Collectors: the event as text in ``log`` or ``message``, or as an object there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from iocaudit.core.errors import IocauditError
from iocaudit.core.shape import Json, mapping
from iocaudit.decoding.objects import NotJsonError, decode
from iocaudit.signals.audit_event import AuditEvent, LinePlace, is_event, read_event
from iocaudit.signals.gke_entry import is_entry, read_entry

_LISTS = ("items", "events", "logEvents", "records", "Records")
_TEXTS = ("message", "@message", "log", "Log")
_DEEPEST = 4
"""Wrappers in each other; a log event in an export in an envelope is three."""


NATIVE, CLOUDWATCH, AKS, COLLECTOR = "native", "eks-cloudwatch", "aks", "collector"


class NotAuditError(IocauditError):
    """What was read is not an event of an audit log; says why."""


Events = Iterator[AuditEvent | NotAuditError]
MayMatter = Callable[[bytes], bool]


def events_in(raw: Any, place: LinePlace, may_matter: MayMatter = lambda _: True) -> Events:
    """The events in a value of a log, each by itself: one that cannot be read does not cost its neighbours.

    Entries of other services in the same log give nothing. ``may_matter`` is asked of the text of an event in a
    wrapper before it is decoded.
    """
    return _Unwrapper(place, may_matter).within(raw, NATIVE, 0)


class _Unwrapper(NamedTuple):
    """The events of one line."""

    place: LinePlace
    may_matter: MayMatter

    def within(self, raw: Any, wrapper: str, depth: int) -> Events:
        if not isinstance(raw, dict):
            yield NotAuditError("it is not a JSON object")
        elif is_event(raw):
            yield read_event(raw, self.place, wrapper)
        elif is_entry(raw):
            found = read_entry(raw, self.place)
            if found is not None:
                yield found
        elif depth >= _DEEPEST:
            yield NotAuditError("its wrappers nest too deep")
        else:
            yield from self._unwrapped(raw, wrapper, depth)

    def _unwrapped(self, raw: Json, wrapper: str, depth: int) -> Events:
        for name in _LISTS:
            several = raw.get(name)
            if isinstance(several, list):
                inner = CLOUDWATCH if name in ("events", "logEvents") else wrapper
                for one in several:
                    yield from self.within(one, inner, depth + 1)
                return
        log = mapping(raw.get("properties")).get("log")
        if log is not None:
            yield from self._of_text(log, AKS, depth)
            return
        for name in _TEXTS:
            if name in raw:
                inner = CLOUDWATCH if name in ("message", "@message") else COLLECTOR
                yield from self._of_text(raw[name], wrapper if wrapper != NATIVE else inner, depth)
                return
        yield NotAuditError("it is not an event of an audit log")

    def _of_text(self, value: object, wrapper: str, depth: int) -> Events:
        if not isinstance(value, str):
            yield from self.within(value, wrapper, depth + 1)
            return
        if value.lstrip()[:1] != "{":  # the other logs of a control plane go the same way
            yield NotAuditError("it is not an event of an audit log")
            return
        data = value.encode("utf-8", "surrogatepass")
        if not self.may_matter(data):
            return
        try:
            found = decode(data)
        except NotJsonError as error:
            yield NotAuditError(f"the text in it is not JSON: {error}")
            return
        yield from self.within(found, wrapper, depth + 1)
