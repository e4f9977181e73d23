"""--render with the kustomize of a real kubectl: each object once, as rendered, at the line of its source."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from devcluster.binaries import ensure
from tests.support.running import run
from tests.unit.scanning.test_render import BASE, PATCH
from tests.unit.sources.test_kustomize import write


def test_an_overlay_is_judged_as_kustomize_makes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "kubectl").symlink_to(ensure().kubectl)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}/usr/bin{os.pathsep}/bin")
    monkeypatch.chdir(tmp_path)
    overlay = {
        "resources": ["../base"],
        "components": ["../part"],
        "namespace": "prod",
        "namePrefix": "eu-",
        "images": [{"name": "example.org/a", "newName": "example.org/b", "newTag": "1.2"}],
        "patches": [{"path": "p.yaml"}],
    }
    component = {
        "apiVersion": "kustomize.config.k8s.io/v1alpha1",
        "kind": "Component",
        "patches": [{"path": "c.yaml", "target": {"kind": "Deployment"}}],
    }
    files = {
        "in/base/kustomization.yaml": {"resources": ["d.yaml"]},
        "in/base/d.yaml": BASE,
        "in/over/kustomization.yaml": overlay,
        "in/over/p.yaml": PATCH,
        "in/part/kustomization.yaml": component,
        "in/part/c.yaml": PATCH.replace("hostPID", "hostIPC").replace("privileged: true", "runAsUser: 0"),
    }
    write(tmp_path, files)
    for path in ("in", str(tmp_path / "in")):
        _, said, errors = run("scan", "-o", "json", "--render", path)
        report = json.loads(said)
        assert report["errors"] == [], errors
        found = {(one["check"], str(Path(one["file"]).relative_to(path)), one["line"]) for one in report["findings"]}
        assert {
            ("host-pid", "over/p.yaml", 8),
            ("privileged-container", "over/p.yaml", 12),
            ("host-ipc", "part/c.yaml", 8),
            ("runs-as-root", "part/c.yaml", 12),
        } <= found
        assert not [one for one in found if one[0] == "mutable-image-tag"]
        assert {one["subject"]["name"] for one in report["findings"]} == {"eu-web"}
        assert report["summary"]["audited"] == 1
        assert report["skipped"] == []
    assert not list((tmp_path / "in").rglob("*iocaudit*"))
