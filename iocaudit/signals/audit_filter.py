"""Which events matter, as far as the first bytes of a line tell: most of a log are reads, leases and Events.

The API server writes the fields of an event in the order of its type, so what decides comes before anything that
a user chose at will. A line in any other order, or in a wrapper, is parsed whole; nothing is dropped for a guess.
Source: k8s.io/apiserver, pkg/apis/audit/v1/types.go, Event and ObjectReference; encoding/json keeps their order.
"""

from __future__ import annotations

import re
from collections.abc import Callable

EventFilter = Callable[[str, str, str], bool]
"""Whether requests of a verb for a resource of a group (``pods/exec``) matter."""

_HEAD = re.compile(
    rb'\{"kind":"Event","apiVersion":"audit\.k8s\.io/v1","level":"[A-Za-z]*+","auditID":"[^"\\]*+",'
    rb'"stage":"([A-Za-z]*+)","requestURI":"(?:[^"\\]++|\\.)*+","verb":"([a-z]*+)",'
)
_TARGET = re.compile(
    rb'"objectRef":\{"resource":"([^"\\]*+)"(?:,"namespace":"[^"\\]*+")?+(?:,"name":"(?:[^"\\]++|\\.)*+")?+'
    rb'(?:,"uid":"[^"\\]*+")?+(?:,"apiGroup":"([^"\\]*+)")?+(?:,"apiVersion":"[^"\\]*+")?+'
    rb'(?:,"resourceVersion":"[^"\\]*+")?+(?:,"subresource":"([^"\\]*+)")?+\}'
)
_MOST_KEPT = 10_000
_RECEIVED = b"RequestReceived"


class AuditFilter:
    """Asked of each line whether its event can matter; ``by_name`` of one that was parsed."""

    def __init__(self, wanted: EventFilter) -> None:
        self._wanted = wanted
        self._verbs: dict[bytes, bool] = {}
        self._known: dict[tuple[bytes, ...], bool] = {}

    def may_matter(self, line: bytes) -> bool:
        """Whether the line has to be parsed. One that is cut off has, so someone says so."""
        head = _HEAD.match(line)
        if head is None:
            return True
        stage, verb = head.group(1, 2)
        target = _TARGET.search(line, head.end())
        if target is None:
            # Nothing but requests for resources has such a field: what it is asked for cannot be an object.
            return b'"objectRef"' in line or not _is_whole(line)
        key = (verb, *target.group(1, 2, 3))
        known = self._known.get(key)
        if known is None:
            known = self._decided(key)
        if known and stage != _RECEIVED:
            return True
        return not _is_whole(line)

    def _decided(self, key: tuple[bytes, ...]) -> bool:
        verb, resource, group, subresource = (part.decode("utf-8", "replace") if part else "" for part in key)
        if len(self._known) >= _MOST_KEPT:
            self._known.clear()
        whole = f"{resource}/{subresource}" if subresource else resource
        known = self._known[key] = self._wanted(verb, group, whole)
        return known

    def by_name(self, verb: str, group: str, resource: str) -> bool:
        return self._wanted(verb, group, resource)


def _is_whole(line: bytes) -> bool:
    return line.endswith(b"}\n") or line.rstrip().endswith(b"}")
