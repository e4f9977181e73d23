"""What a container runs, wherever it says so."""

from collections.abc import Iterator

from iocaudit.core.shape import lookup, strings
from iocaudit.knowledge.pods.pod import Container

_EXECS = tuple(
    (path, (*path.split("."), "exec", "command"))
    for path in ("livenessProbe", "readinessProbe", "startupProbe", "lifecycle.postStart", "lifecycle.preStop")
)
RUNS = frozenset({"command", "args", "source", "script"} | {place[0] for _, place in _EXECS})
"""The fields of a container under which there is anything that it runs."""


def argvs(container: Container) -> Iterator[tuple[str, list[str]]]:
    """Everything the container runs, with its path: an entry point with its arguments is one command."""
    raw = container.raw
    command, arguments = strings(raw.get("command")), strings(raw.get("args"))
    if command or arguments:
        yield ("command" if command else "args"), command + arguments
    for field in ("source", "script"):  # an Argo script template, a Tekton step
        script = raw.get(field)
        if isinstance(script, str):
            yield field, ["sh", script]
    for path, place in _EXECS:
        if place[0] in raw and (argv := strings(lookup(raw, *place))):
            yield f"{path}.exec.command", argv
