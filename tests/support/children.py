"""The processes that a process of ours started."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path


def children(pid: int, program: str) -> list[int]:
    """The process ids of those children that run a program of that name."""
    found: list[int] = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            command = (folder / "cmdline").read_bytes().split(b"\0")[0].decode()
            if parent == pid and Path(command).name == program:
                found.append(int(folder.name))
    return sorted(found)


def stand_still(pid: int) -> None:
    """Stop a process. One of its threads hears of it, and stops the others once it has its turn: wait for that."""
    os.kill(pid, signal.SIGSTOP)
    while Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[0] != "T":
        time.sleep(0.01)
