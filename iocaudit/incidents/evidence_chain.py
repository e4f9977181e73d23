"""Records of evidence in a chain of digests, and the file that carries them out of a cluster.

Each digest is SHA-256 over a tag, the digest before it and the record with its length, and the first is over the
incident's name: no record can be changed, dropped, swapped or added without changing all that follow. The head binds
the last digest and the count. It stands in the IocIncident, so a chain that was rebuilt whole is found as well.

A file is lines of JSON in one form, byte by byte: a line for the incident, one for each record, and one that closes it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

import orjson

from iocaudit.core.errors import IocauditError
from iocaudit.core.shape import Json

FORMAT: Final = "iocaudit.io/evidence/v1"
_FIRST, _NEXT, _HEAD, _SEAL = (f"{FORMAT} {part}\n".encode() for part in ("first", "next", "head", "seal"))
_HEX: Final = 64


class EvidenceError(IocauditError):
    """A file is not the evidence that it claims to be; names the line or record, and what is wrong with it."""


class EvidenceFile(NamedTuple):
    """What a file holds once it was verified: the incident as it was told, its records, and the chain's head."""

    name: str
    incident: Json
    records: list[Json]
    head: str


def canonical(value: object) -> bytes:
    """The one form of a value: sorted keys, no spaces, UTF-8."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def first_digest(name: str) -> bytes:
    """What the chain of an incident begins with."""
    return hashlib.sha256(_FIRST + _sized(name.encode())).digest()


def next_digest(before: bytes, record: bytes) -> bytes:
    """The digest of a record in its one form, behind another."""
    return hashlib.sha256(_NEXT + before + _sized(record)).digest()


def head_of(digest: bytes, count: int) -> str:
    """The head of a chain of ``count`` records, as 64 hex digits."""
    return hashlib.sha256(_HEAD + digest + count.to_bytes(8, "big")).hexdigest()


def _sized(data: bytes) -> bytes:
    return len(data).to_bytes(8, "big") + data


def heads(name: str, records: Iterable[bytes]) -> Iterator[tuple[int, str]]:
    """The count and the head behind each record, from none on."""
    digest = first_digest(name)
    yield 0, head_of(digest, 0)
    for count, record in enumerate(records, 1):
        digest = next_digest(digest, record)
        yield count, head_of(digest, count)


def file_of(name: str, incident: Json, records: Iterable[bytes]) -> bytes:
    """The file. ``records`` are in their one form."""
    kept = list(records)
    *_, (count, head) = heads(name, kept)
    lines = [canonical({"format": FORMAT, "incident": incident, "name": name})]
    lines += [b'{"number":%d,"record":%b}' % (number, record) for number, record in enumerate(kept, 1)]
    body = b"".join(line + b"\n" for line in lines)
    return body + canonical({"count": count, "head": head, "seal": _seal(body, head)}) + b"\n"


def _seal(body: bytes, head: str) -> str:
    return hashlib.sha256(_SEAL + head.encode() + body).hexdigest()


def verified(data: bytes, head: str | None = None, count: int | None = None) -> EvidenceFile:
    """The evidence in a file, where nothing was changed.

    ``head`` and ``count`` are those of the IocIncident: a file that was exported later may go on behind them. Without
    them a chain that was rebuilt whole looks like ours. Raises EvidenceError.
    """
    if not data.endswith(b"\n"):
        raise EvidenceError("the file does not end with a line break: its tail is missing")
    lines = data[:-1].split(b"\n")
    opening = _line(lines[0], 1, {"format", "incident", "name"})
    name, incident = opening["name"], opening["incident"]
    if opening["format"] != FORMAT or not isinstance(name, str) or not isinstance(incident, dict):
        raise EvidenceError(f"line 1: not evidence in the format {FORMAT}")
    if len(lines) < 2 or not lines[-1].startswith(b'{"count":'):
        raise EvidenceError(f"line {len(lines)}: the closing line is missing: the tail of the file was cut off")
    closing = _line(lines[-1], len(lines), {"count", "head", "seal"})
    records = [_record(line, number) for number, line in enumerate(lines[1:-1], 1)]
    if closing["count"] != len(records):
        raise EvidenceError(f"the file holds {len(records)} records, and says that it has {closing['count']}")
    known = list(heads(name, map(canonical, records)))
    if closing["head"] != known[-1][1]:
        raise EvidenceError("the records do not give the head of the closing line: one of them was changed")
    body = data[: len(data) - len(lines[-1]) - 1]
    if closing["seal"] != _seal(body, known[-1][1]):
        raise EvidenceError("line 1 was changed: the seal of the closing line is of another")
    _compare(known, head, count)
    return EvidenceFile(name, incident, records, known[-1][1])


def _compare(known: list[tuple[int, str]], head: str | None, count: int | None) -> None:
    if head is None:
        return
    if len(head) != _HEX or count is None:
        raise EvidenceError("give the head (64 hex digits) and the count, both as the IocIncident has them")
    if not 0 <= count < len(known):
        raise EvidenceError(
            f"the file holds {len(known) - 1} records, the IocIncident counts {count}: some are missing"
        )
    if known[count][1] != head:
        raise EvidenceError(f"the first {count} records do not give the head of the IocIncident: the chain was rebuilt")


def _line(line: bytes, number: int, fields: set[str]) -> dict[str, Any]:
    try:
        found = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise EvidenceError(f"line {number}: not JSON ({error}): it was changed") from error
    if not isinstance(found, dict) or set(found) != fields or canonical(found) != line:
        raise EvidenceError(f"line {number}: not in the form that it was written in: it was changed")
    return found


def _record(line: bytes, number: int) -> Json:
    found = _line(line, number + 1, {"number", "record"})
    if found["number"] != number or type(found["number"]) is not int:
        raise EvidenceError(f"record {number}: has the number {found['number']}: one was dropped, swapped or added")
    record = found["record"]
    if not isinstance(record, dict):
        raise EvidenceError(f"record {number}: not an object")
    return record
