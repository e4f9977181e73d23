"""What each option of ``iocaudit scan`` does."""

import json
import os
import re
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from iocaudit.core.check import Check
from iocaudit.engine.catalogue import Catalogue, builtin_catalogue
from iocaudit.scanning import running
from tests.support.bounded import within
from tests.support.running import run

POD = """\
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: NAMESPACE}
spec:
  containers: [{name: a, image: "example.org/a:1", securityContext: {privileged: true}}]
"""
ISOLATED = """\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: all, namespace: NAMESPACE}
spec: {podSelector: {}, policyTypes: [Ingress]}
"""


def pod(namespace: str | None = "shop", text: str = POD) -> str:
    return text.replace(", namespace: NAMESPACE", f", namespace: {namespace}" if namespace else "")


def scanned(*arguments: str, stdin: str = "") -> tuple[int, dict[str, Any]]:
    code, said, errors = run("scan", "-o", "json", *arguments, stdin=stdin)
    assert said, errors
    return code, json.loads(said)


def checks_of(said: dict[str, Any]) -> set[str]:
    return {finding["check"] for finding in said["findings"]}


@pytest.mark.parametrize(("threshold", "code"), [("low", 1), ("medium", 1), ("high", 0), ("critical", 0)])
def test_fail_on_sets_the_threshold(threshold: str, code: int) -> None:
    medium = pod().replace("privileged: true", "runAsUser: 5")
    assert scanned("-", "--check", "privilege-escalation-allowed", "--fail-on", threshold, stdin=medium)[0] == code


def test_check_and_skip_narrow_the_catalogue() -> None:
    assert checks_of(scanned("-", "--check", "privileged-container", stdin=pod())[1]) == {"privileged-container"}
    assert "privileged-container" not in checks_of(scanned("-", "--skip", "privileged-container", stdin=pod())[1])
    assert (
        checks_of(scanned("-", "--check", "privileged-container", "--skip", "privileged-container", stdin=pod())[1])
        == set()
    )


def changed(monkeypatch: pytest.MonkeyPatch, **fields: Any) -> None:
    """Make privileged-container another check in the builtin catalogue."""

    def change(check: Check) -> Check:
        return replace(check, **fields) if check.id == "privileged-container" else check

    catalogue = Catalogue(map(change, builtin_catalogue()))
    monkeypatch.setattr("iocaudit.cli.scan_command.indexed_catalogue", lambda: catalogue)


def test_an_alias_names_its_check(monkeypatch: pytest.MonkeyPatch) -> None:
    changed(monkeypatch, aliases=("old-name",))
    assert checks_of(scanned("-", "--check", "old-name", stdin=pod())[1]) == {"privileged-container"}
    assert "privileged-container" not in checks_of(scanned("-", "--skip", "old-name", stdin=pod())[1])


def test_a_strict_check_runs_under_that_profile_or_where_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    changed(monkeypatch, profile="strict")
    assert "privileged-container" not in checks_of(scanned("-", stdin=pod())[1])
    assert "privileged-container" in checks_of(scanned("-", "--profile", "strict", stdin=pod())[1])
    assert checks_of(scanned("-", "--check", "privileged-container", stdin=pod())[1]) == {"privileged-container"}


def test_an_unset_namespace_means_the_given_one_and_stays_null() -> None:
    text = pod(None) + "---\n" + pod("shop", ISOLATED)
    only = ("-", "--check", "no-ingress-policy")
    _, elsewhere = scanned(*only, stdin=text)
    assert [finding["subject"]["namespace"] for finding in elsewhere["findings"]] == [None]
    assert scanned(*only, "-n", "shop", stdin=text)[1]["findings"] == []
    assert scanned(*only, "-n", "shop", stdin=pod(None) + "---\n" + pod(None, ISOLATED))[1]["findings"] == []


def test_what_is_not_configured_is_said_once_and_costs_nothing() -> None:
    quiet = pod().replace("privileged: true", "runAsUser: 5") + "---\n" + pod("other")
    code, said = scanned("-", "--check", "untrusted-registry", "--require-complete", stdin=quiet)
    assert code == 0
    assert said["notConfigured"] == [{"check": "untrusted-registry", "parameters": ["trusted"]}]
    _, table, _ = run("scan", "-", "--check", "untrusted-registry", stdin=quiet)
    assert table.count("1 check needs a parameter (iocaudit checks --unset)") == 1


def test_a_policy_sets_parameters_and_severity(tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text(
        "apiVersion: iocaudit.io/v1alpha1\nkind: AuditPolicy\nmetadata: {name: a}\n"
        "spec: {checks: [{ids: [untrusted-registry], severity: low, parameters: {trusted: [hooli.com]}}]}\n"
    )
    _, said = scanned("-", "--check", "untrusted-registry", "--policy", str(policy), stdin=pod())
    assert [finding["severity"] for finding in said["findings"]] == ["low"]


def test_a_policy_file_that_says_anything_else_than_it_seems_to_is_refused_with_every_line(tmp_path: Path) -> None:
    """A narrowing that is misspelled, or a document that is left out, would turn a check off where it was to run."""
    off = (
        "apiVersion: iocaudit.io/v1alpha1\nkind: AuditPolicy\nmetadata: {name: a}\nspec:\n"
        "  match: {namespaces: [lab]}\n  checks:\n  - ids: [privileged-container]\n    mode: off\n"
    )
    policy = tmp_path / "policy.yaml"
    policy.write_text(off)
    assert run("scan", "-", "--check", "privileged-container", "--policy", str(policy), stdin=pod())[0] == 1
    policy.write_text(off.replace("lab", "shop"))
    inside = run("scan", "-", "--check", "privileged-container", "--policy", str(policy), stdin=pod())
    assert inside[0] == 0, "an unquoted off is off"
    for wrong, said in {
        "kind: [": [f"{policy}:2: not YAML"],
        "a: 1": [f"{policy}:1: a document without apiVersion and kind is not an AuditPolicy or IocWaiver"],
        "apiVersion: iocaudit.io/v1alpha1\nkind: AuditPolicy\nspec: 1": [
            f"{policy}:3: AuditPolicy (unnamed): spec: must be a map"
        ],
        off.replace("namespaces", "namespace").replace("privileged", "priviledged"): [
            f"{policy}:5: AuditPolicy a: spec.match.namespace: there is no such field (did you mean namespaces?)",
            f"{policy}:7: AuditPolicy a: spec.checks[0].ids[0]: there is no check 'priviledged-container' "
            "(did you mean privileged-container?)",
        ],
        f"{off}---\n{off.replace('AuditPolicy', 'AuditPolcy')}---\n{off.replace('v1alpha1', 'v1')}": [
            f"{policy}:10: AuditPolcy of iocaudit.io/v1alpha1 is not an AuditPolicy or IocWaiver of iocaudit.io/",
            f"{policy}:19: AuditPolicy of iocaudit.io/v1 is not an AuditPolicy or IocWaiver of iocaudit.io/",
        ],
    }.items():
        policy.write_text(wrong)
        code, _, errors = run("scan", "-", "--policy", str(policy), stdin=pod())
        assert code == 2
        for wanted in said:
            assert any(line.removeprefix("iocaudit: ").startswith(wanted) for line in errors.splitlines()), errors


def test_a_baseline_leaves_out_its_hits_and_only_those(tmp_path: Path) -> None:
    known = tmp_path / "known.json"
    code, _, errors = run("scan", "-", "--write-baseline", str(known), stdin=pod())
    assert (code, "hits written" in errors) == (0, True)
    code, said = scanned("-", "--baseline", str(known), stdin=pod())
    assert (code, said["findings"], said["summary"]["baselined"] > 0) == (0, [], True)
    whole = known.read_bytes()
    assert run("scan", "-", "--baseline", str(known), "--write-baseline", str(known), stdin=pod())[0] == 0
    assert known.read_bytes() == whole, "written anew, it holds what the old one held"
    more = pod().replace("spec:\n", "spec:\n  hostPID: true\n")
    assert checks_of(scanned("-", "--baseline", str(known), stdin=more)[1]) == {"host-pid"}
    old = '{"version": 1, "hits": [{"fingerprint": "0123456789abcdef"}]}'
    for wrong in (
        "",
        "[]",
        old,
        '{"version": 3, "hits": []}',
        old.replace("1", "2", 1),
        '{"version": 2, "hits": [{}]}',
    ):
        known.write_text(wrong)
        code, _, errors = run("scan", "-", "--baseline", str(known), stdin=pod())
        assert (code, str(known) in errors) == (2, True)
        assert wrong != old or "scheme v1" in errors
    assert run("scan", "-", "--write-baseline", str(tmp_path / "no" / "where.json"), stdin=pod())[0] == 2


def test_a_baseline_is_written_whole_and_through_no_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = ("scan", "-", "--write-baseline")
    precious = tmp_path / "precious"
    precious.write_text("precious")
    link = tmp_path / "known.json"
    link.symlink_to(precious)
    (tmp_path / "dangling.json").symlink_to(tmp_path / "new")
    (tmp_path / "folder").mkdir()
    for target in (link, tmp_path / "dangling.json", tmp_path / "folder", Path(os.devnull)):
        code, _, errors = run(*write, str(target), stdin=pod())
        assert (code, f"{target}: the baseline is not written" in errors) == (2, True)
    assert precious.read_text() == "precious"
    assert link.is_symlink()
    assert not (tmp_path / "new").exists()

    code, _, errors = run(*write, str(precious), stdin=pod())
    assert (code, "not JSON" in errors, precious.read_text()) == (2, True, "precious"), "it is not a baseline"
    precious.write_text("")
    precious.chmod(0o640)
    assert run(*write, str(precious), stdin=pod())[0] == 0
    whole = precious.read_bytes()
    assert stat.S_IMODE(precious.stat().st_mode) == 0o640
    second = tmp_path / "second.json"
    os.link(precious, second)
    assert run(*write, str(precious), stdin=pod().replace("Pod", "ConfigMap"))[0] == 0
    assert second.read_bytes() == whole, "only the name that was given is written"

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    before = precious.read_bytes()
    monkeypatch.setattr("iocaudit.cli.writing.os.fsync", full)
    code, _, errors = run(*write, str(precious), stdin=pod())
    assert (code, "No space left" in errors) == (2, True)
    assert precious.read_bytes() == before
    assert not list(tmp_path.glob(".iocaudit-*"))


def test_each_file_alone_is_a_world_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(pod())
    (tmp_path / "b.yaml").write_text(pod("shop", ISOLATED))
    only = (str(tmp_path), "--check", "no-ingress-policy")
    assert scanned(*only)[1]["findings"] == []
    assert checks_of(scanned(*only, "--each-file-alone")[1]) == {"no-ingress-policy"}


def test_a_look_up_takes_the_nearest_variant(tmp_path: Path) -> None:
    open_policy = pod("shop", ISOLATED).replace("podSelector: {}", "podSelector: {matchLabels: {a: b}}")
    for overlay, policy in (("prod", pod("shop", ISOLATED)), ("test", open_policy)):
        (tmp_path / overlay).mkdir()
        (tmp_path / overlay / "pod.yaml").write_text(pod())
        (tmp_path / overlay / "policy.yaml").write_text(policy)
    _, said = scanned(str(tmp_path), "--check", "no-ingress-policy")
    assert [Path(finding["file"]).parent.name for finding in said["findings"]] == ["test"]


def test_what_has_to_be_rendered_is_skipped_with_the_command(tmp_path: Path) -> None:
    chart = tmp_path / "web" / "templates"
    chart.mkdir(parents=True)
    (chart / "a.yaml").write_text("kind: {{ .Values.kind }}\n")
    (tmp_path / "kustomization.yaml").write_text("resources: [a.yaml]\n")
    code, said = scanned(str(tmp_path))
    assert code == 3, "nothing was audited"
    assert {entry["reason"].split("`")[1] for entry in said["skipped"]} == {
        f"helm template {tmp_path}/web",
        f"kubectl kustomize {tmp_path}",
    }
    assert scanned(str(tmp_path), "--require-complete")[0] == 3


class Tools:
    """Executables of our own on PATH, that note how they were called."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.calls = folder / "calls"

    def add(self, name: str, body: str) -> None:
        file = self.folder / name
        file.write_text(f'#!/bin/sh\necho "{name} $*" >> {self.calls}\n{body}\n')
        file.chmod(file.stat().st_mode | stat.S_IXUSR)

    def prints(self, name: str, text: str) -> None:
        (self.folder / f"{name}.out").write_text(text)
        self.add(name, f"cat {self.folder}/{name}.out")


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tools:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}/usr/bin{os.pathsep}/bin")
    return Tools(folder)


@pytest.fixture
def charts(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    for chart in ("web", "web/charts/db"):
        (folder / chart / "templates").mkdir(parents=True)
        (folder / chart / "templates" / "a.yaml").write_text("kind: {{ .Values.kind }}\n")
        (folder / chart / "templates" / "b.yaml").write_text("{{ if x }}\n")
    (folder / "over lay").mkdir()
    (folder / "over lay" / "kustomization.yaml").write_text("resources: [../a.yaml]\n")
    return folder


def test_render_runs_helm_and_kustomize_once_each(tools: Tools, charts: Path) -> None:
    tools.prints("helm", pod("helmed"))
    tools.prints("kustomize", pod("kustomized") + "---\n" + pod("helmed", ISOLATED))
    code, said = scanned(str(charts), "--render")
    assert code == 1
    assert said["skipped"] == []
    helm, kustomize = sorted(tools.calls.read_text().splitlines())
    assert helm == f"helm template {charts}/web"
    assert re.fullmatch(r"kustomize build \S+/iocaudit-\w+", kustomize)  # which takes the user's folder as a resource
    where = {
        (f["subject"]["namespace"], f["file"], f["line"])
        for f in said["findings"]
        if f["check"] == "privileged-container"
    }
    assert where == {
        ("helmed", f"{charts}/web/templates/a.yaml", None),
        ("kustomized", f"{charts}/over lay/kustomization.yaml", None),
    }
    isolated = {f["subject"]["namespace"] for f in said["findings"] if f["check"] == "no-ingress-policy"}
    assert isolated == {"kustomized"}  # what was rendered is part of the world


def test_kubectl_does_where_kustomize_is_not_there(tools: Tools, charts: Path) -> None:
    tools.prints("kubectl", pod())
    tools.prints("helm", "")
    assert scanned(str(charts), "--render")[0] == 1
    assert "kubectl kustomize /" in tools.calls.read_text()


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("echo out; echo 'no such value\x1b[31m' >&2; exit 3", "ended with 3: no such value"),
        ("exec sleep 60", "was stopped after 0.5 s"),
        ("sleep 60 & wait", "was stopped after 0.5 s"),
        ("echo 'a: ['", "rendered, line 2: not YAML"),
        ("yes 'a: 1'", "printed more than 1 MiB"),
    ],
)
def test_what_cannot_be_rendered_is_unreadable(
    tools: Tools, charts: Path, monkeypatch: pytest.MonkeyPatch, body: str, reason: str
) -> None:
    monkeypatch.setattr(running, "SECONDS", 0.5 if "sleep" in body else 30)
    monkeypatch.setattr(running, "MOST_BYTES", 1024 * 1024)
    tools.add("helm", body)
    tools.prints("kustomize", pod())
    with within(50):
        code, said = scanned(str(charts), "--render")
    assert code == 2
    (error,) = said["errors"]
    assert reason in error["reason"]
    assert error["file"] == f"{charts}/web/templates/a.yaml"
    assert "privileged-container" in checks_of(said)  # the rest is audited


def test_without_the_tools_it_says_which_are_missing(
    charts: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    code, said = scanned(str(charts), "--render")
    assert code == 2
    assert {error["reason"] for error in said["errors"]} == {
        "cannot be rendered: helm is not on PATH",
        "cannot be rendered: kustomize or kubectl is not on PATH",
    }


def test_render_goes_with_files_as_one_world() -> None:
    assert run("scan", "-", "--render", "--each-file-alone", stdin=pod())[0] == 2
    assert run("scan", "--cluster", "--render")[0] == 2


def test_every_mistake_in_any_of_the_files_is_told_at_once_with_its_line(tmp_path: Path) -> None:
    """Documents of other kinds, policies and waivers alike: nobody has to try again for the next one."""
    one, other = tmp_path / "one.yaml", tmp_path / "other.yaml"
    one.write_text(
        "apiVersion: iocaudit.io/v1alpha1\nkind: AuditPolicy\nmetadata: {name: a}\n"
        "spec:\n  preset: gaurd\n  match: {namespace: [x]}\n  checks:\n  - {groups: [pod], mode: denny}\n"
        "---\napiVersion: v1\nkind: Pod\nmetadata: {name: x}\n"
    )
    other.write_text(
        "apiVersion: iocaudit.io/v1alpha1\nkind: IocWaiver\nmetadata: {name: w}\n"
        "spec: {checks: [privilegd-container], namespace: [x]}\n"
        "---\napiVersion: iocaudit.io/v1alpha1\nkind: AuditPolicy\nmetadata: {name: b}\n"
        "spec: {checks: [{ids: [host-pdi], mode: off}]}\n"
    )
    code, out, errors = run("scan", "-", "--policy", str(one), "--policy", str(other), stdin=pod())
    assert (code, out) == (2, "")
    for said in (
        f"{one}:5: AuditPolicy a: spec.preset: 'gaurd' is not one of observe, warn, guard, lockdown (did ",
        f"{one}:6: AuditPolicy a: spec.match.namespace: there is no such field (did you mean namespaces?)",
        f"{one}:8: AuditPolicy a: spec.checks[0].groups[0]: 'pod' is not one of ",
        f"{one}:8: AuditPolicy a: spec.checks[0].mode: 'denny' is not one of deny, warn, audit, off (did you mean d",
        f"{one}:10: Pod of v1 is not an AuditPolicy or IocWaiver",
        f"{other}:4: IocWaiver w: spec.checks[0]: there is no check 'privilegd-container' (did you mean privileged-",
        f"{other}:4: IocWaiver w: spec.namespace: there is no such field (did you mean namespaces?)",
        f"{other}:9: AuditPolicy b: spec.checks[0].ids[0]: there is no check 'host-pdi' (did you mean host-pid?)",
    ):
        assert said in errors
