"""iocaudit-cel as a child of this process: the private folder with its socket, and the connections to it."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from iocaudit.core.shape import Json, text
from iocaudit.engine.languages.cel.connections import CelConnections
from iocaudit.engine.languages.cel.loop_connection import LoopConnection
from iocaudit.engine.languages.child import Child
from iocaudit.engine.languages.evaluator import EngineError

NAME: Final = "iocaudit-cel"
MEMORY_BYTES: Final = 384 << 20


@dataclass(slots=True)
class _Lane:
    """The connection of one event loop."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    connection: LoopConnection | None = None


class CelService:
    """A process that runs, and is asked through its socket."""

    def __init__(self, program: Path, memory_bytes: int, within: float) -> None:
        """Start it within so many seconds. Raises EngineError."""
        try:
            # Nobody else may enter the folder: who connects is this process.
            folder = tempfile.mkdtemp(prefix="iocaudit-cel-")
        except OSError as error:
            raise EngineError(f"{NAME} did not start: {error}") from error
        self._remove_folder = weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        self._socket = Path(folder, "s")
        try:
            command = [str(program), "serve", "--socket", str(self._socket)]
            self.child = Child(NAME, command, memory=memory_bytes, within=within)
        except BaseException:
            self._remove_folder()
            raise
        self._connections = CelConnections(self._socket)
        self._lanes: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Lane] = weakref.WeakKeyDictionary()

    def load(self, documents: Sequence[Json], seconds: float) -> None:
        """Have it take these rules in place of all before. Raises EngineError."""
        reply = self.ask({"load": list(documents)}, seconds)
        if failure := text(reply.get("failure")):
            raise EngineError(failure)

    def ask(self, message: Json, seconds: float) -> Json:
        """The reply to a message. Raises EngineError."""
        return self._connections.ask(message, seconds)

    async def ask_soon(self, message: Json, seconds: float) -> Json:
        """The same for an event loop. Raises EngineError."""
        lane = self._lanes.setdefault(asyncio.get_running_loop(), _Lane())
        connection = lane.connection
        if connection is None or not connection.open:
            async with lane.lock:  # the first questions come at once, and share one
                connection = lane.connection
                if connection is None or not connection.open:
                    connection = lane.connection = await LoopConnection.opened(self._socket)
        return await connection.ask(message, seconds)

    def trouble(self, within: float) -> str | None:
        """Why it is not well, or None where it answers."""
        try:
            return text(self.ask({"ping": True}, within).get("failure")) or None
        except EngineError as error:
            return str(error)

    def close(self) -> None:
        self._connections.close()
        self.child.end()
        self._remove_folder()

    def let_go(self) -> None:
        self._remove_folder.detach()
        self._connections.close()
        self.child.let_go()
