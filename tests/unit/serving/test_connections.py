"""Connections are counted exactly, and the right one goes, in whatever order things happen."""

from collections import Counter
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iocaudit.serving.connections import PATIENCE, Connections, ConnectionSlot, Rank, Reason

SOURCES = ("10.0.0.1", "10.0.0.2", "10.0.0.3")
RANKS = (Rank.CLOSING, Rank.IDLE, Rank.LARGE, Rank.RECEIVING, Rank.BUSY)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("admit"), st.sampled_from(SOURCES)),
        st.tuples(st.just("move"), st.integers(0, 30), st.sampled_from(RANKS)),
        st.tuples(st.just("prove"), st.integers(0, 30)),
        st.tuples(st.just("leave"), st.integers(0, 30)),
        st.tuples(st.just("end"), st.integers(0, 30)),
        st.tuples(st.just("fits"), st.sampled_from(RANKS)),
        st.tuples(st.just("wait"), st.floats(0.0, 2 * PATIENCE)),
    ),
    max_size=80,
)


@dataclass
class Model:
    """What should be so, reckoned anew at each step from every connection there ever was."""

    now: float = 0.0
    made: list[ConnectionSlot] = field(default_factory=list)
    ended: list[ConnectionSlot] = field(default_factory=list)
    left: set[ConnectionSlot] = field(default_factory=set)
    reasons: Counter[Reason] = field(default_factory=Counter)

    def new(self, most: int, by_source: int) -> Connections:
        return Connections(most, by_source, lambda reason: self.reasons.update([reason]), clock=lambda: self.now)

    @property
    def open(self) -> list[ConnectionSlot]:
        return [place for place in self.made if place not in self.ended and place not in self.left]

    def first_to_go(self, source: str | None) -> ConnectionSlot | None:
        """By the order of the documentation, in the plainest words."""
        able = [place for place in self.open if source is None or (place.source == source and not place.proven)]

        def longest(rank: Rank, patience: float) -> list[ConnectionSlot]:
            found = [place for place in able if place.rank is rank and self.now - place.since >= patience]
            return sorted(found, key=lambda place: place.since)

        order = [
            *longest(Rank.CLOSING, 0.0),
            *longest(Rank.OPENING, PATIENCE),
            *longest(Rank.IDLE, PATIENCE),
            *longest(Rank.LARGE, PATIENCE),
            *longest(Rank.RECEIVING, PATIENCE),
            *longest(Rank.OPENING, 0.0),
            *longest(Rank.IDLE, 0.0),
            *longest(Rank.PROVEN, 0.0),
        ]
        return order[0] if order else None


@given(STEPS, st.integers(1, 6), st.integers(1, 4))
def test_whatever_happens_the_count_is_exact_and_the_first_in_order_goes(
    steps: list[tuple[object, ...]], most: int, by_source: int
) -> None:
    model = Model()
    connections = model.new(most, by_source)
    for word, *rest in steps:
        if word == "wait":
            model.now += float(rest[0])  # type: ignore[arg-type]
        elif word == "admit":
            source = str(rest[0])
            mine = [place for place in model.open if place.source == source and not place.proven]
            full = len(mine) >= by_source or len(model.open) >= most
            expected = model.first_to_go(source if len(mine) >= by_source else None) if full else None
            since, rank = (expected.since, expected.rank) if expected else (0.0, None)
            ended = len(model.ended)
            place = connections.admit(source)
            gone = model.ended[ended:]
            assert (place is None) == (full and expected is None)
            assert [one.since for one in gone] == ([since] if expected else [])
            assert rank is not Rank.BUSY
            if place is not None:
                place.end = model.ended.append
                model.made.append(place)
        elif word == "fits":
            connections.fits(rest[0], 2)  # type: ignore[arg-type]
        elif model.made:
            place = model.made[int(rest[0]) % len(model.made)]  # type: ignore[call-overload]
            if word == "move":
                connections.move(place, rest[1])  # type: ignore[arg-type]
            elif word == "prove":
                connections.prove(place)
            elif word == "end":
                connections.end(place)
            else:
                connections.leave(place)
                model.left.add(place)
        assert len(connections) == len(model.open) <= most
        assert sum(connections.of(rank) for rank in Rank) == len(connections)
        assert connections.ending == len(set(model.ended) - model.left)
        assert len(model.ended) == len(set(model.ended)), "each is told to end once"
        for source in SOURCES:
            mine = [place for place in model.open if place.source == source and not place.proven]
            assert connections.from_source(source) == len(mine) <= by_source
    for place in model.made:
        connections.leave(place)
    assert (len(connections), connections.ending) == (0, 0)
    assert [connections.from_source(source) for source in SOURCES] == [0, 0, 0]


def test_a_source_over_its_bound_displaces_only_its_own_and_never_what_is_proven() -> None:
    model = Model()
    connections = model.new(100, 3)

    def admit(source: str) -> ConnectionSlot:
        place = connections.admit(source)
        assert place is not None
        place.end = model.ended.append
        model.made.append(place)
        return place

    api_server = [admit("10.0.0.1") for _ in range(3)]
    for place in api_server:
        connections.prove(place)
        connections.move(place, Rank.IDLE)
    other = admit("10.0.0.2")
    for _ in range(20):
        admit("10.0.0.1")
    assert connections.from_source("10.0.0.1") == 3
    assert not set(model.ended) & {*api_server, other}
    assert model.reasons == {Reason.SOURCE: 17}
    # And one more of the API server has the time of three others to prove itself.
    new = admit("10.0.0.1")
    admit("10.0.0.1")
    admit("10.0.0.1")
    connections.prove(new)
    assert new not in model.ended


@pytest.mark.parametrize("rank", [Rank.IDLE, Rank.RECEIVING, Rank.LARGE])
def test_what_a_proven_client_does_is_safe_from_all_who_have_proven_nothing(rank: Rank) -> None:
    model = Model()
    connections = model.new(5, 5)
    for number in range(50):
        place = connections.admit(SOURCES[number % 3])
        assert place is not None
        place.end = model.ended.append
        if number < 3:
            connections.prove(place)
            connections.move(place, rank)
            model.made.append(place)
        model.now += 1.0
    assert not set(model.ended) & set(model.made)


def test_where_all_are_answered_the_newest_is_refused() -> None:
    model = Model()
    connections = model.new(2, 2)
    for source in SOURCES[:2]:
        place = connections.admit(source)
        assert place is not None
        connections.move(place, Rank.BUSY)
    model.now += 60
    assert connections.admit(SOURCES[2]) is None
    assert model.reasons == {Reason.REFUSED: 1}
