"""How far the webhook is behind is measured by the objects that it let be created."""

from __future__ import annotations

import orjson

from admission.lag import MOST_WAITING, Lag
from iocaudit.core.kinds import CLUSTER_ROLE, Kind
from iocaudit.core.resource import CLUSTER, Resource
from iocaudit.engine.posture import Verdict
from iocaudit.sources.admission_review import Review, read_review
from tests.support.ordered import pod, role


def review(raw: dict[str, object], **more: object) -> Review:
    request = {"uid": "1", "operation": "CREATE", "name": raw["metadata"]["name"], "object": raw, **more}  # type: ignore[index]
    return read_review(
        orjson.dumps({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request})
    )


class Measured:
    """A Lag with a clock of its own, and what it observed."""

    def __init__(self) -> None:
        self.now = 0.0
        self.seconds: list[tuple[Kind, float]] = []
        self.lag = Lag([CLUSTER_ROLE], lambda kind, seconds: self.seconds.append((kind, seconds)), lambda: self.now)

    def answer(self, raw: dict[str, object], *, allowed: bool = True, **more: object) -> None:
        self.lag.answered(review(raw, **more), Verdict(allowed))

    def see(self, raw: dict[str, object]) -> None:
        self.lag.seen(Resource(raw, CLUSTER))


def test_from_the_answer_until_it_is_seen() -> None:
    measured = Measured()
    measured.answer(role("r"))
    measured.now = 0.2
    measured.see(role("other"))
    measured.see(role("r"))
    measured.see(role("r"))
    assert measured.seconds == [(CLUSTER_ROLE, 0.2)]


def test_only_what_is_created_and_watched_is_waited_for() -> None:
    measured = Measured()
    measured.answer(role("denied"), allowed=False)
    measured.answer(role("dry"), dryRun=True)
    measured.answer(role("changed"), operation="UPDATE")
    measured.answer(pod("p", "c"))
    for raw in (role("denied"), role("dry"), role("changed"), pod("p", "c")):
        measured.see(raw)
    assert measured.seconds == []


def test_what_never_comes_is_forgotten() -> None:
    measured = Measured()
    for number in range(MOST_WAITING + 1):
        measured.answer(role(f"r{number}"))
    measured.now = 1.0
    measured.see(role("r0"))
    measured.see(role("r1"))
    assert measured.seconds == [(CLUSTER_ROLE, 1.0)]


def test_a_second_request_counts_anew() -> None:
    measured = Measured()
    measured.answer(role("r"))
    measured.now = 5.0
    measured.answer(role("r"))
    measured.now = 5.5
    measured.see(role("r"))
    assert measured.seconds == [(CLUSTER_ROLE, 0.5)]
