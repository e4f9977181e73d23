"""``.iocaudit.yaml``: found in the repository alone, never able to do more than lower the gate in plain sight."""

from __future__ import annotations

import json
import os
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iocaudit.cli.scan_command import command
from iocaudit.cli.settings_file import KEYS, SettingsError, find_settings, read_settings
from tests.support.running import run

POD = """\
apiVersion: v1
kind: Pod
metadata:
  name: agent
  annotations:
    ignore.iocaudit.io/host-network: reads the traffic of the node
spec:
  hostPID: true
  hostNetwork: true
  containers: [{name: c, image: hooli.com/c:1}]
"""


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one manifest in a folder of it, which is the working folder."""
    (tmp_path / ".git").mkdir()
    (tmp_path / "deploy").mkdir()
    (tmp_path / "deploy" / "pod.yaml").write_text(POD)
    monkeypatch.chdir(tmp_path / "deploy")
    return tmp_path


def scan(*argv: str) -> tuple[int, str]:
    """Exit code, and all that a person is shown."""
    code, out, errors = run("scan", *argv)
    return code, out + errors


def summary(*argv: str) -> dict[str, object]:
    code, out, errors = run("scan", "-o", "json", *argv)
    assert code in (0, 1), errors
    whole: dict[str, object] = json.loads(out)["summary"]
    return whole


def test_the_file_of_the_repository_counts_and_what_it_lowers_is_told(repository: Path) -> None:
    (repository / ".iocaudit.yaml").write_text("paths: [deploy]\nfail-on: never\nskip: host-pid\n")
    code, said = scan()
    assert code == 0
    lowered = "only deploy; fail-on never; skip host-pid; 1 hit ignored"
    assert f"settings of ../.iocaudit.yaml lower the gate: {lowered}" in said
    assert "host-pid:" not in said
    assert summary()["settings"] == {
        "file": "../.iocaudit.yaml",
        "lowers": ["only deploy", "fail-on never", "skip host-pid"],
    }


def test_the_command_line_wins_and_what_it_replaces_lowers_nothing(repository: Path) -> None:
    (repository / ".iocaudit.yaml").write_text("fail-on: never\nskip: host-pid\n")
    told = summary("--fail-on", "high", "--skip", "host-ipc", "pod.yaml")
    assert told["settings"] == {"file": "../.iocaudit.yaml", "lowers": []}
    assert "host-pid" in told["byCheck"]  # type: ignore[operator]


def test_the_strict_form_takes_nothing_from_the_repository(repository: Path) -> None:
    (repository / ".iocaudit.yaml").write_text("severity: critical\n")
    told = summary("--no-config", "--no-annotations", "pod.yaml")
    assert (told["settings"], told["ignored"]) == (None, 0)
    assert {"host-pid", "host-network"} <= told["byCheck"].keys()  # type: ignore[attr-defined]


def test_the_search_ends_at_the_root_of_the_repository(repository: Path) -> None:
    (repository / "deploy" / ".git").mkdir()
    (repository / ".iocaudit.yaml").write_text("severity: critical\n")
    assert find_settings(Path.cwd()) == (None, [])
    (repository / "deploy" / ".git").rmdir()
    assert find_settings(Path.cwd()) == (repository / ".iocaudit.yaml", [])
    (repository / ".git").rmdir()
    assert find_settings(Path.cwd()) == (None, [])


def test_a_link_and_a_file_of_another_user_are_not_taken(repository: Path) -> None:
    elsewhere = repository / "elsewhere.yaml"
    elsewhere.write_text("severity: critical\n")
    settings = repository / ".iocaudit.yaml"
    settings.symlink_to(elsewhere)
    assert "not a regular file" in find_settings(Path.cwd())[1][0]
    with pytest.raises(SettingsError):
        read_settings(settings, named=False)
    assert "not a regular file" in scan("pod.yaml")[1]
    assert summary("--config", str(settings), "pod.yaml")["belowSeverity"] != 0
    settings.unlink()
    settings.write_text("severity: critical\n")
    with patch.object(os, "geteuid", return_value=settings.stat().st_uid + 1):
        assert "belongs to another user" in find_settings(Path.cwd())[1][0]
        with pytest.raises(SettingsError):
            read_settings(settings, named=False)


def test_everything_wrong_is_told_at_once_with_its_line(repository: Path) -> None:
    settings = repository / ".iocaudit.yaml"
    settings.write_text(
        "fail-on: hgih\nskp: a\nrender: true\nallow-empty: yep\nskip: [1]\nprofile: strict\nprofile: x\n"
    )
    with pytest.raises(SettingsError) as raised:
        read_settings(settings, named=False)
    lines = str(raised.value).splitlines()
    assert [line.split(":")[1] for line in lines] == ["1", "2", "3", "4", "5", "7"]
    assert "did you mean skip?" in lines[1]
    assert "only be given on the command line, as --render" in lines[2]


def test_a_file_can_set_nothing_that_writes_runs_or_connects() -> None:
    options = {
        option.removeprefix("--")
        for parameter in command.params
        for option in parameter.opts
        if option.startswith("--") and getattr(parameter, "secondary_opts", []) == []
    }
    forbidden = {"render", "values", "fix", "unsafe-fixes", "generate", "output", "output-file", "write-baseline"}
    forbidden |= {"prune", "kubeconfig", "context", "cluster", "config"}
    assert forbidden <= options
    assert not forbidden & set(KEYS)
    assert set(KEYS) - {"paths"} <= options


def test_files_that_are_named_are_found_beside_the_settings(repository: Path) -> None:
    (repository / ".iocaudit.yaml").write_text("baseline: known.json\n")
    assert scan("pod.yaml", "--no-config", "--write-baseline", "../known.json")[0] == 0
    told = summary("pod.yaml")
    assert told["baselined"] != 0
    assert told["settings"] == {"file": "../.iocaudit.yaml", "lowers": ["baseline ../known.json"]}


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ("fail-on: never", "fail-on never"),
        ("namespace: sandbox", "namespace sandbox"),
        ("paths: pod.yaml", "only pod.yaml"),
        ("paths: ../deploy", ""),
        ("namespace: default", ""),
        ("profile: strict", ""),
    ],
)
@pytest.mark.parametrize(
    "argv",
    [
        ["-o", "table"],
        ["-o", "sarif=report"],
        ["-o", "json=report"],
        ["-o", "junit"],
        ["-o", "github"],
        ["--diff"],
        ["--write-baseline", "known.json"],
    ],
    ids=" ".join,
)
def test_whatever_is_written_the_person_is_told_what_lowers_the_gate(
    repository: Path, monkeypatch: pytest.MonkeyPatch, argv: list[str], settings: str, told: str
) -> None:
    page = repository / "page"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(page))
    (repository / "deploy" / ".iocaudit.yaml").write_text(settings + "\n")
    _, said = scan(*([] if settings.startswith("paths") else ["pod.yaml"]), *argv)
    if told:
        assert f"settings of .iocaudit.yaml lower the gate: {told}" in said
        assert not page.exists() or "lower the gate" in page.read_text()
    else:
        assert "settings of .iocaudit.yaml lower nothing" in said
    assert "1 hit ignored by annotations" in said


def test_an_ignored_hit_keeps_its_entry_in_the_baseline(repository: Path) -> None:
    assert scan("pod.yaml", "--no-annotations", "--write-baseline", "known.json")[0] == 0
    assert scan("pod.yaml", "--no-annotations")[0] == 1
    before = (repository / "deploy" / "known.json").read_text()
    code, said = scan("pod.yaml", "--baseline", "known.json", "--prune")
    assert code == 0
    assert "no longer" not in said
    assert (repository / "deploy" / "known.json").read_text() == before


def test_a_baseline_of_what_cannot_be_read_whole_says_why(repository: Path) -> None:
    (repository / "deploy" / "bad.yaml").write_text("a: [\n")
    assert "error: bad.yaml:" in scan("pod.yaml", "bad.yaml", "--write-baseline", "known.json")[1]


def test_a_folder_that_is_gone_has_no_settings(repository: Path, tmp_path: Path) -> None:
    pod = tmp_path / "deploy" / "pod.yaml"
    gone = tmp_path / "gone"
    gone.mkdir()
    os.chdir(gone)
    gone.rmdir()
    assert "host-pid: " in scan(str(pod))[1]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("fail-on: !!bool foo", "tags"),
        ('fail-on: !!int ""', "tags"),
        ("fail-on: !!timestamp foo", "tags"),
        ("skip: !!python/object/apply:os.system [id]", "tags"),
        ("paths: " + "[" * 65_000, "or a list of strings"),
        ("paths: " + "[" * 900 + "]" * 900, "or a list of strings"),
        ("{a: " * 5_000, "or a list of strings"),
        ("fail-on: " + "1:" * 9_000 + "1.5", "fail-on"),
        (r'baseline: "a\0"', "not printable"),
        (r'exclude: ["a", "\e[2Jb"]', "not printable"),
        (r'paths: "\u202eb"', "not printable"),
        ("baseline: ''", "is empty"),
        ("policy: ['']", "is empty"),
        ("? {a: b}\n: c", "is not a string"),
    ],
)
def test_odd_values_are_told_in_one_line_and_soon(repository: Path, text: str, told: str) -> None:
    (repository / ".iocaudit.yaml").write_text(text + "\n")
    code, said = scan("pod.yaml")
    [line] = said.splitlines()
    assert (code, told in line) == (2, True), line
    assert line.startswith(f"iocaudit: {repository / '.iocaudit.yaml'}:1: ")


@given(st.text(max_size=60) | st.lists(st.tuples(st.sampled_from(KEYS), st.text(max_size=12))).map(
    lambda pairs: "".join(f"{key}: {value}\n" for key, value in pairs)
))  # fmt: skip
def test_any_text_is_settings_or_an_error_that_names_the_file(text: str) -> None:
    with patch("iocaudit.cli.settings_file._text", return_value=text):
        said, keys = "", set[str]()
        try:
            keys = set(read_settings(Path("x/.iocaudit.yaml"), named=True).settings)
        except SettingsError as error:
            said = str(error)
        assert all(line.startswith("x/.iocaudit.yaml") for line in said.split("\n") if said)
        assert keys <= set(KEYS)
