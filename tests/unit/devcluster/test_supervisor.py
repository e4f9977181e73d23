import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from devcluster.errors import ControlPlaneError
from devcluster.supervisor import ProcessSupervisor

ENVIRONMENT = {"PATH": os.defpath}
STUBBORN = "trap '' TERM; echo ready; while :; do sleep 0.05; done"


def alive(pid: int) -> bool:
    """Whether the process runs; a zombie does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def eventually(condition: Callable[[], bool], seconds: float = 30.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "owned"
    path.mkdir()
    return path


def test_programs_get_exactly_their_environment_the_folder_and_a_log(folder: Path) -> None:
    supervisor = ProcessSupervisor(folder, keep=True)
    supervisor.start("env", ["/usr/bin/env"], folder / "env.log", {"A": "b"})
    supervisor.start("where", ["/bin/pwd"], folder / "where.log", {})
    assert eventually(lambda: supervisor.exits() == {"env": 0, "where": 0})
    supervisor.end()
    assert (folder / "env.log").read_text(encoding="utf-8") == "A=b\n"
    assert (folder / "where.log").read_text(encoding="utf-8") == f"{folder}\n"


def test_end_stops_everything_and_removes_the_folder(folder: Path) -> None:
    supervisor = ProcessSupervisor(folder)
    pids = [supervisor.start(name, ["sleep", "60"], folder / name, ENVIRONMENT) for name in ("a", "b")]
    assert all(alive(pid) for pid in pids)
    supervisor.end()
    assert not any(alive(pid) for pid in (*pids, supervisor.pid))
    assert not folder.exists()
    supervisor.end()


def test_a_program_deaf_to_sigterm_is_killed_after_the_grace(folder: Path) -> None:
    supervisor = ProcessSupervisor(folder)
    log = folder / "log"
    pid = supervisor.start("deaf", ["sh", "-c", STUBBORN], log, ENVIRONMENT)
    assert eventually(lambda: log.read_text(encoding="utf-8") == "ready\n")
    supervisor.stop("deaf", grace=0.2)
    assert not alive(pid)
    assert supervisor.exits() == {}
    supervisor.end()


def test_what_cannot_be_started_is_named(folder: Path) -> None:
    supervisor = ProcessSupervisor(folder)
    with pytest.raises(ControlPlaneError, match=r"cannot start x: .*nowhere/x: No such file"):
        supervisor.start("x", [str(folder / "nowhere" / "x")], folder / "log", ENVIRONMENT)
    supervisor.end()


def test_use_after_the_end_is_an_error(folder: Path) -> None:
    supervisor = ProcessSupervisor(folder)
    supervisor.end()
    with pytest.raises(ControlPlaneError, match="not running"):
        supervisor.exits()


def test_programs_die_with_a_killed_supervisor(folder: Path) -> None:
    supervisor = ProcessSupervisor(folder)
    pid = supervisor.start("a", ["sleep", "60"], folder / "log", ENVIRONMENT)
    os.kill(supervisor.pid, signal.SIGKILL)
    assert eventually(lambda: not alive(pid))
    with pytest.raises(ControlPlaneError, match="is gone"):
        supervisor.exits()
    supervisor.end()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_is_left_when_the_parent_is_killed(folder: Path, how: signal.Signals) -> None:
    # The forked child keeps the pipe to the supervisor open: its end alone would not tell.
    script = (
        "import os, sys, time\nfrom pathlib import Path\nfrom devcluster.supervisor import ProcessSupervisor\n"
        "folder = Path(sys.argv[1])\nsupervisor = ProcessSupervisor(folder)\n"
        "pid = supervisor.start('a', ['sleep', '60'], folder / 'log', {'PATH': os.defpath})\n"
        "child = os.fork()\n"
        "if child: print(pid, supervisor.pid, child, flush=True)\n"
        "time.sleep(60)\n"
    )
    root = Path(__file__).parents[3]
    with subprocess.Popen(
        [sys.executable, "-c", script, str(folder)], cwd=root, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pid, supervisor, child = (int(word) for word in parent.stdout.readline().split())
        assert alive(pid)
        parent.send_signal(how)
        parent.wait(10)
        gone = eventually(lambda: not alive(pid) and not alive(supervisor))
        os.kill(child, signal.SIGKILL)
    assert gone
    assert not folder.exists()
