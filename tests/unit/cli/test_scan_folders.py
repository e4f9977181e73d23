"""A folder is read as ``kubectl apply -R -f`` reads it; what is left out is named, and nothing is waited for."""

import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iocaudit.sources.documents import ReadFailure
from iocaudit.sources.files import Inputs, read_bytes
from tests.support.running import run

OUTPUTS = ("table", "json", "sarif", "junit", "github")


def pod(name: str) -> str:
    spec = "{hostPID: true, containers: [{name: a, image: b}]}"
    return f"apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec: {spec}\n"


def write(path: Path, name: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(pod(name))
    return path


def scanned(*arguments: str) -> tuple[int, dict[str, Any]]:
    code, said, _ = run("scan", "-o", "json", "--check", "host-pid", *arguments)
    return code, json.loads(said)


def names(said: dict[str, Any]) -> list[str]:
    return sorted(finding["subject"]["name"] for finding in said["findings"])


def skipped(said: dict[str, Any]) -> dict[str, str]:
    return {Path(one["file"]).name: one["reason"] for one in said["skipped"]}


def test_hidden_files_and_folders_are_read(tmp_path: Path) -> None:
    write(tmp_path / "ok.yaml", "plain")
    write(tmp_path / ".p.yaml", "hidden")
    write(tmp_path / ".yaml", "suffix")
    write(tmp_path / ".hidden" / "deep" / "p.json", "deep")
    write(tmp_path / ".git" / "p.yaml", "git")
    (tmp_path / "README.md").write_text(pod("text"))
    code, said = scanned(str(tmp_path))
    assert (code, names(said)) == (1, ["deep", "hidden", "plain", "suffix"])
    assert skipped(said) == {".git": "not read: a folder of git, though it holds manifests"}


def test_a_git_folder_without_manifests_is_not_worth_a_word(tmp_path: Path) -> None:
    write(tmp_path / "ok.yaml", "plain")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
    assert scanned(str(tmp_path))[1]["skipped"] == []


def test_links_are_followed_to_files_and_named_where_they_lead_to_folders(tmp_path: Path) -> None:
    write(tmp_path / "other" / "p.yaml", "other")
    write(tmp_path / "file.yaml", "file")
    folder = tmp_path / "folder"
    write(folder / "sub" / "p.yaml", "sub")
    (folder / "file.yaml").symlink_to(tmp_path / "file.yaml")
    (folder / "linked").symlink_to(tmp_path / "other")
    (folder / "named.yaml").symlink_to(tmp_path / "other")
    (folder / "up").symlink_to("..")
    (folder / "again").symlink_to("sub")
    (folder / "itself").symlink_to(".")
    (folder / "sub" / "loop").symlink_to("loop")
    code, said = scanned(str(folder))
    assert (code, names(said)) == (1, ["file", "sub"])
    # What leads back into the folder is read under its own name.
    link = "not read: a link to a folder; name that folder as well"
    assert skipped(said) == dict.fromkeys(("linked", "named.yaml", "up"), link)
    assert scanned("--require-complete", "--fail-on", "critical", str(folder))[0] == 3


def test_a_folder_may_be_named_by_a_link(tmp_path: Path) -> None:
    write(tmp_path / "folder" / "p.yaml", "there")
    (tmp_path / "link").symlink_to("folder")
    for path in (tmp_path / "link", f"{tmp_path / 'link'}/"):
        assert names(scanned(str(path))[1]) == ["there"]


def test_a_link_that_leads_nowhere_is_an_error(tmp_path: Path) -> None:
    write(tmp_path / "ok.yaml", "plain")
    (tmp_path / "loop.yaml").symlink_to("loop.yaml")
    code, said = scanned(str(tmp_path))
    assert (code, names(said), [Path(one["file"]).name for one in said["errors"]]) == (2, ["plain"], ["loop.yaml"])


@pytest.mark.parametrize("output", OUTPUTS)
def test_what_is_not_a_regular_file_is_left_out_and_said(tmp_path: Path, output: str) -> None:
    write(tmp_path / "ok.yaml", "plain")
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "device.yaml").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket.json"))
        # In a process of its own, so that a pipe that is waited for fails this test and hangs none.
        command = [sys.executable, "-m", "iocaudit.cli", "scan", "-o", output, "--check", "host-pid", str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1, done.stderr
    for name in ("pipe.yaml", "device.yaml", "socket.json"):
        assert name in done.stdout
    assert "not a regular file" in done.stdout
    assert "plain" in done.stdout


def test_a_pipe_that_takes_a_files_place_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    found = read_bytes(str(tmp_path / "pipe.yaml"))
    assert isinstance(found, ReadFailure)
    assert "not a regular file" in found.reason


@pytest.mark.parametrize("options", [(), ("--fix",), ("--diff",), ("--generate", "-")])
def test_a_pipe_that_is_named_is_read_once(tmp_path: Path, options: tuple[str, ...]) -> None:
    """As a shell's ``<(…)`` gives one."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=(pod("piped"),), daemon=True)
    writer.start()
    code, said, errors = run("scan", "--check", "host-pid", *options, str(pipe))
    writer.join(10)
    assert code == 1, errors
    assert ("1 finding in 1 object" if "--diff" in options else "piped") in said + errors
    assert pipe.is_fifo()


def test_a_policy_and_a_baseline_may_come_from_pipes(tmp_path: Path) -> None:
    file = write(tmp_path / "p.yaml", "plain")
    known = tmp_path / "known.json"
    assert run("scan", "--check", "host-pid", "--write-baseline", str(known), str(file))[0] == 0
    policy = (
        "apiVersion: iocaudit.io/v1alpha1\nkind: AuditPolicy\nmetadata: {name: a}\n"
        "spec: {checks: [{ids: [host-pid], severity: low}]}\n"
    )
    for option, text in (("--baseline", known.read_text()), ("--policy", policy)):
        pipe = tmp_path / option
        os.mkfifo(pipe)
        writer = threading.Thread(target=pipe.write_text, args=(text,), daemon=True)
        writer.start()
        assert run("scan", "--check", "host-pid", option, str(pipe), str(file))[0] == 0
        writer.join(10)


def test_a_folder_that_cannot_be_read_is_an_error_and_costs_no_neighbour(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "ok" / "ok.yaml", "plain")
    write(tmp_path / "closed" / "p.yaml", "closed")
    real = os.scandir

    def closed(path: str) -> Any:
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    monkeypatch.setattr("iocaudit.sources.files.os.scandir", closed)
    code, said = scanned(str(tmp_path))
    assert (code, names(said)) == (2, ["plain"])
    assert [(Path(one["file"]).name, one["reason"]) for one in said["errors"]] == [
        ("closed", "cannot read this folder: Permission denied")
    ]


NAME = st.sampled_from(["a", ".a", "a.yaml", ".a.yml", "b.json", ".git", "b.YAML", "c"])


@given(
    st.lists(st.tuples(st.lists(NAME, min_size=1, max_size=3), st.sampled_from(["file", "pipe", "link"])), max_size=8)
)
def test_every_manifest_of_a_folder_is_read_or_named(
    tmp_path_factory: pytest.TempPathFactory, entries: list[tuple[list[str], str]]
) -> None:
    root = tmp_path_factory.mktemp("any")
    outside = tmp_path_factory.mktemp("outside")
    for parts, kind in entries:
        path = root.joinpath(*parts)
        if os.path.lexists(path) or any(parent.is_symlink() or parent.is_file() for parent in path.parents):
            continue
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if kind == "file":
            path.write_text("a: 1\n")
        elif kind == "pipe":
            os.mkfifo(path)
        else:
            path.symlink_to(outside)
    found = Inputs([str(root)])
    said = {one.path for one in found.left_out}
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            place = os.path.join(folder, name)
            is_manifest = name.endswith((".yaml", ".yml", ".json")) and not os.path.isdir(place)
            covered = any(place == one or place.startswith(f"{one}{os.sep}") for one in said)
            if is_manifest or (os.path.islink(place) and ".git" not in place.split(os.sep)):
                assert (place in found.files) != covered, place
    assert all(os.path.isfile(file) for file in found.files)
