"""What a replica posts comes out as it went in, and nothing else is taken."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iocaudit.core.attempt import EVIDENCE, Attempt, Tally
from iocaudit.core.severity import IoC, Severity
from iocaudit.sources.attempt_post import LONGEST, MOST_ENTRIES, Post, PostError, read_post, to_bytes
from tests.unit.decoding.texts import odd_texts


def words(field: str, least: int = 0) -> st.SearchStrategy[str]:
    return st.text(st.characters(exclude_categories=["Cs"]), min_size=least, max_size=LONGEST[field])


CHECKS = st.sampled_from(["privileged-container", "host-pid", "x"])
NAMESPACES = st.none() | words("namespace", 1)
ATTEMPTS = st.builds(
    Attempt,
    CHECKS,
    words("group"),
    words("kind", 1),
    NAMESPACES,
    words("name"),
    words("user"),
    st.sampled_from(list(EVIDENCE)),
)
COUNTS = st.integers(1, 2**53 - 1)
TIMES = st.tuples(st.floats(0, 2**32), st.floats(0, 2**32)).map(sorted)
IOCS = st.lists(st.sampled_from(list(IoC)), unique=True).map(tuple)
TALLIES = st.builds(
    lambda count, times, *rest: Tally(count, times[0], times[1], *rest),
    COUNTS,
    TIMES,
    st.sampled_from(list(Severity)),
    IOCS,
    words("message"),
    words("fix"),
)
POSTS = st.builds(
    Post,
    st.from_regex(r"[A-Za-z0-9.-]{1,128}", fullmatch=True),
    COUNTS,
    st.dictionaries(ATTEMPTS, TALLIES, max_size=4),
    st.booleans(),
)


@given(POSTS)
def test_comes_out_as_it_went_in(post: Post) -> None:
    assert read_post(to_bytes(post)) == post


def entry(**change: Any) -> dict[str, Any]:
    good = {
        "check": "host-pid",
        "group": "",
        "kind": "Pod",
        "namespace": "shop",
        "name": "web",
        "user": "eve",
        "type": "denied-attempt",
        "count": 1,
        "first": 1.0,
        "last": 2,
        "severity": "high",
        "iocs": [3],
        "message": "m",
        "fix": "f",
    }
    return {key: value for key, value in (good | change).items() if value != "absent"}


def body(entries: Any, **change: Any) -> bytes:
    return orjson.dumps({"replica": "a", "number": 1, "last": False, "attempts": entries} | change)


def test_the_good_one_is_good() -> None:
    assert len(read_post(body([entry()])).attempts) == 1


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "not JSON"),
        (b"[]", "not a JSON object"),
        (body([], replica=""), "replica"),
        (body([], replica="a/b"), "replica"),
        (body([], replica="a" * 129), "replica"),
        (body([], number=0), "number"),
        (body([], number=True), "number"),
        (body([], number=2**53), "number"),
        (body([], last="no"), "last"),
        (body({}), "attempts: must be a list"),
        (body([{}] * (MOST_ENTRIES + 1)), "attempts: must be a list"),
        (body([entry(), entry()]), "attempts[1]: stands there twice"),
        (body([3]), "attempts[0]: not an object"),
        (body([entry(check="Host PID")]), "attempts[0].check"),
        (body([entry(check="absent")]), "attempts[0].check"),
        (body([entry(kind="")]), "attempts[0].kind"),
        (body([entry(namespace="")]), "attempts[0].namespace"),
        (body([entry(user="u" * 254)]), "attempts[0].user: longer than 253"),
        (body([entry(name=None)]), "attempts[0].name"),
        (body([entry(count=0)]), "attempts[0].count"),
        (body([entry(count=1.5)]), "attempts[0].count"),
        (body([entry(first=3)]), "attempts[0].first: later"),
        (body([entry(last=-1)]), "attempts[0].last"),
        (body([entry(last=1e300)]), "attempts[0].last"),
        (body([entry(first=True)]), "attempts[0].first"),
        (body([entry(type="posture")]), "attempts[0].type"),
        (body([entry(severity="awful")]), "attempts[0].severity"),
        (body([entry(iocs=[11])]), "attempts[0].iocs"),
        (body([entry(iocs=[True])]), "attempts[0].iocs"),
        (body([entry(message="m" * 1025)]), "attempts[0].message"),
    ],
)
def test_what_is_wrong_is_named(data: bytes, said: str) -> None:
    with pytest.raises(PostError) as error:
        read_post(data)
    assert said in str(error.value)


@given(
    st.binary(max_size=200)
    | POSTS.map(to_bytes).flatmap(lambda data: st.integers(0, len(data)).map(lambda n: data[:n]))
)
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        post = read_post(data)
    except PostError:
        return
    assert to_bytes(read_post(to_bytes(post))) == to_bytes(post)


@given(odd_texts(), st.sampled_from(["message", "check", "iocs", "count", "first", "user", "odd"]))
def test_whatever_stands_in_a_post_it_is_read_or_refused(odd: bytes, field: str) -> None:
    data = body([entry(**{field: "ODD"})]).replace(b'"ODD"', odd)
    try:
        found = read_post(data)
    except PostError:
        return
    assert read_post(to_bytes(found)) == found
