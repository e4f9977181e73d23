"""Long commands, with progress, whose output is shown where they fail."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path

from iocaudit.engine.languages.toolchain.cachefolder import cache_folder
from iocaudit.engine.languages.toolchain.console import ConsoleProgress
from iocaudit.engine.languages.toolchain.errors import BuildError, NoNetworkError

_TAIL_LINES = 25
_NO_NETWORK = re.compile(
    r"dial tcp|no such host|i/o timeout|connection (?:refused|reset)|TLS handshake timeout|proxyconnect"
    r"|network is unreachable|module lookup disabled|NewConnectionError|ConnectTimeoutError"
    r"|No matching distribution found|Temporary failure in name resolution",
)


def run_logged(
    command: list[str],
    *,
    progress: ConsoleProgress,
    what: str,
    environment: Mapping[str, str],
    cwd: Path | None = None,
    otherwise: str = "",
) -> None:
    """Run a long command, showing progress.

    ``otherwise`` is what to do where there is no network at all, to go after "or". Raises NoNetworkError or BuildError
    with the tail of its output.
    """
    since = time.monotonic()
    log = cache_folder() / f"build-{os.getpid()}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    try:
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                cwd=cwd,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            try:
                while process.poll() is None:
                    progress.tick(what, time.monotonic() - since)
                    try:
                        process.wait(timeout=1)
                    except subprocess.TimeoutExpired:
                        continue
            finally:
                if process.poll() is None:
                    process.terminate()
                    process.wait()
        if process.returncode == 0:
            progress.note(f"{what}: done in {time.monotonic() - since:.0f} s")
            return
        with log.open(encoding="utf-8", errors="replace") as lines:
            tail = "".join(deque(lines, maxlen=_TAIL_LINES)).rstrip()
    finally:
        log.unlink(missing_ok=True)
    if _NO_NETWORK.search(tail):
        raise NoNetworkError(
            f"{what}: could not download what it needs. Connect to the network once, or set GOPROXY (Go) or "
            f"PIP_INDEX_URL (pip) to a mirror you can reach{f', or {otherwise}' if otherwise else ''}. "
            f"It said:\n{tail}"
        )
    raise BuildError(
        f"{what}: failed with exit code {process.returncode}. Check free disk space (4 GB are needed) and "
        f"memory; the next try goes on where this one stopped. Its output:\n{tail}"
    )
