"""The CPU that a process and its children have taken: it says the same on a busy machine, where durations do not."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple


class CpuTaken(NamedTuple):
    """Seconds, of the process itself and of its children."""

    own: float
    children: float

    def since(self, before: CpuTaken) -> CpuTaken:
        return CpuTaken(self.own - before.own, self.children - before.children)


def cpu_taken(pid: int) -> CpuTaken | None:
    """What a process and the children that it has now have taken so far; None where the system does not say."""
    if not Path("/proc/self/stat").exists():
        return None
    own = children = 0.0
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:
            continue  # it has ended
        seconds = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        if int(entry.name) == pid:
            own = seconds
        elif int(fields[1]) == pid:
            children += seconds
    return CpuTaken(own, children)
