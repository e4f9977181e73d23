"""Whatever is denied, its finding fits the schema; and a finding holds each post once."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from iocaudit.core.severity import IoC, Severity
from iocaudit.evidence.finding import MOST_REPLICAS, Delta, attempt_of, copied, counted, empty, fresh, marks
from iocaudit.evidence.key import EvidenceKey, EvidenceTally, other
from tests.support.crd_schemas import content_schema
from tests.unit.evidence.test_post import ATTEMPTS, TALLIES

Json = dict[str, Any]
POD = EvidenceKey("host-pid", "", "Pod", "shop", "web", "eve")


SCHEMA = content_schema("iocfindings", "finding")


def tally(count: int = 1, at: float = 0.0, message: str = "it is bad") -> EvidenceTally:
    return EvidenceTally(count, at, at, Severity.HIGH, (IoC.CLUSTER_ADMIN,), message, "mend it")


@given(ATTEMPTS, st.lists(TALLIES, min_size=1, max_size=3), st.booleans(), st.text(max_size=400))
def test_fits_the_schema_and_says_which_attempt_it_is(
    attempt: EvidenceKey, tallies: list[EvidenceTally], namespaced: bool, title: str
) -> None:
    body = empty(attempt.namespace if namespaced else None, attempt, title)
    for number, one in enumerate(tallies, start=1):
        body = counted(body, [Delta("replica", number, one)])
    for found in (body, copied({**body, "metadata": {**body["metadata"], "uid": "u"}})):
        SCHEMA.validate(found["finding"])
        assert attempt_of(found) == attempt
        assert len(found["metadata"]["name"]) <= 253
        assert found["finding"]["count"] == sum(one.count for one in tallies)
    assert body["finding"]["firstSeen"] <= body["finding"]["lastSeen"]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 5), st.integers(1, 9)), max_size=12))
def test_a_post_counts_once_however_often_it_comes(told: list[tuple[str, int, int]]) -> None:
    by_number = {(name, number): Delta(name, number, tally(count)) for name, number, count in told}
    deltas = sorted(by_number.values(), key=lambda delta: delta.number)
    body = counted(empty("shop", POD, ""), deltas)
    assert counted(body, deltas) == body
    assert fresh(deltas, body) == []
    assert body["finding"]["count"] == sum(delta.tally.count for delta in deltas)


def test_the_longest_silent_replica_is_forgotten_first() -> None:
    body = empty("shop", POD, "")
    for n in range(MOST_REPLICAS):
        body = counted(body, [Delta(f"r{n}", 1, tally())])
    body = counted(body, [Delta("r0", 2, tally())])
    body = counted(body, [Delta("late", 1, tally())])
    assert len(marks(body)) == MOST_REPLICAS
    assert "r1" not in marks(body)
    assert marks(body)["r0"] == 2


def test_the_worst_severity_and_the_last_words_are_kept() -> None:
    body = counted(empty("shop", POD, ""), [Delta("a", 1, tally(at=60.0, message="first"))])
    low = EvidenceTally(2, 0.0, 120.0, Severity.LOW, (), "second\x1b[2J", "")
    body = counted(body, [Delta("a", 2, low)])
    finding = body["finding"]
    assert (finding["severity"], body["metadata"]["labels"]["iocaudit.io/severity"]) == ("high", "high")
    assert finding["message"] == "eve was denied 3 times: second\\u001b[2J"
    assert (finding["firstSeen"], finding["lastSeen"]) == ("1970-01-01T00:00:00Z", "1970-01-01T00:02:00Z")


def test_names_keep_apart_what_differs() -> None:
    names = {
        POD.finding,
        POD._replace(user="eve2").finding,
        POD._replace(namespace=None).finding,
        POD._replace(name="we", user="beve").finding,
        POD._replace(name='web","x', user="").finding,
        other(POD).finding,
    }
    assert len(names) == 6
    assert all(name.startswith("host-pid-denied-") for name in names)
