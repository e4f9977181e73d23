"""Pieces that every rule is made of."""

from __future__ import annotations

from iocaudit.install.vap.rule import THROUGH, PodPart, clipped, first


def test_pieces_of_expressions() -> None:
    assert first("names").startswith("[names[0]].map(text, ")
    assert clipped("it.image").count("it.image") == 1, "what is long is not written twice"
    assert set(THROUGH) == set(PodPart)
