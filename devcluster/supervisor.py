"""Starts programs that end when this process does, however it ends; and a folder that goes with them."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from devcluster.errors import ControlPlaneError

_PROGRAM = Path(__file__).with_name("supervise.py")


class ProcessSupervisor:
    """The parent's side of ``supervise.py``. Safe to use from several threads."""

    def __init__(self, folder: Path, *, keep: bool = False) -> None:
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_PROGRAM), str(folder), "keep" if keep else "remove"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # Unbuffered, so no request to a supervisor that is gone lingers and fails again at the end.
            bufsize=0,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """The supervising process."""
        return self._process.pid

    def start(self, name: str, command: Sequence[str], log: Path, environment: Mapping[str, str]) -> int:
        """Run ``command`` in the folder, with exactly ``environment``, its output appended to ``log``.

        Returns its process id. Raises ControlPlaneError if it cannot be started.
        """
        answer = self._ask(do="start", name=name, command=list(command), log=str(log), environment=dict(environment))
        return int(answer["pid"])

    def exits(self) -> dict[str, int | None]:
        """Exit code by name of what was started and not stopped; None while it runs."""
        exits: dict[str, int | None] = self._ask(do="poll")["exits"]
        return exits

    def stop(self, name: str, grace: float) -> None:
        """SIGTERM, and SIGKILL after ``grace`` seconds; returns when the process is gone."""
        self._ask(do="stop", name=name, grace=grace)

    def end(self, grace: float = 0.0) -> None:
        """End all processes and remove the folder (unless kept); may be called twice."""
        with self._lock:
            if self._process.stdin is None or self._process.stdin.closed:
                return
            try:
                self._process.communicate(_line({"do": "end", "grace": grace}), timeout=grace + 30)
            except subprocess.TimeoutExpired as error:
                self._process.kill()
                self._process.communicate()
                raise ControlPlaneError("the supervisor of the control plane hung and was killed") from error

    def _ask(self, **request: Any) -> dict[str, Any]:
        with self._lock:
            stdin, stdout = self._process.stdin, self._process.stdout
            if stdin is None or stdout is None or stdin.closed:
                raise ControlPlaneError("the control plane is not running: call start() first")
            try:
                stdin.write(_line(request))
                stdin.flush()
                line = stdout.readline()
            except BrokenPipeError:
                line = b""
        if not line:
            raise ControlPlaneError(
                f"the control plane's supervisor (pid {self.pid}) is gone, and its processes with it"
            )
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise ControlPlaneError(f"cannot start {request['name']}: {answer['error']}")
        return answer


def _line(request: dict[str, Any]) -> bytes:
    return json.dumps(request).encode() + b"\n"
