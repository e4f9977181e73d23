"""The file of senders as it is now: read again where it changed, and kept as it was where it cannot be read."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from iocaudit.receivers.senders import Senders, SendersError
from iocaudit.supervision.part import Life, beating

_log = logging.getLogger(__name__)

_EVERY = 5.0


class SenderFile:
    """``senders`` are those in force."""

    def __init__(self, path: Path) -> None:
        """Raises SendersError."""
        self._path = path
        self.senders = Senders.from_file(path)
        self._seen = self._content()

    async def watch(self, life: Life) -> None:
        """Read it again whenever it changed, until cancelled. A mounted ConfigMap changes by a link."""
        while True:
            await beating(asyncio.sleep(_EVERY), life)
            self.refresh()

    def refresh(self) -> bool:
        """Whether what is in force changed."""
        content = self._content()
        if content is None or content == self._seen:
            return False
        self._seen = content
        try:
            self.senders = Senders.from_file(self._path)
        except SendersError as error:
            _log.error("the senders before stay in force: %s", error)
            return False
        _log.info("senders read again", extra={"senders": len(self.senders.names)})
        return True

    def _content(self) -> bytes | None:
        try:
            return self._path.read_bytes()
        except OSError:
            return None
