"""What repairs and --generate write is taken by a real API server, and a patch does there what it does in the file."""

from __future__ import annotations

import json
from functools import partial

import pytest
import yaml

from devcluster.controlplane import ControlPlane
from iocaudit.core.check import Check
from iocaudit.core.check_doc import doc_of
from iocaudit.core.kinds import PODS
from iocaudit.core.resource import CLUSTER, Resource
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.engine.missing import documents
from iocaudit.sources.repairing import repair
from iocaudit.sources.scan import ScanOptions, scan_files
from tests.unit.checks.test_repairs import MECHANICAL

CATALOGUE = builtin_catalogue()
NETWORK = ("no-ingress-policy", "no-egress-policy", "namespace-without-default-deny")
DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: NAMESPACE}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      hostNetwork: true
      hostPID: true
      containers:
      - name: app
        image: hooli.com/web:1
        ports: [{containerPort: 80, hostPort: 80}]
        securityContext: {privileged: true, capabilities: {add: [SYS_ADMIN]}, seccompProfile: {type: Unconfined}}
"""


@pytest.mark.parametrize(
    "check",
    [one for one in CATALOGUE if one.id in MECHANICAL and set(one.looks_at) & set(PODS)],
    ids=lambda check: check.id,
)
def test_a_repaired_bad_example_is_taken(check: Check, control_plane: ControlPlane, namespace: str) -> None:
    text = doc_of(check).bad
    rescan = partial(scan_files, ["-"], CATALOGUE.select({check.id}), ScanOptions(profile="strict"))
    outcome = repair(lambda texts: rescan(texts=texts), unsafe=True, forbidden={}, given={"-": text.encode()})
    assert outcome.after
    for data in outcome.after.values():
        for document in yaml.safe_load_all(data):
            if Resource(document, CLUSTER).kind in PODS:
                document["metadata"]["namespace"] = namespace
                said = control_plane.kubectl(
                    "apply", "--dry-run=server", "-f", "-", input=yaml.safe_dump(document)
                ).stdout
                assert "dry run" in said


def test_a_patch_does_in_the_cluster_what_it_does_in_the_file(control_plane: ControlPlane, namespace: str) -> None:
    text = DEPLOYMENT.replace("NAMESPACE", namespace)
    control_plane.kubectl("apply", "-f", "-", input=text)
    options = ScanOptions(profile="strict", suggest="patch")
    checks = {"host-pid", "seccomp-unconfined", "dangerous-capability"}
    report = scan_files([], CATALOGUE.select(checks), options, texts={"a.yaml": text.encode()}).report
    assert {found.check for found in report.found} == checks
    for found in report.found:
        assert found.suggestion is not None
        patch = json.dumps(found.suggestion.patch)
        control_plane.kubectl("-n", namespace, "patch", "deployment", "web", "--type", "json", "-p", patch)
    stored = control_plane.kubectl("-n", namespace, "get", "deployment", "web", "-o", "yaml").stdout
    left = scan_files([], CATALOGUE.select(checks), options, texts={"a.yaml": stored.encode()}).report
    assert not left.found


def test_generated_network_policies_are_taken(control_plane: ControlPlane, namespace: str) -> None:
    space = f"apiVersion: v1\nkind: Namespace\nmetadata: {{name: {namespace}}}\n"
    workload = DEPLOYMENT.replace("NAMESPACE", namespace).replace("      hostNetwork: true\n", "")
    for text in (workload, f"{space}---\n{workload}"):
        options = ScanOptions(suggest="missing")
        made = documents(
            scan_files([], CATALOGUE.select(set(NETWORK)), options, texts={"a.yaml": text.encode()}).missing
        )
        assert [one["spec"]["policyTypes"] for one in made] == [["Ingress", "Egress"]]
        said = control_plane.kubectl("apply", "--dry-run=server", "-f", "-", input=yaml.safe_dump_all(made)).stdout
        assert "dry run" in said
