"""`iocaudit export vap`: from files to YAML or JSON, and compared with a file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from tests.support.exporting import denying
from tests.support.running import run


@pytest.fixture
def policy(tmp_path: Path) -> str:
    raw = {"apiVersion": "iocaudit.io/v1alpha1", "kind": "AuditPolicy", "metadata": {"name": "p"}}
    path = tmp_path / "policy.yaml"
    path.write_text(yaml.safe_dump({**raw, "spec": denying("host-pid", "secret-in-env")}))
    return str(path)


def test_yaml_and_json_hold_the_same(policy: str, tmp_path: Path) -> None:
    code, out, said = run("export", "vap", "--policy", policy)
    assert code == 0
    assert said == "not exported: secret-in-env: it has no translation to CEL\n"
    file = tmp_path / "out.json"
    code, nothing, said = run("export", "vap", "--policy", policy, "-o", f"json={file}")
    assert (code, nothing) == (0, "")
    assert said.endswith(f"wrote 2 objects to {file}\n")
    assert json.loads(file.read_text())["items"] == list(yaml.safe_load_all(out))
    assert max(map(len, out.splitlines())) < 300


def test_check_compares_with_a_file(policy: str, tmp_path: Path) -> None:
    file = tmp_path / "there.yaml"
    run("export", "vap", "--policy", policy, "-o", f"yaml={file}")
    code, out, _ = run("export", "vap", "--policy", policy, "--check", "--installed", str(file))
    assert (code, out) == (0, "what is installed is up to date: 2 objects\n")
    code, out, _ = run("export", "vap", "--preset", "lockdown", "--check", "--installed", str(file))
    assert code == 1
    assert "ValidatingAdmissionPolicy iocaudit-host-pid is installed and not asked for any more" in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "give --policy FILE, --cluster or --preset NAME"),
        (("--cluster", "--preset", "guard"), "the policies of a cluster choose the preset"),
        (("--preset", "guard", "--installed", "x"), "--installed goes with --check"),
        (("--preset", "guard", "--check", "-o", "json"), "--check writes nothing"),
        (("--preset", "guard", "--context", "x"), "--context goes with --cluster"),
        (("--preset", "guard", "--check", "--installed", "nowhere.yaml"), "nowhere.yaml"),
    ],
)
def test_wrong_usage_is_told(arguments: tuple[str, ...], said: str) -> None:
    code, _, errors = run("export", "vap", *arguments)
    assert code == 2
    assert said in errors
    assert "Traceback" not in errors


def test_a_file_that_holds_something_else_is_told(tmp_path: Path) -> None:
    file = tmp_path / "odd.yaml"
    for text, said in (("a: [", "is not YAML or JSON"), ("- 1\n", "not a Kubernetes object")):
        file.write_text(text)
        code, _, errors = run("export", "vap", "--preset", "guard", "--check", "--installed", str(file))
        assert code == 2
        assert said in errors


def test_nothing_to_deny_is_said() -> None:
    code, out, _ = run("export", "vap", "--preset", "warn")
    assert (code, out) == (0, "# nothing is denied that a ValidatingAdmissionPolicy could deny\n")
