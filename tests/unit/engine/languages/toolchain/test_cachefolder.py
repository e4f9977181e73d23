import io
import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from iocaudit.engine.languages.toolchain.cachefolder import cache_folder, fill, locked, remove_tree
from iocaudit.engine.languages.toolchain.console import ConsoleProgress

SPAWN = multiprocessing.get_context("spawn")


def test_the_cache_folder_follows_the_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    xdg = str(tmp_path / "xdg")
    assert cache_folder({}) == tmp_path / ".cache" / "iocaudit"
    assert cache_folder({"XDG_CACHE_HOME": xdg}) == tmp_path / "xdg" / "iocaudit"
    assert cache_folder({"XDG_CACHE_HOME": "relative"}) == tmp_path / ".cache" / "iocaudit"
    assert cache_folder({"XDG_CACHE_HOME": xdg, "IOCAUDIT_CACHE": str(tmp_path / "own")}) == tmp_path / "own"


def build_slowly(target: Path, runs: Path, said: Path) -> None:
    """A fake builder: takes its time, and leaves one line a run."""
    notes = io.StringIO()

    def make(path: Path) -> None:
        with runs.open("a", encoding="utf-8") as file:
            file.write(f"{os.getpid()}\n")
        path.write_text("half", encoding="utf-8")
        time.sleep(1.0)
        path.write_text("whole", encoding="utf-8")

    fill(target, valid=Path.is_file, make=make, progress=ConsoleProgress(notes), what="builds")
    assert target.read_text(encoding="utf-8") == "whole"
    said.write_text(notes.getvalue(), encoding="utf-8")


def test_two_processes_build_once_and_the_second_says_that_it_waits(tmp_path: Path) -> None:
    target, runs = tmp_path / "program", tmp_path / "runs"
    outputs = [tmp_path / "said-0", tmp_path / "said-1"]
    processes = [SPAWN.Process(target=build_slowly, args=(target, runs, said)) for said in outputs]
    for process in processes:
        process.start()
    for process in processes:
        process.join(30)
    assert [process.exitcode for process in processes] == [0, 0]
    builders = runs.read_text(encoding="utf-8").split()
    assert len(builders) == 1
    said = sorted(path.read_text(encoding="utf-8") for path in outputs)
    assert said[0] == ""
    assert f"waiting for process {builders[0]}, which builds" in said[1]


def test_a_killed_builder_neither_blocks_nor_leaves_a_result(tmp_path: Path) -> None:
    target, runs = tmp_path / "program", tmp_path / "runs"
    process = SPAWN.Process(target=build_slowly, args=(target, runs, tmp_path / "said"))
    process.start()
    deadline = time.monotonic() + 20
    while not runs.exists():
        assert time.monotonic() < deadline, "the builder did not start"
        time.sleep(0.01)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join(10)
    assert not target.exists()
    build_slowly(target, runs, tmp_path / "said-again")
    assert len(runs.read_text(encoding="utf-8").split()) == 2
    # What the killed one had written is gone as well: a program half compiled is a hundred megabytes.
    assert {path.name for path in tmp_path.iterdir()} == {".lock", "program", "runs", "said-again"}


def test_a_failing_builder_leaves_nothing(tmp_path: Path) -> None:
    def make(path: Path) -> None:
        path.mkdir()
        (path / "half").write_text("x", encoding="utf-8")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fill(tmp_path / "made", valid=Path.exists, make=make, progress=ConsoleProgress(io.StringIO()), what="builds")
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_a_folder_that_is_not_valid_is_replaced(tmp_path: Path) -> None:
    target = tmp_path / "made"
    target.mkdir()
    (target / "stale").write_text("x", encoding="utf-8")

    def make(path: Path) -> None:
        path.mkdir()
        (path / "fresh").write_text("x", encoding="utf-8")

    fill(
        target,
        valid=lambda path: (path / "fresh").is_file(),
        make=make,
        progress=ConsoleProgress(io.StringIO()),
        what="builds",
    )
    assert [path.name for path in target.iterdir()] == ["fresh"]


def test_the_lock_can_be_taken_again_after_an_error(tmp_path: Path) -> None:
    progress = ConsoleProgress(io.StringIO())
    with pytest.raises(ValueError, match="inside"), locked(tmp_path / "lock", progress, "works"):
        raise ValueError("inside")
    with locked(tmp_path / "lock", progress, "works"):
        assert (tmp_path / "lock").read_text(encoding="ascii") == str(os.getpid())


def test_read_only_trees_are_removed(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "deep").mkdir(parents=True)
    (tree / "deep" / "file").write_text("x", encoding="utf-8")
    (tree / "deep").chmod(0o555)
    tree.chmod(0o555)
    remove_tree(tree)
    assert not tree.exists()
    remove_tree(tree)
