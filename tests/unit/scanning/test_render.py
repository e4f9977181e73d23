"""What was rendered is judged in that form alone, each object once, at the file and line of its source."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from tests.support.running import run
from tests.unit.sources.test_kustomize import write

Json = dict[str, Any]
BASE = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  template:
    spec:
      containers:
      - name: app
        image: example.org/a:latest
        securityContext:
          allowPrivilegeEscalation: false
"""
PATCH = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  template:
    spec:
      hostPID: true
      containers:
      - name: app
        securityContext:
          privileged: true
"""
BUILT = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  annotations:
    config.kubernetes.io/origin: |
      path: FOLDER/base/d.yaml
  name: eu-web
  namespace: prod
spec:
  template:
    spec:
      hostPID: true
      containers:
      - name: app
        image: example.org/a:1.2
        securityContext:
          allowPrivilegeEscalation: false
          privileged: true
          runAsUser: 0
"""


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Puts a program on PATH that prints a text, with FOLDER as it is told in paths from where it runs."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}/usr/bin{os.pathsep}/bin")

    def add(name: str, text: str, body: str = "") -> None:
        (folder / f"{name}.out").write_text(text)
        file = folder / name
        script = f'for last; do :; done\necho "{name} $*" >> {folder}/calls\n{body}\n'
        where = f'realpath --relative-to="$last" {tmp_path}/in'
        file.write_text(f'#!/bin/sh\n{script}sed "s|FOLDER|$({where})|" {folder}/{name}.out\n')
        file.chmod(file.stat().st_mode | stat.S_IXUSR)

    return add


def scanned(root: Path, *arguments: str) -> tuple[dict[str, set[tuple[str, int | None]]], Json]:
    """Where each check hit, and the whole report."""
    _, said, errors = run("scan", "-o", "json", "--render", *arguments, str(root))
    assert said, errors
    report = json.loads(said)
    found: dict[str, set[tuple[str, int | None]]] = {}
    for one in report["findings"]:
        found.setdefault(one["check"], set()).add((str(Path(one["file"]).relative_to(root)), one["line"]))
    return found, report


@pytest.fixture
def overlay(tmp_path: Path) -> Path:
    return write(
        tmp_path / "in",
        {
            "base/kustomization.yaml": {"resources": ["d.yaml"]},
            "base/d.yaml": BASE,
            "over/kustomization.yaml": {"resources": ["../base"], "patches": [{"path": "p.yaml"}], "namespace": "prod"},
            "over/p.yaml": PATCH,
        },
    )


def test_an_object_is_judged_once_as_it_was_rendered(overlay: Path, tool: Any) -> None:
    tool("kustomize", BUILT)
    found, report = scanned(overlay)
    assert report["summary"]["audited"] == 1
    assert "mutable-image-tag" not in found  # the overlay names another image
    assert found["privileged-container"] == {("over/p.yaml", 12)}
    assert found["host-pid"] == {("over/p.yaml", 8)}
    assert found["runs-as-root"] == {("base/d.yaml", 11)}  # of nobody's file: where it would stand
    assert {one["subject"]["name"] for one in report["findings"]} == {"eu-web"}
    assert report["skipped"] == []
    assert (overlay.parent / "bin" / "calls").read_text().count("kustomize build") == 1
    assert "config.kubernetes.io/origin" not in json.dumps(report)


def test_overlays_of_one_base_tell_the_same_finding_once(overlay: Path, tool: Any) -> None:
    write(overlay, {"second/kustomization.yaml": {"resources": ["../base"]}})
    tool("kustomize", BUILT)
    _, report = scanned(overlay)
    keys = [(one["file"], one["line"], one["fingerprint"]) for one in report["findings"]]
    assert len(keys) == len(set(keys))


def test_what_cannot_be_rendered_is_judged_as_it_stands(overlay: Path, tool: Any) -> None:
    tool("kustomize", "", "echo no such base >&2; exit 1")
    found, report = scanned(overlay)
    (error,) = report["errors"]
    assert error["file"] == f"{overlay}/over/kustomization.yaml"
    assert f"`kustomize build {overlay}/over` ended with 1: no such base" in error["reason"]
    assert found["mutable-image-tag"] == {("base/d.yaml", 10)}
    assert [Path(one["file"]).name for one in report["skipped"]] == ["p.yaml"]


def test_a_kustomize_that_cannot_say_where_from_still_renders(overlay: Path, tool: Any) -> None:
    built = BUILT.replace("  annotations:\n    config.kubernetes.io/origin: |\n      path: FOLDER/base/d.yaml\n", "")
    refuse = 'case "$last" in */iocaudit-*) echo \'unknown field "buildMetadata"\' >&2; exit 1;; esac'
    tool("kustomize", built, refuse)
    found, report = scanned(overlay)
    assert found["privileged-container"] == {("over/kustomization.yaml", None)}
    assert report["errors"] == []


def test_rendered_files_are_not_repaired(overlay: Path, tool: Any) -> None:
    tool("kustomize", BUILT)
    before = {file: file.read_bytes() for file in overlay.rglob("*.yaml")}
    _, _, errors = run("scan", "--render", "--fix", "--unsafe-fixes", str(overlay))
    assert "it was rendered: change what it was rendered from" in errors
    assert {file: file.read_bytes() for file in overlay.rglob("*.yaml")} == before


CHART = """\
{{- if .Values.enabled }}
apiVersion: v1
kind: Service
metadata:
  name: {{ .Release.Name }}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .Release.Name }}
spec:
  template:
    spec:
      containers:
      {{- range .Values.more }}
      - name: {{ . }}
      {{- end }}
      - name: app
        image: {{ .Values.image }}
        securityContext:
          privileged: {{ .Values.privileged }}
          runAsUser: 0
{{- end }}
"""
HELMED = """\
---
# Source: shop/templates/a.yaml
apiVersion: apps/v1
kind: Deployment
metadata:
  name: release-name
spec:
  template:
    spec:
      containers:
      - name: app
        image: example.org/a:1
        securityContext:
          privileged: true
          runAsUser: 0
---
# Source: shop/charts/db/templates/plain.yaml
apiVersion: v1
kind: Pod
metadata:
  name: db
spec:
  hostPID: true
  containers: [{name: a, image: "example.org/b:1"}]
"""
PLAIN = HELMED.partition("plain.yaml\n")[2]


def test_a_chart_is_judged_at_the_lines_of_its_templates(tmp_path: Path, tool: Any) -> None:
    root = write(
        tmp_path / "in",
        {
            "web/Chart.yaml": {"apiVersion": "v2", "name": "shop"},
            "web/templates/a.yaml": CHART,
            "web/charts/db/Chart.yaml": {"apiVersion": "v2", "name": "db"},
            "web/charts/db/templates/plain.yaml": PLAIN,
            "web/values.yaml": {"image": "a"},
            "other.yaml": PLAIN,
        },
    )
    tool("helm", HELMED)
    values = write(tmp_path, {"v1.yaml": {"a": 1}, "v2.yaml": {"a": 2}})
    found, report = scanned(root, "--values", f"{values}/v1.yaml", "--values", f"{values}/v2.yaml")
    assert found["privileged-container"] == {("web/templates/a.yaml", 21)}
    assert found["runs-as-root"] == {("web/templates/a.yaml", 22)}
    assert found["host-pid"] == {("web/charts/db/templates/plain.yaml", 6), ("other.yaml", 6)}
    assert report["summary"]["audited"] == 3
    assert report["skipped"] == []
    calls = (tmp_path / "bin" / "calls").read_text()
    assert calls == f"helm template {root}/web --values {values}/v1.yaml --values {values}/v2.yaml\n"


def test_a_chart_that_cannot_be_rendered_is_an_error_and_its_plain_files_are_judged(tmp_path: Path, tool: Any) -> None:
    files = {"Chart.yaml": {"apiVersion": "v2"}, "templates/a.yaml": CHART, "templates/plain.yaml": PLAIN}
    root = write(tmp_path / "in", files)
    tool("helm", "", "exit 4")
    found, report = scanned(root)
    assert [one["file"] for one in report["errors"]] == [f"{root}/Chart.yaml"]
    assert found["host-pid"] == {("templates/plain.yaml", 6)}


def test_standard_input_is_read_beside_what_is_rendered(overlay: Path, tool: Any) -> None:
    tool("kustomize", BUILT)
    code, said, _ = run("scan", "-o", "json", "--render", "--check", "host-pid", str(overlay), "-", stdin=PLAIN)
    assert {one["subject"]["name"] for one in json.loads(said)["findings"]} == {"eu-web", "db"}
    assert code == 1


def test_values_go_with_render(tmp_path: Path) -> None:
    write(tmp_path, {"a.yaml": PLAIN})
    code, _, errors = run("scan", "--values", "v.yaml", str(tmp_path))
    assert code == 2
    assert "--values goes with --render" in errors
