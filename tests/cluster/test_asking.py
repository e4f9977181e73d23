"""Questions about a live cluster, read-only: what is wrong now, and which policy decides where."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from devcluster.controlplane import ControlPlane
from iocaudit.core.hit import Hit
from iocaudit.core.report import Finding, ReportedHit
from iocaudit.core.resource import CLUSTER, Ref
from iocaudit.core.severity import IoC, Severity
from iocaudit.records.finding import finding_body, finding_content

CRDS = Path(__file__).parents[2] / "manifests" / "crds"
POLICIES = """\
apiVersion: iocaudit.io/v1alpha1
kind: AuditPolicy
metadata: {name: asked-gold}
spec:
  priority: 10
  match: {namespaceSelector: {matchLabels: {asked: gold}}}
  checks: [{groups: [pods], mode: deny}]
---
apiVersion: iocaudit.io/v1alpha1
kind: AuditPolicy
metadata: {name: asked-cluster}
spec:
  match: {clusterScoped: true, namespaces: [nowhere]}
  checks: [{ids: [wildcard-rule], mode: "off"}]
"""


@pytest.fixture(scope="module")
def cluster(control_plane: ControlPlane) -> Iterator[ControlPlane]:
    control_plane.kubectl("apply", "--server-side", "-f", str(CRDS))
    control_plane.kubectl("wait", "--for=condition=Established", "-f", str(CRDS), "--timeout=20s")
    control_plane.kubectl("apply", "-f", "-", input=POLICIES)
    yield control_plane
    control_plane.kubectl("delete", "auditpolicies", "asked-gold", "asked-cluster")


@pytest.fixture
def stored(cluster: ControlPlane, namespace: str) -> Iterator[str]:
    """Findings in a fresh namespace and one of the cluster, as the operator writes them."""
    bodies = [
        body(namespace, "low", "no-egress-policy", "web", Severity.LOW),
        body(namespace, "worst", "privileged-container", "miner", Severity.CRITICAL),
        body(namespace, "high", "host-pid", "agent", Severity.HIGH),
        body(None, "asked-admin", "cluster-admin-binding", "asked-admin", Severity.CRITICAL),
    ]
    cluster.kubectl("apply", "--server-side", "-f", "-", input=yaml.safe_dump_all(bodies))
    yield namespace
    cluster.kubectl("delete", "clusteriocfinding", "asked-admin")


def body(namespace: str | None, name: str, check: str, subject: str, severity: Severity) -> dict[str, Any]:
    ref, iocs = Ref("", "v1", "Pod", namespace, subject), (IoC.CLUSTER_ADMIN,)
    found = ReportedHit(check, severity, iocs, ref, CLUSTER, Hit("spec", "is bad", "x"))
    content = finding_content(Finding(check, ref, namespace, severity, iocs, (found,)), "title")
    times = {"firstSeen": "2026-01-01T00:00:00Z", "lastChanged": "2026-01-01T00:00:00Z"}
    return finding_body(namespace, name, {**content, **times})


def ask(cluster: ControlPlane, *arguments: str, code: int = 0) -> str:
    command = [sys.executable, "-m", "iocaudit.cli", *arguments]
    environment = {**os.environ, "KUBECONFIG": str(cluster.kubeconfig)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def test_top_shows_the_worst_first(cluster: ControlPlane, stored: str) -> None:
    found = json.loads(ask(cluster, "top", "-ojson", "--all"))
    mine = [one for one in found["findings"] if one["namespace"] == stored or one["name"] == "asked-admin"]
    assert [one["name"] for one in mine] == ["asked-admin", "worst", "high", "low"]
    assert found["notRead"] == []
    assert found["total"] >= 4
    lines = ask(cluster, "top", "-n", stored, "--limit", "2").splitlines()
    assert lines[1].split()[:2] == ["critical", "privileged-container"]
    assert lines[1].split()[3:6] == [stored, "Pod/miner", "Open"]
    assert lines[3] == "1 more (--all shows them)"


def test_top_as_a_plugin_of_kubectl(cluster: ControlPlane, stored: str, tmp_path: Path) -> None:
    program = tmp_path / "kubectl-iocaudit"
    program.write_text(f"#!{sys.executable}\nfrom iocaudit.cli.main import main\n\nmain()\n", encoding="utf-8")
    program.chmod(0o755)
    where = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    command = [str(cluster.binaries.kubectl), "iocaudit", "top", "-n", stored, "-ojson"]
    environment = {**os.environ, "KUBECONFIG": str(cluster.kubeconfig), "PATH": where}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert [one["name"] for one in json.loads(done.stdout)["findings"]] == ["worst", "high", "low"]


def test_which_policy_decides_follows_the_namespaces_labels(cluster: ControlPlane, namespace: str) -> None:
    def decided(*arguments: str) -> Any:
        asked = ("--cluster", "--check", "host-pid", "--check", "wildcard-rule", "-ojson")
        found = json.loads(ask(cluster, "policy", "explain", *arguments, *asked))
        return {one["check"]: (one["decidedBy"] or {}).get("policy") for one in found["checks"]}

    assert decided("-n", namespace) == {"host-pid": None, "wildcard-rule": None}
    cluster.kubectl("label", "namespace", namespace, "asked=gold")
    assert decided("-n", namespace) == {"host-pid": "asked-gold", "wildcard-rule": None}
    assert decided("--cluster-scope") == {"host-pid": None, "wildcard-rule": "asked-cluster"}


def test_a_namespace_that_is_not_there_is_wrong_usage(cluster: ControlPlane) -> None:
    assert ask(cluster, "policy", "explain", "-n", "asked-nowhere", "--cluster", code=2) == ""
