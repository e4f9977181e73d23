"""Nothing in a file of evidence can be changed without it being found."""

import random
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iocaudit.incidents.evidence_chain import (
    EvidenceError,
    canonical,
    file_of,
    first_digest,
    head_of,
    heads,
    next_digest,
    verified,
)

NAME = "incident-0123456789"
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=3), inner, max_size=3),
    max_leaves=6,
)
RECORDS = st.lists(st.dictionaries(st.text("abc", max_size=3), VALUES, max_size=3), max_size=8)


def record(number: int) -> dict[str, Any]:
    return {"at": f"2026-11-30T10:00:{number:02}Z", "message": f"step {number}", "rule": "exec-in-pod"}


def written(count: int = 12, name: str = NAME) -> bytes:
    return file_of(name, {"severity": "high", "count": count}, [canonical(record(number)) for number in range(count)])


@given(records=RECORDS)
def test_what_was_written_is_read_back(records: list[dict[str, Any]]) -> None:
    kept = [canonical(one) for one in records]
    known = list(heads(NAME, kept))
    found = verified(file_of(NAME, {"a": 1}, kept), known[-1][1], len(kept))
    assert (found.name, found.records, found.head) == (NAME, records, known[-1][1])


def mutated(chance: random.Random, data: bytes) -> bytes:
    """One change somewhere: a byte, a line, a part of it, the tail, or one more."""
    lines = data.split(b"\n")
    which = chance.randrange(len(lines) - 1)
    match chance.randrange(9):
        case 0:
            at = chance.randrange(len(data))
            return data[:at] + bytes([data[at] ^ (1 << chance.randrange(8))]) + data[at + 1 :]
        case 1:
            return b"\n".join(lines[:which] + lines[which + 1 :])
        case 2:
            other = chance.randrange(len(lines) - 1)
            lines[which], lines[other] = lines[other], lines[which]
            return b"\n".join(lines)
        case 3:
            return b"\n".join([*lines[:which], lines[chance.randrange(len(lines) - 1)], *lines[which:]])
        case 4:
            return data[: chance.randrange(len(data))]
        case 5:
            at = chance.randrange(len(data) + 1)
            return data[:at] + bytes([chance.randrange(256)]) + data[at:]
        case 6:
            at = chance.randrange(len(data))
            return data[:at] + data[at + chance.randrange(1, 9) :]
        case 7:
            return data + chance.choice([b"\n", b" ", b"{}\n", lines[-2] + b"\n", b"\x00"])
        case _:
            changes = [(b"\n", b"\r\n"), (b"{", b"{ "), (b"step 1", b"step\\u00201"), (b"exec", b"\xef\xbb\xbfexec")]
            before, after = chance.choice(changes)
            return data.replace(before, after, 1)


def test_none_of_ten_thousand_mutations_is_missed() -> None:
    chance, data = random.Random(11), written()
    tried = 0
    while tried < 10_000:
        changed = mutated(chance, data)
        if changed == data:
            continue
        tried += 1
        with pytest.raises(EvidenceError):
            verified(changed)


def rebuilt(records: list[dict[str, Any]]) -> bytes:
    """A file that an attacker who knows the format makes anew."""
    return file_of(NAME, {"severity": "high", "count": 12}, [canonical(one) for one in records])


def test_a_chain_that_was_rebuilt_is_found_by_the_head_of_the_incident() -> None:
    chance = random.Random(12)
    original = [record(number) for number in range(12)]
    *_, (count, head) = heads(NAME, map(canonical, original))
    for _ in range(500):
        forged = [dict(one) for one in original]
        at = chance.randrange(12)
        match chance.randrange(4):
            case 0:
                forged[at]["message"] = "nothing"
            case 1:
                del forged[at]
            case 2:
                other = (at + chance.randrange(1, 12)) % 12
                forged[at], forged[other] = forged[other], forged[at]
            case _:
                forged.insert(at, record(50))
        assert verified(rebuilt(forged)).records == forged, "by itself it is not told apart"
        with pytest.raises(EvidenceError, match=r"the chain was rebuilt|some are missing"):
            verified(rebuilt(forged), head, count)


def test_a_file_that_was_exported_later_goes_on_behind_the_head() -> None:
    [*_, (count, head)] = list(heads(NAME, [canonical(record(number)) for number in range(5)]))
    assert len(verified(written(9), head, count).records) == 9
    with pytest.raises(EvidenceError, match="holds 3 records, the IocIncident counts 5"):
        verified(written(3), head, count)


def test_the_name_and_the_count_are_bound() -> None:
    assert first_digest("incident-a") != first_digest("incident-b")
    digest = next_digest(first_digest(NAME), b"{}")
    assert head_of(digest, 1) != head_of(digest, 2)
    *_, (count, head) = heads("incident-aaaaaaaaaa", [canonical(record(number)) for number in range(12)])
    with pytest.raises(EvidenceError, match="rebuilt"):
        verified(written(), head, count)


def test_what_is_wrong_is_said_by_line_or_record() -> None:
    lines = written().split(b"\n")
    with pytest.raises(EvidenceError, match="record 3: has the number 4"):
        verified(b"\n".join(lines[:3] + lines[4:]))
    with pytest.raises(EvidenceError, match="the head of the closing line: one of them was changed"):
        verified(written().replace(b"step 7", b"step 8"))
    with pytest.raises(EvidenceError, match="line 1 was changed"):
        verified(written().replace(b'"severity":"high"', b'"severity":"low"'))
    with pytest.raises(EvidenceError, match="the tail of the file was cut off"):
        verified(b"\n".join(lines[:-2]) + b"\n")
    with pytest.raises(EvidenceError, match="give the head"):
        verified(written(), "abc", 12)


@given(st.binary(max_size=300))
def test_whatever_is_no_file_of_evidence_is_refused(data: bytes) -> None:
    with pytest.raises(EvidenceError):
        verified(data)


def test_a_closing_line_of_another_shape_is_refused() -> None:
    body = written().rpartition(b'{"count":')[0]
    for closing in ({"count": 12}, {"count": "12", "head": 1, "seal": []}, {"count": 12, "head": "", "seal": ""}):
        with pytest.raises(EvidenceError):
            verified(body + orjson.dumps(closing) + b"\n")
