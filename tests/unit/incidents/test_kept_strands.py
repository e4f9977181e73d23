"""Strands come back from bytes as they were, and what is not strands says so."""

import pytest
from hypothesis import given

from iocaudit.incidents.kept_strands import StrandsFormatError, strands_of_bytes, strands_to_bytes
from iocaudit.incidents.strand import StrandLog
from iocaudit.signals.sighting import Sighting
from tests.support.sightings import sighting
from tests.unit.incidents.test_correlation import SIGHTINGS


@given(sightings=SIGHTINGS)
def test_they_come_back_as_they_were(sightings: list[Sighting]) -> None:
    log = StrandLog()
    for one in sightings:
        log.add(one)
    assert list(strands_of_bytes(strands_to_bytes(log))) == list(log)


def test_a_lone_surrogate_is_spelled_out() -> None:
    log = StrandLog()
    log.add(sighting(0, "a", "x\ud800"))
    [one] = strands_of_bytes(strands_to_bytes(log))
    assert one.key.account == "x\\ud800"


@pytest.mark.parametrize("kept", [b"", b"{}", b"[1]", b"[1, [[]]]", b"[1, [1]]", b"[9, []]", b'[1, [["a"]]]'])
def test_what_cannot_be_read_says_so(kept: bytes) -> None:
    with pytest.raises(StrandsFormatError, match="incidents that had begun"):
        list(strands_of_bytes(kept))
