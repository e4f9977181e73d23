"""Annotations that leave hits out: one check each, with a reason, in files alone, told in every format."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from tests.support.running import run

REASON = "the node agent reads every process"


def pod(tmp_path: Path, **annotations: str) -> str:
    file = tmp_path / "pod.yaml"
    metadata = {"name": "agent", "annotations": {f"ignore.iocaudit.io/{k}": v for k, v in annotations.items()}}
    spec = {"hostPID": True, "hostIPC": True, "containers": [{"name": "c", "image": "hooli.com/c:1"}]}
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}))
    return str(file)


def scan(*argv: str) -> tuple[int, str]:
    code, out, errors = run("scan", "--no-config", *argv)
    assert code in (0, 1), errors
    return code, out


def test_only_the_named_check_is_left_out(tmp_path: Path) -> None:
    code, text = scan("-o", "json", pod(tmp_path, **{"host-pid": REASON}))
    report = json.loads(text)
    assert code == 1
    assert [(one["check"], one["reason"]) for one in report["ignored"]] == [("host-pid", REASON)]
    assert "host-ipc" in {one["check"] for one in report["findings"]}
    assert "host-pid" not in {one["check"] for one in report["findings"]}
    assert report["summary"]["ignored"] == 1


def test_no_annotations_judges_them_all(tmp_path: Path) -> None:
    report = json.loads(scan("-o", "json", "--no-annotations", pod(tmp_path, **{"host-pid": REASON}))[1])
    assert report["ignored"] == []
    assert "host-pid" in {one["check"] for one in report["findings"]}


@pytest.mark.parametrize(
    ("annotations", "said"),
    [
        ({"host-pid": "because"}, "10 characters or more"),
        ({"host-pid": "         x         "}, "10 characters or more"),
        ({"host-pdi": REASON}, "did you mean host-pid?"),
        ({"pods": REASON}, "there is no check 'pods'"),
        ({"privileged-container": REASON}, "remove the annotation"),
    ],
)
def test_what_leaves_nothing_out_is_told(tmp_path: Path, annotations: dict[str, str], said: str) -> None:
    report = json.loads(scan("-o", "json", pod(tmp_path, **annotations))[1])
    assert report["ignored"] == []
    assert "host-pid" in {one["check"] for one in report["findings"]}
    assert len(report["notes"]) == 1
    assert said in report["notes"][0]


def test_every_format_tells_what_was_ignored_and_why(tmp_path: Path) -> None:
    file = pod(tmp_path, **{"host-pid": REASON, "host-ipc": REASON})
    run = json.loads(scan("-o", "sarif", file)[1])["runs"][0]
    suppressed = {one["ruleId"]: one["suppressions"] for one in run["results"] if "suppressions" in one}
    expected = [{"kind": "inSource", "status": "accepted", "justification": REASON}]
    assert suppressed == {"host-pid": expected, "host-ipc": expected}
    skipped = ElementTree.fromstring(scan("-o", "junit", file)[1]).findall(".//skipped")
    assert sum(REASON in (one.text or one.get("message") or "") for one in skipped) == 2
    for output in ("table", "github"):
        code, text = scan("-o", output, file)
        assert code == 0
        assert text.count(REASON) == 2
        assert "2 hits ignored by annotations" in text


def test_an_object_of_an_accepted_owner_in_a_dump_is_not_told_by_itself(tmp_path: Path) -> None:
    """A dump of the cluster: the pod has its Deployment's hit, which the Deployment's annotation leaves out."""
    template = {
        "metadata": {"labels": {"a": "b"}},
        "spec": {"hostPID": True, "containers": [{"name": "c", "image": "c:1"}]},
    }
    annotations = {"ignore.iocaudit.io/host-pid": REASON}

    def owned(kind: str, uid: str) -> list[dict[str, object]]:
        return [{"apiVersion": "apps/v1", "kind": kind, "name": "web", "uid": uid, "controller": True}]

    spec = {"replicas": 1, "selector": {"matchLabels": {"a": "b"}}, "template": template}
    meta = {"name": "web", "namespace": "shop", "creationTimestamp": "2026-01-01T00:00:00Z"}
    items = [
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {**meta, "uid": "1", "annotations": annotations},
         "spec": spec},
        {"apiVersion": "apps/v1", "kind": "ReplicaSet",
         "metadata": {**meta, "uid": "2", "ownerReferences": owned("Deployment", "1")}, "spec": spec},
        {"apiVersion": "v1", "kind": "Pod", "metadata": {**meta, "name": "web-1", "uid": "3", "labels": {"a": "b"},
         "ownerReferences": owned("ReplicaSet", "2")}, "spec": template["spec"]},
    ]  # fmt: skip
    file = tmp_path / "dump.json"
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    report = json.loads(scan("-o", "json", "--check", "host-pid", str(file))[1])
    assert report["findings"] == []
    assert [one["subject"]["kind"] for one in report["ignored"]] == ["Deployment"]
