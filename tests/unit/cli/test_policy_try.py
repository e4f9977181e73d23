"""``iocaudit policy try`` on files: what it prints, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.running import run

POLICY = """
apiVersion: iocaudit.io/v1alpha1
kind: AuditPolicy
metadata: {name: shop}
spec:
  match: {namespaces: [%s]}
  checks:
  - profiles: [default, strict]
    mode: audit
  - ids: [privileged-container, host-pid]
    mode: deny
"""
EVERYWHERE = """---
apiVersion: iocaudit.io/v1alpha1
kind: AuditPolicy
metadata: {name: audit}
spec:
  priority: -1
  match: {clusterScoped: true}
  checks: [{profiles: [default, strict], mode: audit}]
"""
OBJECTS = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  template:
    spec:
      hostPID: true
      containers:
      - {name: app, image: hooli.com/web, securityContext: {privileged: true}}
---
apiVersion: v1
kind: Pod
metadata: {name: other, namespace: bank}
spec:
  hostPID: true
  containers: [{name: app, image: hooli.com/bank}]
---
apiVersion: v1
kind: Pod
metadata: {name: unset}
spec:
  hostPID: true
  containers: [{name: app, image: hooli.com/bank}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: c}
"""


@pytest.fixture
def objects(tmp_path: Path) -> str:
    path = tmp_path / "objects.yaml"
    path.write_text(OBJECTS)
    return str(path)


def policy(tmp_path: Path, namespaces: str = "shop", more: str = EVERYWHERE) -> str:
    path = tmp_path / "policy.yaml"
    path.write_text(POLICY % namespaces + more)
    return str(path)


def test_what_is_denied_goes_on_and_is_unaffected(objects: str, tmp_path: Path) -> None:
    code, said, errors = run("policy", "try", policy(tmp_path), objects)
    assert (code, errors) == (1, "")
    lines = said.splitlines()
    assert lines[0] == "would be denied if made anew: 1 of 4 objects"
    assert lines[2].split() == ["shop", "Deployment/web", "privileged-container,", "host-pid", f"{objects}:2"]
    assert lines[3:5] == ["goes on as it is, where a cluster has it already: 1", "unaffected: 3"]


def test_nothing_denied_is_exit_0(objects: str, tmp_path: Path) -> None:
    code, said, _ = run("policy", "try", policy(tmp_path, "nowhere"), objects)
    assert code == 0
    assert said.splitlines()[0] == "would be denied if made anew: 0 of 4 objects"


def test_the_namespace_is_where_an_unset_one_means(objects: str, tmp_path: Path) -> None:
    def denied(*more: str) -> list[str]:
        _, said, _ = run("policy", "try", policy(tmp_path), objects, "-o", "json", *more)
        return [one["subject"]["name"] for one in json.loads(said)["denied"]]

    assert denied() == ["web"]
    assert denied("-n", "shop") == ["unset", "web"]


def test_what_it_costs_while_the_webhook_is_away_is_told(objects: str, tmp_path: Path) -> None:
    _, named, _ = run("policy", "try", policy(tmp_path), objects)
    assert "while the webhook is away, making or changing these is refused in shop alone: " in named
    assert "whole cluster" not in named
    _, wide, _ = run("policy", "try", policy(tmp_path, '"s*"'), objects)
    assert "refused in every namespace but iocaudit, kube-system: " in wide
    assert "let each policy that denies name its namespaces" in wide


def test_existing_deny_is_told(objects: str, tmp_path: Path) -> None:
    path = Path(policy(tmp_path))
    path.write_text(path.read_text().replace("spec:\n  match", "spec:\n  existing: deny\n  match", 1))
    _, said, _ = run("policy", "try", str(path), objects)
    assert "goes on as it is, where a cluster has it already: 0" in said
    assert "does not go on as it is: 1" in said


def test_json_holds_every_reason(objects: str, tmp_path: Path) -> None:
    code, said, _ = run("policy", "try", policy(tmp_path), objects, "-o", "json")
    found: dict[str, Any] = json.loads(said)
    (denied,) = found["denied"]
    assert code == 1
    assert [one["check"] for one in denied["reasons"]] == ["privileged-container", "host-pid"]
    assert denied["subject"]["name"] == "web"
    assert (found["unaffected"], found["goesOn"], found["stopped"], found["notRead"]) == (3, 1, [], [])


def test_waivers_beside_the_policy_count(objects: str, tmp_path: Path) -> None:
    waiver = """---
apiVersion: iocaudit.io/v1alpha1
kind: IocWaiver
metadata: {name: w}
spec:
  checks: [privileged-container, host-pid]
  namespaces: [shop]
  owner: me
  reason: because
  expires: "2099-01-01T00:00:00Z"
"""
    assert run("policy", "try", policy(tmp_path, more=EVERYWHERE + waiver), objects)[0] == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "give PATHs to files"),
        (("x", "--cluster"), "give PATHs to files"),
        (("x", "--context", "c"), "--context goes with --cluster"),
        (("absent.yaml",), "absent.yaml"),
    ],
)
def test_wrong_usage_is_told(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    code, out, errors = run("policy", "try", policy(tmp_path), *arguments)
    assert (code, out) == (2, "")
    assert said in errors


def test_what_cannot_be_read_is_told(objects: str, tmp_path: Path) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text("a: [")
    code, said, errors = run("policy", "try", policy(tmp_path), objects, str(broken))
    assert code == 2
    assert str(broken) in errors
    assert "would be denied if made anew: 1 of 4 objects" in said
    assert run("policy", "try", policy(tmp_path), str(tmp_path / "none"))[0] == 2
    code, _, errors = run("policy", "try", policy(tmp_path), "-", stdin="")
    assert code == 2
    assert "no Kubernetes object" in errors


def test_a_policy_that_cannot_be_used_is_refused(objects: str, tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(POLICY % "shop" + "  priorty: 3\n")
    code, said, errors = run("policy", "try", str(path), objects)
    assert (code, said) == (2, "")
    assert "priorty" in errors
