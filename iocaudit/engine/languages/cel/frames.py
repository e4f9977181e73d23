"""How messages go to iocaudit-cel and back: a length of four bytes, the most significant first, and JSON."""

from __future__ import annotations

from typing import Final

import orjson

from iocaudit.core.shape import Json
from iocaudit.engine.languages.evaluator import EngineError

LARGEST: Final = 64 << 20
_HEAD: Final = 4


def framed(message: Json) -> bytes:
    """A message as it is sent. Raises EngineError where it cannot be."""
    try:
        body = orjson.dumps(message)
    except (TypeError, ValueError, RecursionError) as error:
        raise EngineError(f"the question cannot be written as JSON: {error}") from error
    if len(body) > LARGEST:
        raise EngineError(f"the question has {len(body)} bytes, at most {LARGEST} can be asked")
    return len(body).to_bytes(_HEAD, "big") + body


class FrameReader:
    """Puts together what comes in pieces."""

    def __init__(self) -> None:
        self._have = bytearray()

    def feed(self, piece: bytes) -> list[Json]:
        """The messages that are complete now. Raises EngineError where it is something else."""
        self._have += piece
        found: list[Json] = []
        while len(self._have) >= _HEAD:
            size = int.from_bytes(self._have[:_HEAD], "big")
            if size > LARGEST:
                raise EngineError(f"an answer of {size} bytes, at most {LARGEST} are taken")
            if len(self._have) < _HEAD + size:
                break
            body = bytes(self._have[_HEAD : _HEAD + size])
            del self._have[: _HEAD + size]
            try:
                message = orjson.loads(body)
            except orjson.JSONDecodeError as error:
                raise EngineError(f"an answer is not JSON: {error}") from error
            if not isinstance(message, dict):
                raise EngineError("an answer is not a JSON object")
            found.append(message)
        return found
