"""What a webhook replica posts to the operator: numbered deltas of denied attempts, as JSON.

A replica's posts are numbered from 1. It sends a number again, unchanged, until the operator says that it is
stored, and only then the next: so a number seen twice is the same post.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from iocaudit.core.attempt import EVIDENCE, MOST_KEYS, Attempt, Tally
from iocaudit.core.errors import IocauditError
from iocaudit.core.identity import BOUNDS
from iocaudit.core.severity import IoC, Severity
from iocaudit.core.shape import Json

MOST_ENTRIES = MOST_KEYS + 256
"""Entries of one post: the map's keys, and one ``other`` a check."""
LONGEST: Mapping[str, int] = {**BOUNDS, "message": 1024, "fix": 1024}
"""Characters of each field; those of the finding's schema or fewer."""
_REPLICA = re.compile(r"[A-Za-z0-9.-]{1,128}")
_CHECK = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_LARGEST = 2**53 - 1


class PostError(IocauditError):
    """The body is no post of denied attempts; names the field and what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Post:
    """``last`` says that the replica goes away and that nothing will follow."""

    replica: str
    number: int
    attempts: Mapping[Attempt, Tally]
    last: bool = False


def to_bytes(post: Post) -> bytes:
    """The body; `read_post` gives the same post back."""
    return orjson.dumps(
        {
            "replica": post.replica,
            "number": post.number,
            "last": post.last,
            "attempts": [
                {
                    **attempt._asdict(),
                    "count": tally.count,
                    "first": tally.first,
                    "last": tally.last,
                    "severity": tally.severity.label,
                    "iocs": [int(ioc) for ioc in tally.iocs],
                    "message": tally.message,
                    "fix": tally.fix,
                }
                for attempt, tally in post.attempts.items()
            ],
        }
    )


def read_post(body: bytes) -> Post:
    """Read a body. Everything has to be there and within its bounds; raises PostError otherwise."""
    try:
        raw = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise PostError(f"the body is not JSON: {error}") from None
    if not isinstance(raw, dict):
        raise PostError("the body is not a JSON object")
    replica = raw.get("replica")
    if not isinstance(replica, str) or not _REPLICA.fullmatch(replica):
        raise PostError("replica: must be 1 to 128 letters, digits, dots and dashes")
    last = raw.get("last")
    if not isinstance(last, bool):
        raise PostError("last: must be true or false")
    entries = raw.get("attempts")
    if not isinstance(entries, list) or len(entries) > MOST_ENTRIES:
        raise PostError(f"attempts: must be a list of at most {MOST_ENTRIES}")
    attempts: dict[Attempt, Tally] = {}
    for place, entry in enumerate(entries):
        attempt, tally = _entry(entry, f"attempts[{place}]")
        if attempt in attempts:
            raise PostError(f"attempts[{place}]: stands there twice")
        attempts[attempt] = tally
    return Post(replica, _integer(raw, "number", "number"), attempts, last)


def _entry(entry: Any, where: str) -> tuple[Attempt, Tally]:
    if not isinstance(entry, dict):
        raise PostError(f"{where}: not an object")
    check = _text(entry, "check", where)
    if not _CHECK.fullmatch(check):
        raise PostError(f"{where}.check: not the id of a check")
    kind, name = _text(entry, "kind", where), _text(entry, "name", where)
    if not kind:
        raise PostError(f"{where}.kind: empty")
    namespace = None if entry.get("namespace") is None else _text(entry, "namespace", where)
    if namespace == "":
        raise PostError(f"{where}.namespace: empty; null is cluster scope")
    of = entry.get("type")
    if of not in EVIDENCE:
        raise PostError(f"{where}.type: must be one of {', '.join(EVIDENCE)}")
    attempt = Attempt(check, _text(entry, "group", where), kind, namespace, name, _text(entry, "user", where), of)
    try:
        severity = Severity.parse(_text(entry, "severity", where))
    except ValueError as error:
        raise PostError(f"{where}.severity: {error}") from None
    iocs = entry.get("iocs")
    if not isinstance(iocs, list) or not all(type(ioc) is int and ioc in set(IoC) for ioc in iocs):
        raise PostError(f"{where}.iocs: must be a list of numbers from 1 to 10")
    first, last = _seconds(entry, "first", where), _seconds(entry, "last", where)
    if first > last:
        raise PostError(f"{where}.first: later than last")
    return attempt, Tally(
        _integer(entry, "count", f"{where}.count"),
        first,
        last,
        severity,
        tuple(dict.fromkeys(IoC(ioc) for ioc in iocs)),
        _text(entry, "message", where),
        _text(entry, "fix", where),
    )


def _text(entry: Json, field: str, where: str) -> str:
    value = entry.get(field)
    if not isinstance(value, str):
        raise PostError(f"{where}.{field}: missing or not a string")
    if len(value) > LONGEST.get(field, 16):
        raise PostError(f"{where}.{field}: longer than {LONGEST.get(field, 16)} characters")
    return value


def _integer(entry: Json, field: str, where: str) -> int:
    value = entry.get(field)
    if type(value) is not int or not 1 <= value <= _LARGEST:
        raise PostError(f"{where}: must be a whole number from 1 to {_LARGEST}")
    return value


def _seconds(entry: Json, field: str, where: str) -> float:
    value = entry.get(field)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**33:
        raise PostError(f"{where}.{field}: must be Unix seconds")
    return float(value)
