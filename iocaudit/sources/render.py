"""``--render``: what helm and kustomize make of charts and kustomizations.

These programs come from PATH and run on what is scanned: they are run on request only.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator

from iocaudit.sources.documents import Template, Unreadable
from iocaudit.sources.files import MOST_BYTES
from iocaudit.sources.progress import Progress
from iocaudit.sources.reading import Reader, Scan, Waiting, note

SECONDS = 60.0
"""How long one chart or kustomization may take."""
_MOST_SAID = 500
_COMMANDS = {
    "helm": (("helm", "template"),),
    "kustomize": (("kustomize", "build"), ("kubectl", "kustomize")),
}


def render(scan: Scan, reader: Reader, progress: Progress) -> list[Waiting]:
    """Render the templates that were found, each chart and kustomization once, and read what comes out.

    Hits are reported on the first file that asked for it, without a line. What cannot be rendered is unreadable.
    """
    templates, scan.templates = scan.templates, []
    once: dict[tuple[str, str], tuple[str, Template]] = {}
    for name, template in templates:
        once.setdefault((template.tool, template.folder), (name, template))
    for tool, folder in list(once):
        if tool == "helm" and any(("helm", parent) in once for parent in _charts_above(folder)):
            del once[tool, folder]
    waiting = []
    progress.stage("rendering", len(once))
    for (tool, folder), (name, template) in once.items():
        progress.step(folder)
        outcome = _run(tool, folder, SECONDS)
        if isinstance(outcome, Unreadable):
            note(outcome._replace(line=template.line), name, scan)
        else:
            waiting.append(reader.take(outcome, name, scan, lines=False))
    return waiting


def _charts_above(folder: str) -> Iterator[str]:
    """The charts that render this one with them: it lies in their folder ``charts``."""
    while folder and folder != os.sep:
        folder, name = os.path.split(folder)
        if name == "charts":
            yield folder or "."


def _run(tool: str, folder: str, seconds: float) -> bytes | Unreadable:
    command = next((one for one in _COMMANDS[tool] if shutil.which(one[0])), None)
    if command is None:
        return Unreadable(None, f"cannot be rendered: {' or '.join(one[0] for one in _COMMANDS[tool])} is not on PATH")
    said = f"`{' '.join((*command, folder))}`"
    with tempfile.TemporaryFile() as errors:
        try:
            process = subprocess.Popen(
                [*command, folder],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
            )
        except OSError as error:
            return Unreadable(None, f"cannot be rendered: {said} cannot be run: {error.strerror}")
        late = threading.Event()

        def stop() -> None:
            late.set()
            _kill(process)

        assert process.stdout is not None
        timer = threading.Timer(seconds, stop)
        timer.start()
        try:
            data = process.stdout.read(MOST_BYTES + 1)
            if len(data) <= MOST_BYTES:
                process.wait()
        finally:
            timer.cancel()
            _kill(process)
            process.wait()
            process.stdout.close()
        if late.is_set():
            return Unreadable(None, f"cannot be rendered: {said} was stopped after {seconds:g} s")
        if len(data) > MOST_BYTES:
            return Unreadable(None, f"cannot be rendered: {said} printed more than {MOST_BYTES // (1024 * 1024)} MiB")
        if process.returncode:
            errors.seek(0)
            reason = " ".join(errors.read(4 * _MOST_SAID).decode("utf-8", "replace").split())[:_MOST_SAID]
            return Unreadable(None, f"cannot be rendered: {said} ended with {process.returncode}: {reason}")
        return data


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End the program, if it is still there, and whatever it has started in its session."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
