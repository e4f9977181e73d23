"""What a replica posts comes out as it went in, and nothing else is taken."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iocaudit.core.severity import IoC, Severity
from iocaudit.evidence.key import DENIED_ATTEMPT, POLICY_CHANGE, RUNTIME, EvidenceKey, EvidenceTally
from iocaudit.evidence.post import LONGEST, MOST_ENTRIES, MOST_INCIDENTS, Post, read_post, to_bytes
from iocaudit.evidence.post_fields import PostError
from iocaudit.records.incident import IncidentRecord, incident_content
from tests.support.incidents import record, records
from tests.support.texts import odd_texts


def words(field: str, least: int = 0) -> st.SearchStrategy[str]:
    return st.text(st.characters(exclude_categories=["Cs"]), min_size=least, max_size=LONGEST[field])


CHECKS = st.sampled_from(["privileged-container", "host-pid", "x"])
NAMESPACES = st.none() | words("namespace", 1)
ATTEMPTS = st.builds(
    EvidenceKey,
    CHECKS,
    words("group"),
    words("kind", 1),
    NAMESPACES,
    words("name"),
    words("user"),
    st.sampled_from([DENIED_ATTEMPT, POLICY_CHANGE]),
)
SIGHTINGS = ATTEMPTS.map(lambda key: key._replace(type=RUNTIME))
COUNTS = st.integers(1, 2**53 - 1)
TIMES = st.tuples(st.floats(0, 2**32), st.floats(0, 2**32)).map(sorted)
IOCS = st.lists(st.sampled_from(list(IoC)), unique=True).map(tuple)
TALLIES = st.builds(
    lambda count, times, *rest: EvidenceTally(count, times[0], times[1], *rest),
    COUNTS,
    TIMES,
    st.sampled_from(list(Severity)),
    IOCS,
    words("message"),
    words("fix"),
)
NAMES = st.from_regex(r"[A-Za-z0-9.-]{1,128}", fullmatch=True)
POSTS = st.builds(Post, NAMES, COUNTS, st.dictionaries(ATTEMPTS, TALLIES, max_size=4), st.booleans()) | st.builds(
    Post,
    NAMES,
    COUNTS,
    st.dictionaries(SIGHTINGS, TALLIES, max_size=4),
    st.booleans(),
    source=st.sampled_from(["falco", "audit", "alertmanager"]),
)


@given(st.lists(records(), max_size=2, unique_by=lambda one: one.name))
def test_incidents_come_out_as_they_went_in(found: list[IncidentRecord]) -> None:
    post = Post("r", 1, {}, source="incidents", incidents=tuple(found))
    assert read_post(to_bytes(post)) == post


@pytest.mark.parametrize(
    ("source", "incidents", "said"),
    [
        ("incidents", {}, "incidents: must be a list of at most"),
        ("incidents", [{}] * (MOST_INCIDENTS + 1), "incidents: must be a list of at most"),
        ("incidents", [{}], "incidents[0].name: must be a string"),
        ("incidents", [incident_content(record())] * 2, "incidents: one is listed twice"),
        ("attempts", [incident_content(record())], "incidents: posts of source attempts may not have them"),
    ],
)
def test_what_are_no_incidents_is_refused(source: str, incidents: Any, said: str) -> None:
    raw = {**orjson.loads(to_bytes(Post("r", 1, {}, source=source))), "incidents": incidents}
    with pytest.raises(PostError) as caught:
        read_post(orjson.dumps(raw))
    assert said in str(caught.value)


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
        (body([entry(), entry()]), "attempts[1]: is listed twice"),
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
        (body([entry(type="runtime")]), "attempts[0].type: must be one of denied-attempt, policy-change"),
        (body([entry()], source="falco"), "attempts[0].type: must be one of runtime"),
        (body([], source="Falco"), "source"),
        (body([], source=None), "source"),
        (body([], source="falco", rollouts={}), "rollouts: only posts of source attempts"),
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


def test_a_webhook_of_a_version_before_names_no_source() -> None:
    post = read_post(body([entry()]))
    assert (post.source, post.sender, post.has_attempts) == ("attempts", "a", True)


@given(POSTS)
def test_an_operator_of_a_version_before_reads_denied_attempts_as_they_were(post: Post) -> None:
    """All that it knew has stayed where it was; what it does not know it leaves alone."""
    raw = orjson.loads(to_bytes(post))
    assert raw.keys() - {"source"} == {"replica", "number", "last", "attempts"}
    del raw["source"]
    if post.has_attempts:
        assert read_post(orjson.dumps(raw)) == post


def test_a_sender_numbers_the_posts_of_each_source_by_themselves() -> None:
    senders = [Post("receivers-0.x1", 1, {}, source=source).sender for source in ("falco", "audit")]
    assert senders == ["receivers-0.x1/falco", "receivers-0.x1/audit"]
