"""JSON logs on stderr, one object a line, from which keys and tokens are taken out."""

import logging
import re
import sys
from datetime import UTC, date, datetime
from enum import Enum
from pathlib import Path
from typing import Any, TextIO

from pythonjsonlogger.json import JsonFormatter

_REDACTED = "***"  # which no pattern below changes again
# They run over the finished line, so message, arguments, extra fields and tracebacks are all covered.
# None of them matches a double quote or a backslash that escapes one: the line stays JSON.
_NAME = (
    r"(?:(?:access[-_]?|id[-_]?|refresh[-_]?|bearer[-_]?)?token"
    r"|password|passwd|client[-_]key[-_]data|tls\.key|ca\.key|private[-_]key)"
)
_SECRETS = (
    # a private key in PEM; one that is cut off, up to the end of its string
    re.compile(
        r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----"
        r"(?:(?!-----END)[^\"\\]|\\[^\"])*(?:-----END [A-Z0-9 ]*PRIVATE KEY-----)?"
    ),
    # any PEM in base64, as in a Secret's data: what it holds is not known, so it goes
    re.compile(r"LS0tLS1CRUdJTi[A-Za-z0-9+/=_-]*"),
    # a JSON web token
    re.compile(r"\beyJ[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*"),
    re.compile(r"(?i)(?<=\bbearer )[^\s\"\\,;'}]+"),
    re.compile(r"(?i)(?<=\bbasic )[A-Za-z0-9+/=_-]{8,}"),
)
# A field whose name says that it holds one: a field of the line itself, at any depth, whatever it holds;
_FIELD = re.compile(rf'(?i)(?P<before>"{_NAME}": )"(?:[^"\\]|\\.)*"')
# and in a text: JSON, Python's repr, key=value.
_IN_TEXT = re.compile(
    rf"(?i)(?<![A-Za-z0-9])(?P<before>{_NAME}\\?[\"']?\s*[:=]\s*b?\\?[\"']?)"
    r"(?:[^\s\"\\,;'}\]]|\\[^\"\\])+"
)


def redact(line: str) -> str:
    """The line without private keys, bearer tokens and the like."""
    line = _FIELD.sub(rf'\g<before>"{_REDACTED}"', line)
    for pattern in _SECRETS:
        line = pattern.sub(_REDACTED, line)
    return _IN_TEXT.sub(rf"\g<before>{_REDACTED}", line)


def _plain(value: object) -> str:
    """What stands for a value that JSON has no form for. A library's own object says only what it is."""
    shown = isinstance(value, str | bytes | date | Path | Enum | BaseException)
    return str(value) if shown else f"<{type(value).__name__}>"


class JsonLines(JsonFormatter):
    """Fields ``ts`` (UTC, milliseconds), ``level``, ``logger``, ``msg``, then what ``extra=`` holds."""

    def __init__(self) -> None:
        super().__init__(
            "%(levelname)s %(name)s %(message)s",
            rename_fields={"levelname": "level", "name": "logger", "message": "msg", "exc_info": "error"},
            reserved_attrs=None,
            json_default=_plain,
        )

    def add_fields(self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]) -> None:
        moment = datetime.fromtimestamp(record.created, UTC)
        log_data["ts"] = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        super().add_fields(log_data, record, message_dict)

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


def configure_logging(level: int | str = logging.INFO, stream: TextIO | None = None) -> None:
    """Send all logging through one JSON handler; libraries that chat speak from WARNING on."""
    handler = logging.StreamHandler(stream if stream is not None else sys.stderr)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)
    logging.captureWarnings(True)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(logging.WARNING)
    # It has a line for each request that is not HTTP: anybody could fill the log. They are counted instead.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    # At INFO kopf writes a line for every event of every object.
    logging.getLogger("kopf").setLevel(logging.WARNING)
    # It says that it leaves signals to us.
    logging.getLogger("kopf._core.reactor.running").setLevel(logging.ERROR)
    # It complains, by name, of each kind that is not installed.
    logging.getLogger("kopf._core.reactor.observation").setLevel(logging.ERROR)
