"""What repairs and --generate write is taken by a real API server, and a patch does there what it does in the file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
import yaml

from devcluster.controlplane import ControlPlane
from iocaudit.core.check import Check
from iocaudit.core.hit import Hit
from iocaudit.core.kinds import PODS
from iocaudit.core.repair import put
from iocaudit.core.resource import CLUSTER, Resource
from iocaudit.core.stored_patch import stored_patch
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.repairs.missing import documents
from iocaudit.scanning.repairing import repair
from iocaudit.scanning.scan import ScanOptions, scan_files
from tests.cluster.processes import CRDS, Eventually, Json, apply, deployment, items, operator
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
    text = check.doc.bad
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


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """Its own, with an operator that watches it."""
    with ControlPlane() as cluster:
        cluster.kubectl("apply", "--server-side", "-f", str(CRDS))
        cluster.kubectl("wait", "--for=condition=Established", "-f", str(CRDS), "--timeout=20s")
        cluster.kubectl("create", "namespace", "iocaudit")
        with operator(cluster, tmp_path_factory.mktemp("operator") / "operator.log", 5.0):
            yield cluster


def _bad(name: str, **security: Any) -> Json:
    """A Deployment with two containers, of which the second is bad."""
    raw = deployment("default", privileged=True)
    raw["metadata"]["name"] = name
    raw["spec"]["selector"]["matchLabels"] = raw["spec"]["template"]["metadata"]["labels"] = {"app": name}
    (container,) = raw["spec"]["template"]["spec"]["containers"]
    container["securityContext"] |= security
    raw["spec"]["template"]["spec"] |= {"hostPID": True, "containers": [{**container, "name": "log"}, container]}
    raw["spec"]["template"]["spec"]["containers"][0].pop("securityContext")
    return raw


def _named(cluster: ControlPlane, check: str, target: str) -> tuple[str, Json] | None:
    """The resource's name and the content of a finding."""
    for one in items(cluster, "iocfindings", "-ndefault"):
        if (one["finding"]["check"], one["finding"]["target"]) == (check, target):
            return one["metadata"]["name"], one["finding"]
    return None


def test_the_patch_of_a_stored_finding_resolves_it(audited: ControlPlane, eventually: Eventually) -> None:
    """Handed to kubectl as it is: as JSON, and as YAML."""
    apply(audited, _bad("web", capabilities={"add": ["SYS_ADMIN", "NET_BIND_SERVICE"]}))
    for check, field in (
        ("privileged-container", "patch"),
        ("dangerous-capability", "patchYaml"),
        ("host-pid", "patch"),
    ):
        eventually(lambda check=check: _named(audited, check, "Deployment/web") is not None, check, seconds=30)
        found = _named(audited, check, "Deployment/web")
        assert found is not None
        name, finding = found
        assert finding["state"] == "Open"
        assert (finding["repair"]["safe"], finding["repair"]["hits"]) == (False, finding["hitCount"])
        patch = audited.kubectl(
            "get", "iocfinding", name, "-ndefault", "-o", f"jsonpath={{.finding.repair.{field}}}"
        ).stdout
        audited.kubectl("patch", "deployment", "web", "-ndefault", "--type=json", "-p", patch)
        eventually(
            lambda check=check: (
                (_named(audited, check, "Deployment/web") or ("", {"state": ""}))[1]["state"] == "Resolved"
            ),
            f"{check} to be Resolved",
            seconds=30,
        )
    stored = json.loads(audited.kubectl("get", "deployment", "web", "-ndefault", "-o", "json").stdout)
    spec = stored["spec"]["template"]["spec"]
    assert "hostPID" not in spec
    assert spec["containers"][1]["securityContext"] == {"capabilities": {"add": ["NET_BIND_SERVICE"]}}


def test_an_object_that_changed_meanwhile_refuses_its_patch(audited: ControlPlane, eventually: Eventually) -> None:
    """A container put before another, a value that is another by now, a field that somebody filled."""
    raw = _bad("old")
    raw["spec"]["template"]["spec"]["containers"][1]["ports"] = [{"containerPort": 80, "hostPort": 80}]
    apply(audited, raw)
    absent = Hit('spec.template.spec.containers["log"].securityContext.runAsNonRoot', "", repair=put(True))
    added = stored_patch(raw, [absent])
    assert added is not None
    kept = {"added": added.patch}
    for check in ("privileged-container", "host-port"):
        eventually(lambda check=check: _named(audited, check, "Deployment/old") is not None, check, seconds=30)
        named = _named(audited, check, "Deployment/old")
        assert named is not None
        kept[check] = named[1]["repair"]["patch"]
    log, app = raw["spec"]["template"]["spec"]["containers"]
    for check, containers in {
        "privileged-container": [app, log],
        "host-port": [log, {**app, "ports": [{"containerPort": 80, "hostPort": 81}]}],
        "added": [{**log, "securityContext": {"runAsUser": 1000}}, app],
    }.items():
        raw["spec"]["template"]["spec"]["containers"] = containers
        audited.kubectl("replace", "-f", "-", input=json.dumps(raw))
        arguments = ("patch", "deployment", "old", "-ndefault", "--type=json", "-p", kept[check])
        refused = audited.kubectl(*arguments, check=False)
        assert refused.returncode != 0, check
        assert "test failed" in refused.stderr or "the server rejected our request" in refused.stderr, refused.stderr
    raw["spec"]["template"]["spec"]["containers"] = [log, app]
    audited.kubectl("replace", "-f", "-", input=json.dumps(raw))
    for patch in kept.values():
        audited.kubectl("patch", "deployment", "old", "-ndefault", "--type=json", "-p", patch, "--dry-run=server")
