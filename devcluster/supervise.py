"""The program that owns a control plane's processes; run by path, by ``supervisor.py``, and never imported.

It ends every process, and removes the folder if told to, once its parent asks for it or is gone, even by
SIGKILL. A process of its own is needed for that: a parent killed that way can clean nothing up, and a death
signal (PR_SET_PDEATHSIG) set from the parent would fire when the thread that started the process ends.

Protocol: one JSON object a line on stdin, one on stdout in answer. Standard library only, for a fast start.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any, NoReturn

_PR_SET_PDEATHSIG = 1
_GRACE_AT_END = 1.0


class Processes:
    """The running children by name."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._bind = _death_signal()

    def start(self, name: str, command: list[str], log: str, environment: dict[str, str]) -> dict[str, Any]:
        if name in self._children and self._children[name].poll() is None:
            return {"error": f"{name} runs already"}
        try:
            with open(log, "ab") as output:
                child = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    cwd=self._folder,
                    env=environment,
                    start_new_session=True,
                    # Safe here: this program has one thread.
                    preexec_fn=self._bind,
                )
        except OSError as error:
            return {"error": f"{command[0]}: {error.strerror}"}
        self._children[name] = child
        return {"pid": child.pid}

    def poll(self) -> dict[str, Any]:
        return {"exits": {name: child.poll() for name, child in self._children.items()}}

    def stop(self, name: str, grace: float) -> dict[str, Any]:
        child = self._children.pop(name, None)
        if child is not None:
            _end([child], grace)
        return {}

    def stop_all(self, grace: float) -> None:
        children = list(self._children.values())
        self._children.clear()
        _end(children, grace)


def _end(children: list[subprocess.Popen[bytes]], grace: float) -> None:
    """SIGTERM, then SIGKILL after ``grace`` seconds (at once if zero); always to children not yet reaped."""
    running = [child for child in children if child.poll() is None]
    for child in running:
        child.send_signal(signal.SIGTERM if grace > 0 else signal.SIGKILL)
    deadline = time.monotonic() + grace
    for child in running:
        try:
            child.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            child.kill()
    for child in running:
        child.wait()


def _death_signal() -> Callable[[], None] | None:
    """Called in each child before exec: have the kernel kill it should this program itself be killed."""
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None, use_errno=True)

    def bind() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)

    return bind


def _serve(processes: Processes) -> bool:
    """Answer requests until told to end (True: with a farewell expected) or the parent is gone (False)."""
    parent = os.pidfd_open(os.getppid()) if hasattr(os, "pidfd_open") else None
    # stdin's end alone would not do: a process forked by the parent may hold the other end open.
    watched = [0] if parent is None else [0, parent]
    pending = b""
    while True:
        ready, _, _ = select.select(watched, [], [])
        if 0 not in ready:
            return False
        chunk = os.read(0, 65536)
        if not chunk:
            return False
        pending += chunk
        while b"\n" in pending:
            line, pending = pending.split(b"\n", 1)
            request = json.loads(line)
            operation = request.pop("do")
            if operation == "end":
                processes.stop_all(request["grace"])
                return True
            _answer(getattr(processes, operation)(**request))


def _answer(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def _leave(_signal: int, _frame: object) -> NoReturn:
    sys.exit(0)


def main() -> None:
    """``supervise.py FOLDER remove|keep``"""
    folder, fate = sys.argv[1:]
    signal.signal(signal.SIGTERM, _leave)
    # The terminal's Ctrl-C is for the parent, which then says what to do.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    processes = Processes(folder)
    asked = False
    try:
        asked = _serve(processes)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        processes.stop_all(_GRACE_AT_END)
        if fate == "remove":
            shutil.rmtree(folder, ignore_errors=True)
        if asked:
            _answer({})


if __name__ == "__main__":
    main()
