"""``iocaudit waive``: what it writes is taken, covers what stood, and is never written unasked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.running import run

Json = dict[str, Any]
WHY = ("--owner", "team-shop", "--reason", "until v2 is out", "--days", "30")
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
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: boss}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects: [{kind: User, apiGroup: rbac.authorization.k8s.io, name: eve}]
"""


@pytest.fixture
def objects(tmp_path: Path) -> Path:
    path = tmp_path / "objects.yaml"
    path.write_text(OBJECTS)
    return path


@pytest.fixture
def report(objects: Path, tmp_path: Path) -> str:
    _, said, _ = run("scan", str(objects), "-o", "json")
    path = tmp_path / "report.json"
    path.write_text(said)
    return str(path)


def waivers(text: str) -> list[Json]:
    return [document for document in yaml.safe_load_all(text) if document]


def left_open(objects: Path, text: str, tmp_path: Path) -> list[Json]:
    """What a scan finds under the waivers."""
    policy = tmp_path / "waivers.yaml"
    policy.write_text(text)
    code, said, errors = run("scan", str(objects), *(("--policy", str(policy)) if text else ()), "-o", "json")
    assert code in (0, 1), errors
    found: list[Json] = json.loads(said)["findings"]
    return found


def test_what_stands_is_covered_and_only_the_criticals_are_left(objects: Path, report: str, tmp_path: Path) -> None:
    code, text, said = run("waive", report, *WHY, "--yes")
    assert code == 0
    left = left_open(objects, text, tmp_path)
    causes = {one["fingerprint"] for one in left if one["severity"] == "critical"}
    assert causes
    assert all(one["fingerprint"] in causes or one["impliedBy"] in causes for one in left)
    assert "(--include-critical takes them, one waiver each)" in said
    code, text, said = run("waive", report, *WHY, "--yes", "--include-critical")
    assert left_open(objects, text, tmp_path) == []
    assert "until 20" in said
    for one in waivers(text):
        assert one["spec"]["owner"] == "team-shop"
        assert "allowNew" not in one["spec"]
    (admin,) = [one for one in waivers(text) if "cluster-admin-binding" in one["spec"]["checks"]]
    assert {"secret-access", "workload-creation"} < set(admin["spec"]["checks"]), "what it implies is accepted with it"


def test_it_is_narrowed_by_place_check_and_object(objects: Path, report: str, tmp_path: Path) -> None:
    def covered(*more: str) -> set[tuple[str, str]]:
        code, text, _ = run("waive", report, *WHY, "--yes", "--include-critical", *more)
        assert code == 0
        before, after = left_open(objects, "", tmp_path), left_open(objects, text, tmp_path)
        left = {one["fingerprint"] for one in after}
        return {(one["check"], one["subject"]["name"]) for one in before if one["fingerprint"] not in left}

    assert {name for _, name in covered("-n", "shop")} == {"web"}
    assert {name for _, name in covered("-n", "shop,bank")} == {"web", "other"}
    assert {name for _, name in covered("--cluster-scope")} == {"boss"}
    assert covered("--check", "host-pid") == {("host-pid", "web"), ("host-pid", "other")}
    assert {name for _, name in covered("--object", "deploy/web", "--object", "pods/other")} == {"web", "other"}
    assert covered("--object", "Deployment/other") == set()


def test_the_count_is_shown_and_asked_about(report: str, tmp_path: Path) -> None:
    code, text, said = run("waive", report, *WHY, "-n", "bank", stdin="n\n")
    assert (code, text) == (1, "")
    assert "1 waiver for " in said
    assert " in namespace bank, until " in said
    assert "Write it? [y/N]" in said
    assert "nothing was written" in said
    code, text, said = run("waive", report, *WHY, "-n", "bank", stdin="")
    assert (code, text) == (1, "")
    assert "give --yes" in said
    target = tmp_path / "w.yaml"
    code, text, _ = run("waive", report, *WHY, "-n", "bank", "--output-file", str(target), stdin="y\n")
    assert (code, text) == (0, "")
    assert [one["spec"]["namespaces"] for one in waivers(target.read_text())] == [["bank"]]


@pytest.mark.parametrize("left_out", [0, 2, 4])
def test_owner_reason_and_days_are_required(report: str, left_out: int) -> None:
    code, text, said = run("waive", report, "--yes", *WHY[:left_out], *WHY[left_out + 2 :])
    assert (code, text) == (2, "")
    assert f"Missing option '{WHY[left_out]}'" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--owner", " "), "--owner is empty"),
        (("--reason", ""), "--reason is empty"),
        (("--days", "0"), "--days"),
        (("--check", "privilegd-container"), "did you mean privileged-container"),
        (("--object", "web"), "write KIND/NAME"),
        (("--cluster",), "not both"),
    ],
)
def test_wrong_usage_is_told(report: str, arguments: tuple[str, ...], said: str) -> None:
    code, text, errors = run("waive", report, *WHY, "--yes", *arguments)
    assert (code, text) == (2, "")
    assert said in errors


def test_what_is_not_a_report_is_told(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    for content, said in (("{", "not JSON"), ("[]", "it is not a report"), ('{"findings": []}', "it is not a report")):
        path.write_text(content)
        code, text, errors = run("waive", str(path), *WHY, "--yes")
        assert (code, text) == (2, "")
        assert errors.startswith(f"iocaudit: {path}: {said}")
    assert run("waive", str(tmp_path / "absent"), *WHY, "--yes")[0] == 2
    code, _, errors = run("waive", "-", *WHY, stdin="{}")
    assert code == 2
    assert "give --yes" in errors


def test_a_report_on_standard_input_is_taken(report: str) -> None:
    code, text, _ = run("waive", "-", *WHY, "--yes", stdin=Path(report).read_bytes())
    assert code == 0
    assert waivers(text)


def test_where_nothing_stands_nothing_is_written(report: str) -> None:
    code, text, said = run("waive", report, *WHY, "-n", "nowhere")
    assert (code, text) == (0, "")
    assert "nothing was found that a waiver could cover" in said


def test_what_is_written_holds_values_as_they_are(tmp_path: Path) -> None:
    """A reason may look like YAML; so may a name."""
    objects = tmp_path / "o.yaml"
    objects.write_text(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: 'on', namespace: 'null'}\nspec:\n  hostPID: true\n"
        "  containers: [{name: a, image: hooli.com/a}]\n"
    )
    _, said, _ = run("scan", str(objects), "-o", "json")
    path = tmp_path / "r.json"
    path.write_text(said)
    reason = "a: [b] # c \x1b[31m \u2028 yes"
    code, text, _ = run("waive", str(path), "--owner", "no", "--reason", reason, "--days", "1", "--yes")
    assert code == 0
    for one in waivers(text):
        assert (one["spec"]["owner"], one["spec"]["reason"]) == ("no", reason)
        assert (one["spec"]["namespaces"], one["spec"]["names"]) == (["null"], ["on"])
    assert {one["check"] for one in left_open(objects, text, tmp_path)} == set()
