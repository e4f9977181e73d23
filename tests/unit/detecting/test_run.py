"""One run over recorded signals."""

from __future__ import annotations

import resource
from pathlib import Path

from iocaudit.detecting.run import DetectOutcome, detect
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.engine.policy_reader import read_policies
from tests.support.audit_events import event, line

CATALOGUE = builtin_catalogue()


def run(*paths: Path, namespace: str | None = None) -> DetectOutcome:
    return detect([*map(str, paths)], CATALOGUE, read_policies([], CATALOGUE), namespace=namespace)


def session(number: int, namespace: str = "shop") -> bytes:
    ref = {"resource": "pods", "subresource": "exec", "namespace": namespace, "name": "web"}
    status = {"responseStatus": {"code": 101}, "requestObject": None, "responseObject": None}
    return line(event(number, verb="create", objectRef=ref, requestURI="/exec?command=sh", **status))


def test_detections_and_checks_together(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    path.write_bytes(session(1) + line(event(2)))
    outcome = run(path)
    assert {"session-opened", "may-run-as-root"} <= {one.key.rule for one in outcome.summary.groups()}
    assert outcome.objects.judged == 1
    assert outcome.faults == []


def test_a_namespace_alone(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    path.write_bytes(session(1) + session(2, "data"))
    (group,) = run(path, namespace="data").summary.groups()
    assert group.key.namespace == "data"


def test_memory_does_not_grow_with_the_log(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    path.write_bytes(b"".join(session(number) for number in range(200)))
    run(path)  # what is loaded once
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with path.open("wb") as stream:
        for number in range(20_000):
            stream.write(session(number))
    assert path.stat().st_size > 10_000_000
    outcome = run(path)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert outcome.tally.events == 20_000
    assert len(outcome.summary.groups()) == 1
    assert grown < 40_000, f"{grown} KiB"
