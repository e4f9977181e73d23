"""Strands as bytes, to be kept through restarts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

import orjson

from iocaudit.core.errors import IocauditError
from iocaudit.core.severity import IoC, Severity
from iocaudit.incidents.strand import Statement, Strand, StrandKey

_VERSION = 1


class StrandsFormatError(IocauditError):
    """Strands that were kept cannot be read; says why."""


def strands_to_bytes(strands: Iterable[Strand]) -> bytes:
    """All of them; `strands_of_bytes` gives the same back."""
    return orjson.dumps([_VERSION, [_row(one) for one in strands]])


def _row(one: Strand) -> list[Any]:
    said = one.said
    return [
        [_sent(part) for part in one.key],
        one.rule,
        _sent(one.title),
        [int(ioc) for ioc in one.iocs],
        one.technique,
        list(one.related),
        one.is_check,
        one.is_sequence,
        int(one.severity),
        [said.rank, _seconds(said.when), _sent(said.message), _sent(said.place)],
        one.count,
        _seconds(one.first),
        _seconds(one.last),
    ]


def _sent(value: str) -> str:
    """Text that JSON can hold: a lone surrogate cannot be written as UTF-8."""
    return value.encode("utf-8", "backslashreplace").decode()


def _seconds(when: datetime) -> str:
    return when.astimezone(UTC).isoformat()


def strands_of_bytes(kept: bytes) -> Iterator[Strand]:
    """Read them back. Raises StrandsFormatError."""
    try:
        version, rows = orjson.loads(kept)
        if version != _VERSION:
            raise StrandsFormatError(f"the incidents that had begun were kept by another version ({version})")
        yield from [_strand(*row) for row in rows]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise StrandsFormatError(f"the incidents that had begun cannot be read: {error}") from error


def _strand(
    key: list[str],
    rule: str,
    title: str,
    iocs: list[int],
    technique: str,
    related: list[str],
    is_check: bool,
    is_sequence: bool,
    severity: int,
    said: tuple[int, str, str, str],
    count: int,
    first: str,
    last: str,
) -> Strand:
    worst, when, message, place = said
    return Strand(
        StrandKey(*key),
        rule,
        title,
        tuple(IoC(one) for one in iocs),
        technique,
        tuple(related),
        is_check,
        is_sequence,
        Severity(severity),
        Statement(worst, datetime.fromisoformat(when), message, place),
        count,
        datetime.fromisoformat(first),
        datetime.fromisoformat(last),
    )
