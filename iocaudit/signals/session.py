"""What a session into a pod, a service or a node was asked to do: its command, its ports, its path."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

from iocaudit.core.shape import Json, items, strings, text
from iocaudit.signals.audit_event import AuditEvent

_MOST_FIELDS = 10_000


class Session(NamedTuple):
    """The options of a connection; ``is_interactive`` where someone types into it."""

    command: tuple[str, ...] = ()
    container: str = ""
    is_interactive: bool = False
    ports: tuple[int, ...] = ()


def session_of(event: AuditEvent) -> Session:
    """The session that an event asks for."""
    options = connection_options(event)
    return Session(
        tuple(strings(options.get("command"))),
        text(options.get("container")),
        options.get("stdin") is True,
        tuple(port for port in items(options.get("ports")) if isinstance(port, int) and not isinstance(port, bool)),
    )


def connection_options(event: AuditEvent) -> Json:
    """The options as PodExecOptions and its siblings name them. They stand in the address; Google logs the object."""
    if not event.uri and event.request_object is not None:
        return {key: value for key, value in event.request_object.items() if key not in ("apiVersion", "kind")}
    try:
        query = parse_qs(urlsplit(event.uri).query, keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError:
        query = {}
    options: Json = {}
    for name, values in query.items():
        if name == "command":
            options[name] = values
        elif name in ("stdin", "stdout", "stderr", "tty"):
            options[name] = values[-1] in ("true", "1")
        elif name == "ports":
            options[name] = list(_numbers(values))
        elif name in ("container", "path"):
            options[name] = values[-1]
    return options


def _numbers(values: Iterable[str]) -> Iterable[int]:
    # A port has five digits at most; int() refuses numbers of thousands of digits.
    return (
        int(one) for value in values for one in value.split(",") if one.isascii() and one.isdigit() and len(one) < 9
    )
