"""What a replica posts of rollouts comes out as it went in, moved by what its clock is off; nothing else is taken."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iocaudit.core.would_be_denied import RolloutKey, RolloutOutcome, RolloutPost, RolloutRequester, RolloutTally
from iocaudit.evidence.post import Post, read_post, to_bytes
from iocaudit.evidence.post_fields import PostError

WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
TIMES = st.integers(10**9, 2 * 10**9).map(float)
TALLIES = st.builds(
    RolloutTally,
    st.integers(1, 2**53 - 1),
    TIMES,
    st.lists(st.tuples(st.builds(RolloutRequester, WORDS, WORDS, WORDS), TIMES), max_size=3).map(tuple),
)
KEYS = st.builds(RolloutKey, WORDS, WORDS, WORDS, st.sampled_from(RolloutOutcome))
PARTS = st.builds(
    RolloutPost,
    TIMES,
    st.dictionaries(WORDS, WORDS, max_size=3).map(lambda found: tuple(sorted(found.items()))),
    st.dictionaries(KEYS, TALLIES, max_size=4).map(lambda found: tuple(found.items())),
    st.integers(0, 9),
)


@given(PARTS, TIMES)
def test_comes_out_as_it_went_in(part: RolloutPost, sent: float) -> None:
    post = Post("one", 1, {}, False, part)
    assert read_post(to_bytes(post)) == post
    assert read_post(to_bytes(post, sent), sent) == post


@given(PARTS, TIMES, st.integers(-10_000, 10_000).map(float))
def test_a_clock_that_is_off_decides_nothing(part: RolloutPost, sent: float, off: float) -> None:
    found = read_post(to_bytes(Post("one", 1, {}, False, part), sent), sent + off).rollouts
    assert found is not None
    assert found.until == part.until + off
    assert [tally.last for _, tally in found.requests] == [tally.last + off for _, tally in part.requests]


def test_an_older_replica_says_nothing_of_rollouts() -> None:
    assert read_post(to_bytes(Post("one", 1, {}))).rollouts is None


GOOD: dict[str, Any] = {
    "until": 1.0,
    "sent": 1.0,
    "missed": 0,
    "counting": {"p": "f"},
    "requests": [
        {
            "policy": "p",
            "fingerprint": "f",
            "place": "shop",
            "outcome": "would-be-denied",
            "count": 1,
            "last": 1.0,
            "who": [{"check": "c", "user": "u", "target": "t", "last": 1.0}],
        }
    ],
}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"until": "now"}, "rollouts.until: must be Unix seconds"),
        ({"sent": -1}, "rollouts.sent: must be Unix seconds"),
        ({"missed": -1}, "rollouts.missed: must be a whole number from 0"),
        ({"counting": []}, "rollouts.counting: not an object"),
        ({"counting": {"p": 1}}, "rollouts.counting: must map names of policies to fingerprints"),
        ({"counting": {str(n): "f" for n in range(257)}}, "rollouts.counting: must hold at most 256"),
        ({"requests": {}}, "rollouts.requests: must be a list of at most"),
        ({"requests": GOOD["requests"] * 2}, "rollouts.requests[1]: stands there twice"),
        ({"outcome": "x"}, "rollouts.requests[0].outcome: must be one of would-be-denied, locked-out"),
        ({"place": "n" * 64}, "rollouts.requests[0].place: longer than 63 characters"),
        ({"policy": None}, "rollouts.requests[0].policy: missing or not a string"),
        ({"count": 0}, "rollouts.requests[0].count: must be a whole number from 1"),
        ({"last": True}, "rollouts.requests[0].last: must be Unix seconds"),
        ({"who": GOOD["requests"][0]["who"] * 4}, "rollouts.requests[0].who: must be a list of at most 3"),
        ({"who": [3]}, "rollouts.requests[0].who[0]: not an object"),
    ],
)
def test_what_is_wrong_is_named(change: dict[str, Any], said: str) -> None:
    (name,) = change
    part = GOOD | change if name in GOOD else GOOD | {"requests": [GOOD["requests"][0] | change]}
    body = json.loads(to_bytes(Post("one", 1, {})))
    assert read_post(json.dumps(body | {"rollouts": GOOD}).encode()).rollouts is not None
    with pytest.raises(PostError) as caught:
        read_post(json.dumps(body | {"rollouts": part}).encode(), 1.0)
    assert str(caught.value).startswith(said)
