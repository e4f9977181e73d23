"""``scan --fix`` and ``--diff``: files, standard input, exit codes, and what must not be written."""

from __future__ import annotations

import inspect
import os
import re
import stat
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

from iocaudit.cli.fix import FixError, write_file
from iocaudit.engine.catalogue import builtin_catalogue
from tests.support.running import run

POD = """\
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  hostPID: true
  containers: # all
  - {name: app, image: "hooli.com/web:latest", imagePullPolicy: IfNotPresent}
"""
FIXED = POD.replace("  hostPID: true\n", "")
CHECKS = ("--check", "host-pid", "--check", "pull-policy-not-always")


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


def iocaudit(*arguments: str, stdin: str = "") -> Done:
    return Done(*run(*arguments, stdin=stdin))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "pod.yaml"
    file.write_text(POD)
    return file


def test_safe_repairs_are_written_and_the_rest_decides(file: Path) -> None:
    done = iocaudit("scan", str(file), *CHECKS, "--fix")
    assert done.returncode == 1
    assert file.read_text() == POD.replace("IfNotPresent", "Always")
    assert "fixed: " in done.stderr
    assert "--unsafe-fixes" in done.stderr
    assert "host-pid" in done.stdout
    assert "pull-policy-not-always" not in done.stdout


def test_unsafe_repairs_are_written_on_request_and_once(file: Path) -> None:
    assert iocaudit("scan", str(file), "--check", "host-pid", "--fix", "--unsafe-fixes").returncode == 0
    assert file.read_text() == FIXED
    changed = file.stat().st_mtime_ns, file.stat().st_ino
    again = iocaudit("scan", str(file), "--check", "host-pid", "--fix", "--unsafe-fixes")
    assert again.returncode == 0
    assert (file.stat().st_mtime_ns, file.stat().st_ino) == changed
    assert "fixed" not in again.stderr


def test_diff_shows_what_patch_takes_and_writes_nothing(file: Path) -> None:
    done = iocaudit("scan", str(file), *CHECKS, "--diff", "--unsafe-fixes")
    assert done.returncode == 1
    assert file.read_text() == POD
    assert "host-pid" in done.stderr
    subprocess.run(["patch", "-s", str(file)], input=done.stdout, text=True, check=True)
    assert file.read_text() == FIXED.replace("IfNotPresent", "Always")


def test_diff_of_a_file_without_a_last_line_break(file: Path) -> None:
    file.write_text(POD.rstrip("\n"))
    done = iocaudit("scan", str(file), "--check", "may-run-as-root", "--diff", "--unsafe-fixes")
    assert "\\ No newline at end of file" in done.stdout
    subprocess.run(["patch", "-s", str(file)], input=done.stdout, text=True, check=True)
    assert "runAsNonRoot: true" in file.read_text()


def test_standard_input_is_printed_fixed_and_the_report_beside_it() -> None:
    done = iocaudit("scan", "-", "--check", "host-pid", "--fix", "--unsafe-fixes", stdin=POD)
    assert done.stdout == FIXED
    assert done.returncode == 0
    unchanged = iocaudit("scan", "-", "--check", "host-pid", "--fix", stdin=POD)
    assert unchanged.stdout == POD
    assert unchanged.returncode == 1
    assert "host-pid" in unchanged.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("scan", "-", "--fix", "--diff"),
        ("scan", "-", "--unsafe-fixes"),
        ("scan", "--cluster", "--fix"),
        ("scan", "-", "--fix", "--write-baseline", "b.json"),
    ],
)
def test_wrong_usage(arguments: tuple[str, ...]) -> None:
    done = iocaudit(*arguments, stdin=POD)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_a_hit_in_the_baseline_is_left_alone(file: Path, tmp_path: Path) -> None:
    baseline = str(tmp_path / "known.json")
    assert iocaudit("scan", str(file), "--check", "host-pid", "--write-baseline", baseline).returncode == 0
    iocaudit("scan", str(file), "--check", "host-pid", "--baseline", baseline, "--fix", "--unsafe-fixes")
    assert file.read_text() == POD


def test_mode_and_link_stay(file: Path, tmp_path: Path) -> None:
    file.chmod(0o640)
    link = tmp_path / "link.yaml"
    link.symlink_to(file.name)
    iocaudit("scan", str(link), "--check", "host-pid", "--fix", "--unsafe-fixes")
    assert link.is_symlink()
    assert file.read_text() == FIXED
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert sorted(os.listdir(tmp_path)) == ["link.yaml", "pod.yaml"]


def test_a_link_out_of_the_folder_and_a_second_name_are_not_followed(file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "out.yaml").symlink_to(file)
    (folder / "a.yaml").write_text(POD.replace("web", "two"))
    (folder / "b.yaml").symlink_to("a.yaml")
    done = iocaudit("scan", str(folder), "--check", "host-pid", "--fix", "--unsafe-fixes")
    assert file.read_text() == POD
    assert "outside of the folder" in done.stderr
    assert "the same file as" in done.stderr
    assert (folder / "a.yaml").read_text() == FIXED.replace("web", "two")


def test_a_template_stays_as_it_is(tmp_path: Path) -> None:
    text = POD.replace("name: web", "name: {{ .Release.Name }}")
    (tmp_path / "t.yaml").write_text(text)
    done = iocaudit("scan", str(tmp_path), "--check", "host-pid", "--fix", "--unsafe-fixes")
    assert (tmp_path / "t.yaml").read_text() == text
    assert "helm template" in done.stdout


def test_a_file_that_changed_meanwhile_is_not_written(file: Path) -> None:
    with pytest.raises(FixError, match="changed meanwhile"):
        write_file(str(file), b"something else", b"new")
    assert file.read_text() == POD


def test_a_file_of_two_names_is_not_written(file: Path, tmp_path: Path) -> None:
    os.link(file, tmp_path / "other.yaml")
    with pytest.raises(FixError, match="several names"):
        write_file(str(file), POD.encode(), b"new")


def test_a_folder_that_takes_no_file_is_an_error(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("iocaudit.cli.fix.os.replace", full)
    with pytest.raises(FixError, match="No space left"):
        write_file(str(file), POD.encode(), b"new")
    assert file.read_text() == POD
    assert os.listdir(file.parent) == ["pod.yaml"]


_FIXABLE = re.compile(r"(\d+)(?: hits?| more) (by --fix(?! --u)|by --fix --unsafe-fixes|with --unsafe-fixes)")
REPAIRED = [check.id for check in builtin_catalogue() if "repair" in inspect.getsource(check.evaluate)]


@pytest.mark.parametrize("check", [*REPAIRED, None])
@pytest.mark.parametrize("unsafe", [False, True])
def test_the_report_counts_what_the_difference_changes(tmp_path: Path, check: str | None, unsafe: bool) -> None:
    """The sum of both columns of the report is what is done and what is refused; what comes up later is told apart."""
    path = Path(__file__).parent / "app"
    if check is not None:
        found = builtin_catalogue().find(check)
        assert found is not None
        path = tmp_path / "bad.yaml"
        path.write_text(found.doc.bad)
    options = ("--unsafe-fixes",) if unsafe else ()
    _, table, _ = run("scan", str(path), "--profile", "strict")
    numbers = {what: int(number) for number, what in _FIXABLE.findall(table)}
    wanted = numbers.pop("by --fix", 0) + sum(numbers.values()) * unsafe
    _, difference, errors = run("scan", str(path), "--profile", "strict", "--diff", *options)
    done = re.search(r"^would fix: (\d+) hits?(, and \d+ more that became fixable by these changes)?$", errors, re.M)
    refused = len(re.findall(r"^not fixed: ", errors, re.MULTILINE))
    assert int(done[1] if done else 0) + refused == wanted, (table, errors)
    assert "by indicator" not in difference + errors, "the report is not printed again"
