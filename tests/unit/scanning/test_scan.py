"""A scan of files: the same outcome however it is shared, nothing lost, memory bounded."""

import gc
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.knowledge.pods.pod import PodSpec
from iocaudit.scanning import scan, workers
from iocaudit.scanning.progress import Silence
from iocaudit.scanning.reading import Reader, Scan
from iocaudit.scanning.scan import ScanOptions, scan_files
from iocaudit.scanning.subjects import AuditSubject
from iocaudit.scanning.workers import WorkerError, in_processes, share
from iocaudit.sources.json_text import MOST_BROKEN

CATALOGUE = builtin_catalogue()
POD = """\
apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: shop}}
spec:
  containers:
  - name: app
    image: example.org/app:1
    securityContext:
      privileged: true
"""
DENY_ALL = """\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: all, namespace: shop}
spec: {podSelector: {}, policyTypes: [Ingress, Egress]}
"""
LIST = """\
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Namespace, metadata: {name: shop}}
- apiVersion: apps/v1
  kind: Deployment
  metadata: {name: web, namespace: shop}
  spec: {template: {spec: {hostPID: true, containers: [{name: a, image: b}]}}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Overlays, repeated documents, Lists, JSON, templates and broken ones."""
    for overlay in ("base", "overlays/prod", "overlays/test"):
        (tmp_path / overlay).mkdir(parents=True)
        for number in range(3):
            text = "---\n".join([POD.format(name=f"pod-{number}"), DENY_ALL if number else "a: 1\n", LIST])
            (tmp_path / overlay / f"{number}.yaml").write_text(text)
    broken = "---\n".join([POD.format(name="x"), POD.format(name="["), "a: [\n"])
    (tmp_path / "base" / "broken.yaml").write_text(broken)
    pod = '{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "j"}, "spec": 5}'
    (tmp_path / "base" / "a.json").write_text(pod)
    (tmp_path / "base" / "t.yaml").write_text("kind: {{ .Values.kind }}\n")
    (tmp_path / "base" / "binary.yaml").write_bytes(b"\x00\x01")
    (tmp_path / "base" / "role.yaml").write_text(
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {name: b}\n"
        "roleRef: {kind: ClusterRole, name: cluster-admin}\nsubjects: [{kind: User, name: eve}]\n"
    )
    return tmp_path


def scanned(folder: Path, **options: Any) -> Scan:
    return scan_files([str(folder)], CATALOGUE, ScanOptions(profile="strict", **options))


@pytest.mark.parametrize("alone", [False, True])
@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.parametrize("jobs", [2, 5])
def test_processes_change_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, jobs: int, method: str, alone: bool
) -> None:
    monkeypatch.setattr(workers, "START_METHOD", method)
    one = scanned(folder, jobs=1, each_file_alone=alone)
    assert one.report.found
    assert one.report.skipped
    assert len(one.errors) == 3
    assert scanned(folder, jobs=jobs, each_file_alone=alone) == one


def test_large_inputs_are_shared_unasked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = scanned(folder, jobs=1)
    asked: list[int] = []

    def counted(items: list[Any], weights: list[int], jobs: int) -> list[list[Any]]:
        asked.append(jobs)
        return share(items, weights, jobs)

    monkeypatch.setattr(workers, "share", counted)
    monkeypatch.setattr(workers, "usable_cpus", lambda: 8)
    assert scanned(folder) == one
    assert not asked
    monkeypatch.setattr(scan, "WORTH_PROCESSES", 1)
    assert scanned(folder) == one
    assert asked == [2]


def test_files_that_may_not_wait_in_memory_are_read_again(folder: Path) -> None:
    one = scanned(folder)
    for jobs in (1, 2):
        assert scanned(folder, most_waiting=0, jobs=jobs) == one


def test_a_file_that_changes_meanwhile_is_said(folder: Path) -> None:
    reader = Reader(CATALOGUE.select({"privileged-container", "no-ingress-policy"}), "default", most_waiting=0)
    came = Scan()
    file = folder / "base" / "0.yaml"
    waiting = reader.read(str(file), came)
    file.write_text("a: 1\n")
    assert not [one for one in reader.subjects_of(waiting, came) if one.resource.kind_name == "Pod"]
    assert [(error.file, "changed" in error.reason) for error in came.errors] == [(str(file), True)]
    file.unlink()
    assert list(reader.subjects_of(waiting, came))  # what may be looked up is still there
    assert "cannot be read" in came.errors[-1].reason


def test_only_what_may_be_looked_up_is_kept(folder: Path) -> None:
    reader = Reader(CATALOGUE.select({"privileged-container", "no-ingress-policy"}), "default")
    came = Scan()
    waiting = [reader.read(str(file), came) for file in sorted(folder.rglob("*.yaml"))]
    parsed = {entry.resource.kind_name for one in waiting for entry in one.entries if isinstance(entry, AuditSubject)}
    assert "Pod" not in parsed
    assert {"NetworkPolicy", "Namespace"} <= parsed


def test_a_repeated_document_is_parsed_once() -> None:
    reader = Reader(CATALOGUE, "default")
    came = Scan()
    twice = reader.take((DENY_ALL + "---\n" + DENY_ALL).replace("---\n", "---\n---\n").encode(), "f.yaml", came)
    first, second = [entry.resource for entry in twice.entries if isinstance(entry, AuditSubject)]
    assert first.raw == second.raw
    again = reader.take((DENY_ALL + "---\n" + DENY_ALL).encode(), "g.yaml", came)
    assert next(e.resource for e in again.entries if isinstance(e, AuditSubject)).raw is first.raw


@pytest.mark.parametrize("depth", [1, 6, 60])
def test_lists_in_lists_are_taken_apart_as_kubectl_does(depth: int) -> None:
    pods = [{"metadata": {"name": "a"}}, {"apiVersion": "", "kind": None, "metadata": {"name": "b"}}]
    text: dict[str, Any] = {"apiVersion": "v1", "kind": "PodList", "items": pods}
    for _ in range(depth):
        text = {"apiVersion": "v1", "kind": "List", "items": [text]}
    came = Scan()
    taken = Reader(CATALOGUE, "default").take(json.dumps(text).encode(), "f.json", came)
    found = [entry.resource for entry in taken.entries if isinstance(entry, AuditSubject)]
    assert [(resource.kind_name, resource.name) for resource in found] == [("Pod", "a"), ("Pod", "b")]
    assert not came.errors


def test_broken_documents_are_given_up_with_a_word() -> None:
    reader = Reader(CATALOGUE.select({"privileged-container"}), "default")
    came = Scan()
    text = "apiVersion: v1\nkind: Pod\nspec: [\n---\n" * (MOST_BROKEN + 5)
    assert not list(reader.subjects_of(reader.take(text.encode(), "f.yaml", came), came))
    assert len(came.errors) == MOST_BROKEN + 1
    assert "not read" in came.errors[-1].reason


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_process_that_dies_or_fails_is_an_error(monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    monkeypatch.setattr(workers, "START_METHOD", method)
    with pytest.raises(WorkerError, match="--jobs 1"):
        list(in_processes(_dies, [["fine"], ["dies"]], Silence()))
    with pytest.raises(WorkerError, match="broken on purpose"):
        list(in_processes(_dies, [["fine"], ["fails"], ["fine"]], Silence()))


def _dies(part: list[str], _: object) -> Scan:
    if part == ["dies"]:
        os._exit(9)
    if part == ["fails"]:
        raise ValueError("broken on purpose")
    return Scan()


def test_shares_are_runs_of_about_equal_weight() -> None:
    assert share([1, 2, 3, 4], [1, 1, 1, 1], 2) == [[1, 2], [3, 4]]
    assert share([1, 2, 3], [8, 1, 1], 2) == [[1], [2, 3]]
    assert share([1, 2], [0, 0], 4) == [[1, 2]]
    assert share([1], [5], 3) == [[1]]


def _children(pid: int) -> Iterator[int]:
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        yield from map(int, task.read_text().split())


def test_ctrl_c_ends_every_process_without_a_traceback(tmp_path: Path) -> None:
    for number in range(8):
        text = "---\n".join(POD.format(name=f"pod-{number}-{one}") for one in range(4000))
        (tmp_path / f"{number}.yaml").write_text(text)
    command = [sys.executable, "-m", "iocaudit.cli", "scan", "--jobs", "2", str(tmp_path)]
    # Whoever runs the tests in the background has had SIGINT ignored, and children inherit that.
    heed = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, start_new_session=True, preexec_fn=heed) as process:
        until = time.monotonic() + 60
        while not (children := list(_children(process.pid))) and time.monotonic() < until:
            time.sleep(0.01)
        assert children
        os.killpg(process.pid, signal.SIGINT)
        said, errors = process.communicate(timeout=60)
    assert (process.returncode, said, errors.strip()) == (130, b"", b"")
    assert not any(Path(f"/proc/{child}").exists() for child in children)


@pytest.mark.parametrize("alone", [False, True])
def test_what_was_audited_is_freed_without_the_garbage_collector(folder: Path, alone: bool) -> None:
    catalogue = CATALOGUE.select({"privileged-container", "runs-as-root"})
    gc.collect()
    gc.disable()
    try:
        before = sum(isinstance(thing, PodSpec) for thing in gc.get_objects())
        found = scan_files([str(folder)], catalogue, ScanOptions(each_file_alone=alone))
        after = sum(isinstance(thing, PodSpec) for thing in gc.get_objects())
    finally:
        gc.enable()
    assert found.report.found
    assert after == before
