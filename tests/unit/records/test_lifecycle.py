"""The life of a finding."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from iocaudit.core.hit import Hit
from iocaudit.core.report import MOST_HITS, Finding, ReportedHit, findings_of
from iocaudit.core.resource import CLUSTER, Ref
from iocaudit.core.severity import IoC, Severity
from iocaudit.knowledge.clipping import clip
from iocaudit.records.finding import content_digest, finding_content
from iocaudit.records.lifecycle import StoredFinding, WriteAction, resolved, stored, unwanted, wanted

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
WEEK = timedelta(days=7)
REF = Ref("apps", "v1", "Deployment", "shop", "web")
KEY = ("shop", "bad-image-0123456789abcdef")
Json = dict[str, Any]


def finding(*evidence: str) -> Finding:
    found = [
        ReportedHit("bad-image", Severity.HIGH, (IoC.UNKNOWN_BINARY,), REF, CLUSTER, Hit("spec.image", "is bad", value))
        for value in evidence
    ]
    return findings_of(found)[0]


def content(*evidence: str) -> Json:
    return finding_content(finding(*evidence), "An image is bad")


def as_stored(body: Json, version: str = "7") -> StoredFinding:
    return stored({**body, "metadata": {**body["metadata"], "resourceVersion": version, "uid": "u"}})


def created(*evidence: str) -> Json:
    write = wanted(KEY, content(*evidence), None, NOW)
    assert write is not None
    assert write.action is WriteAction.CREATE
    assert write.body is not None
    return write.body


def test_new_one_is_created_open() -> None:
    body = created("a")
    assert body["kind"] == "IocFinding"
    assert body["finding"]["state"] == "Open"
    assert body["finding"]["rank"] == 2
    assert body["finding"]["target"] == "Deployment/web"
    assert body["finding"]["firstSeen"] == body["finding"]["lastChanged"] == "2026-01-02T03:04:05Z"
    assert body["metadata"]["labels"]["iocaudit.io/state"] == "Open"


def test_same_content_is_not_written_again() -> None:
    assert wanted(KEY, content("a"), as_stored(created("a")), LATER) is None


def test_changed_content_keeps_first_seen() -> None:
    write = wanted(KEY, content("a", "b"), as_stored(created("a")), LATER)
    assert write is not None
    assert write.body is not None
    assert write.action is WriteAction.REPLACE
    assert write.body["metadata"]["resourceVersion"] == "7"
    assert write.body["finding"]["firstSeen"] == "2026-01-02T03:04:05Z"
    assert write.body["finding"]["lastChanged"] == "2026-01-02T04:04:05Z"


def test_resolved_once_then_removed_after_retention() -> None:
    open_one = as_stored(created("a"))
    assert [write.action for write in unwanted([open_one], LATER, WEEK)] == [WriteAction.RESOLVE]
    closed = resolved(created("a"), LATER)
    assert closed["finding"]["resolvedAt"] == "2026-01-02T04:04:05Z"
    assert closed["metadata"]["labels"]["iocaudit.io/state"] == "Resolved"
    assert unwanted([as_stored(closed)], LATER + WEEK - timedelta(seconds=1), WEEK) == []
    assert [write.action for write in unwanted([as_stored(closed)], LATER + WEEK, WEEK)] == [WriteAction.REMOVE]


def test_back_again_is_open_and_new() -> None:
    write = wanted(KEY, content("a"), as_stored(resolved(created("a"), LATER)), LATER + WEEK)
    assert write is not None
    assert write.body is not None
    assert write.body["finding"]["state"] == "Open"
    assert "resolvedAt" not in write.body["finding"]
    assert write.body["finding"]["firstSeen"] == "2026-01-09T04:04:05Z"


def test_denied_attempts_are_evidence_and_not_resolved() -> None:
    body = created("a")
    body["finding"] |= {"type": "denied-attempt", "count": 3}
    assert unwanted([as_stored(body)], LATER + WEEK, WEEK) == []


def test_edited_by_hand_is_written_back() -> None:
    body = created("a")
    body["finding"]["severity"] = "low"
    assert wanted(KEY, content("a"), as_stored(body), LATER) is not None


def test_hits_are_bounded_and_counted() -> None:
    said = content(*(f"{number:03}" for number in range(MOST_HITS + 7)))
    assert len(said["hits"]) == MOST_HITS
    assert said["hitCount"] == MOST_HITS + 7


@given(st.lists(st.text(max_size=3000), min_size=1, max_size=5, unique=True))
def test_content_fits_the_schema_and_is_stable(evidence: list[str]) -> None:
    said = content(*evidence)
    assert content(*reversed(evidence)) == said
    assert all(len(hit["evidence"]) <= 1024 for hit in said["hits"])
    assert len(said["message"]) <= 2048
    assert content_digest({"finding": said}) == content_digest({"finding": said | {"firstSeen": "x"}})


@given(st.text(max_size=50), st.integers(1, 40))
def test_cut_is_bounded(value: str, most: int) -> None:
    assert len(clip(value, most)) <= most
    assert clip(value, most) == value or len(value) > most
