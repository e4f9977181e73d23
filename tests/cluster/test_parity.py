"""The same stored objects, world and policy, no user: scan of files, scan of the cluster, webhook, operator.

Every documented example of every check, good and bad, stands in a namespace of its own in one cluster. No
controllers run there, so that nothing but the examples makes objects.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from admission.app import ValidateApp, admission_app
from admission.metrics import AdmissionMetrics
from admission.state import State
from devcluster.controlplane import ControlPlane
from iocaudit.cli.live import scan_cluster
from iocaudit.cluster.client import Client
from iocaudit.cluster.discovery import discover
from iocaudit.core.kinds import Kind, kind_of
from iocaudit.core.report import MOST_HITS, Report, ReportedHit
from iocaudit.core.request import Operation
from iocaudit.core.resource import CLUSTER, Resource
from iocaudit.engine.audit import Auditor
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.engine.causes import with_causes
from iocaudit.knowledge.clipping import clip
from iocaudit.scanning.scan import ScanOptions, scan_files
from iocaudit.serving.limits import Bounds
from iocaudit.serving.metrics import new_registry
from tests.cluster.custom_kinds import install
from tests.cluster.objects import create, own_names, subject_of
from tests.cluster.processes import CRDS, Eventually, Json, items, operator

CATALOGUE = builtin_catalogue()
Line = tuple[str, str, str, str, str]
"""Check, subject, path, evidence, severity."""

CLUSTER_WIDE = frozenset({"no-early-drop"})
"""Checks of which one example's good configuration mends the whole cluster, the bad examples' part included."""


@dataclass
class Examples:
    """Everything that was stored, and the folder with the same documents as they were written."""

    cluster: ControlPlane
    client: Client
    written: Path
    stored: Path
    policy: Path
    objects: dict[Kind, list[Json]] = field(default_factory=dict)
    ours: set[str] = field(default_factory=set)
    """Namespaces and names of cluster-scoped objects that the examples brought."""

    @property
    def options(self) -> ScanOptions:
        return ScanOptions(policy_files=(str(self.policy),))

    def of_ours(self, lines: Iterable[Line]) -> set[Line]:
        return {line for line in lines if line[1].split()[1].split("/")[0] in self.ours}


def policy() -> Json:
    """All checks of both profiles, with the parameters their examples are documented under."""
    checks: list[Json] = [{"profiles": ["default", "strict"], "mode": "audit"}]
    for check in CATALOGUE:
        if parameters := yaml.safe_load(check.doc.policy or "{}"):
            checks.append({"ids": [check.id], "mode": "audit", "parameters": parameters})
    return {
        "apiVersion": "iocaudit.io/v1alpha1",
        "kind": "AuditPolicy",
        "metadata": {"name": "everything"},
        "spec": {"checks": checks},
    }


_APART = {"AdmissionReview", "AuditPolicy", "ValidatingWebhookConfiguration"}


def documents() -> Iterator[tuple[str, list[Json]]]:
    """Each example that is about stored objects: a name for it, and its documents."""
    for check in CATALOGUE:
        if check.admission_only:
            continue
        for word, text in (("bad", check.doc.bad), ("good", check.doc.good)):
            found = [document for document in yaml.safe_load_all(text) if document]
            # A webhook configuration would stop this cluster, and a policy decide what the others are judged by: each
            # is stored in a test of its own.
            if not _APART & {document["kind"] for document in found}:
                yield f"{check.id}-{word}", found


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Examples]:
    folder = tmp_path_factory.mktemp("parity")
    written, stored = folder / "written", folder / "stored"
    written.mkdir()
    stored.mkdir()
    with ControlPlane(controllers=False, apiserver_args=["--disable-admission-plugins=ServiceAccount"]) as cluster:
        cluster.kubectl("apply", "--server-side", "-f", str(CRDS))
        cluster.kubectl("wait", "--for=condition=Established", "-f", str(CRDS), "--timeout=30s")
        cluster.kubectl("create", "namespace", "iocaudit")
        client = Client.connect(cluster.kubeconfig)
        found = Examples(cluster, client, written, stored, folder / "policy.yaml")
        found.policy.write_text(json.dumps(policy()))
        cluster.kubectl("create", "-f", str(found.policy))
        _store(found)
        yield found


def _store(found: Examples) -> None:
    batches = [own_names(f"p{number}", docs) for number, (_, docs) in enumerate(documents())]
    used = {
        (*document["apiVersion"].rpartition("/")[::2], document["kind"]) for docs, _ in batches for document in docs
    }
    install(found.client, CATALOGUE.kinds, used)
    namespaces: set[str] = set()
    for number, (docs, names) in enumerate(batches):
        found.ours |= names
        given = {d["metadata"]["name"] for d in docs if d["kind"] == "Namespace"}
        wanted = {d["metadata"]["namespace"] for d in docs if "namespace" in d["metadata"]}
        missing = [
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
            for name in sorted(wanted - given - namespaces)
            if name not in ("default", "kube-system")
        ]
        namespaces |= wanted | given
        docs = sorted([*missing, *docs], key=lambda document: document["kind"] != "Namespace")
        (found.written / f"{number}.yaml").write_text(yaml.safe_dump_all(docs))
        for document in docs:
            create(found.client, document)
    served = discover(found.client)
    for kind in served.present(CATALOGUE.kinds):
        raws, _ = found.client.list_all(kind)
        found.objects[kind] = raws
        body = {"apiVersion": "v1", "kind": "List", "items": raws}
        (found.stored / f"{kind.plural}.{kind.group}.json").write_bytes(orjson.dumps(body))


def lines(found: Iterable[ReportedHit]) -> set[Line]:
    return {(f.check, str(f.subject), f.hit.path, f.hit.evidence, f.severity.label) for f in found}


def skipped(report: Report) -> set[tuple[str | None, str, str]]:
    return {(s.check, str(s.subject), s.reason) for s in report.skipped}


def test_files_as_stored_and_the_cluster_give_the_same_report(examples: Examples) -> None:
    from_files = scan_files([str(examples.stored)], CATALOGUE, examples.options)
    assert from_files.errors == []
    from_cluster = scan_cluster(CATALOGUE, examples.options, kubeconfig=examples.cluster.kubeconfig)
    expected = lines(from_cluster.report.found)
    # Every check that can be documented by stored objects is really in play.
    documented = {name.rpartition("-")[0] for name, _ in documents()} - CLUSTER_WIDE
    assert {line[0] for line in examples.of_ours(expected)} >= documented
    assert lines(from_files.report.found) == expected
    assert skipped(from_files.report) == skipped(from_cluster.report)
    assert from_files.report.faults == from_cluster.report.faults == []


def test_files_as_written_give_the_hits_of_what_is_stored(examples: Examples) -> None:
    """The visitor and the checks are neutral to the API server's defaulting."""
    written = lines(scan_files([str(examples.written)], CATALOGUE, examples.options).report.found)
    stored = lines(scan_files([str(examples.stored)], CATALOGUE, examples.options).report.found)
    assert examples.of_ours(written) == examples.of_ours(stored)


class Recording:
    """An Auditor that remembers what it found: the webhook's answer is only its verdict."""

    def __init__(self, auditor: Auditor) -> None:
        self._auditor = auditor
        self.catalogue, self.settings_for = auditor.catalogue, auditor.settings_for
        self.world, self.seeing = auditor.world, auditor.seeing
        self.report = Report()

    def audit(self, resource: Resource, **options: Any) -> Report:
        report = self._auditor.audit(resource, **options)
        self.report.extend(report)
        return report


def test_the_webhook_gives_the_same_hits(examples: Examples) -> None:
    state = State(CATALOGUE)
    for kind in state.kinds:
        raws = examples.objects.get(kind)
        if raws is None:
            raws, _ = examples.client.list_all(kind)
        state.replace(kind, [Resource(raw, CLUSTER, kind=kind) for raw in raws])
    assert state.invalid == {}
    recording = Recording(state.auditor)
    validate = ValidateApp(lambda: recording, AdmissionMetrics(new_registry("parity")))  # type: ignore[arg-type, return-value]
    app = admission_app(validate, Bounds(), lambda _reason: None)
    rules = {kind for kind, wanted in CATALOGUE.admission_rules.items() if Operation.CREATE in wanted}
    bodies = [(kind, raw) for kind in rules for raw in examples.objects.get(kind, ())]
    asyncio.run(_ask(app, bodies))
    by_id = {check.id: check for check in CATALOGUE}

    def asked(found: ReportedHit) -> bool:
        check = by_id[found.check]
        known = kind_of(found.subject.group, found.subject.kind)
        return not check.audit_only and Operation.CREATE in check.operations and known in rules

    from_cluster = scan_cluster(CATALOGUE, examples.options, kubeconfig=examples.cluster.kubeconfig).report
    expected = lines(found for found in from_cluster.found if asked(found))
    got = lines(found for found in recording.report.found if not by_id[found.check].admission_only)
    assert len({line[0] for line in expected}) > 20
    assert got == expected
    assert recording.report.faults == []


async def _ask(app: Any, bodies: list[tuple[Kind, Json]]) -> None:
    for number, (kind, raw) in enumerate(bodies):
        metadata = raw["metadata"]
        request = {
            "uid": f"00000000-0000-0000-0000-{number:012}",
            "kind": {"group": kind.group, "version": kind.version, "kind": kind.name},
            "resource": {"group": kind.group, "version": kind.version, "resource": kind.plural},
            "namespace": metadata.get("namespace", ""),
            "name": metadata["name"],
            "operation": "CREATE",
            "userInfo": {},
            "object": raw,
            "oldObject": None,
            "dryRun": True,
        }
        review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
        status, answer = await _post(app, orjson.dumps(review))
        assert status == 200, answer
        assert orjson.loads(answer)["response"]["uid"] == request["uid"]


async def _post(app: Any, body: bytes) -> tuple[int, bytes]:
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "path": "/validate",
        "raw_path": b"/validate",
        "root_path": "",
        "scheme": "https",
        "query_string": b"timeout=30s",
        "headers": [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
    }
    status, parts = 0, []

    async def receive() -> Json:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Json) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
        else:
            parts.append(message.get("body", b""))

    await app(scope, receive, send)
    return status, b"".join(parts)


def test_the_operator_stores_the_same_hits(examples: Examples, eventually: Eventually, tmp_path: Path) -> None:
    log = tmp_path / "operator.log"
    with operator(examples.cluster, log):
        eventually(lambda: '"swept"' in log.read_text(), "the first sweep", seconds=120)
    from_cluster = scan_cluster(CATALOGUE, examples.options, kubeconfig=examples.cluster.kubeconfig).report
    expected = lines(with_causes(from_cluster, CATALOGUE).found)
    counts: dict[tuple[str, str], int] = {}
    for line in expected:
        counts[line[:2]] = counts.get(line[:2], 0) + 1
    shown = {
        (check, subject, clip(path, 1024), clip(evidence, 1024), severity)
        for check, subject, path, evidence, severity in expected
        if counts[(check, subject)] <= MOST_HITS
    }
    findings = [*items(examples.cluster, "iocfindings", "-A"), *items(examples.cluster, "clusteriocfindings")]
    assert {(f["finding"]["check"], subject_of(f)): f["finding"]["hitCount"] for f in findings} == counts
    stored = {
        (f["finding"]["check"], subject_of(f), hit["path"], hit["evidence"], hit["severity"])
        for f in findings
        if f["finding"]["hitCount"] <= MOST_HITS
        for hit in f["finding"]["hits"]
    }
    assert stored == shown
    assert {f["finding"]["state"] for f in findings} == {"Open"}
    report = items(examples.cluster, "clusterauditreports")[0]["report"]
    assert report["coverage"]["faults"] == 0
    assert report["coverage"]["skipped"] == len(from_cluster.skipped)
