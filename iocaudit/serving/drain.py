"""Going away without failing a call: unready, close after each answer, wait, finish, exit."""

import asyncio
import logging
import signal
import time

from iocaudit.serving.asgi import AsgiApp, AsgiReceive, AsgiScope, AsgiSend, Message
from iocaudit.serving.health import Readiness

_log = logging.getLogger(__name__)


class Drain:
    """The state of going away, shared by the listeners of one process.

    ``grace``: seconds to go on serving after becoming unready, while clients learn of it. ``finish``:
    seconds that requests in flight may take after that. Together they stay below the pod's
    ``terminationGracePeriodSeconds``.
    """

    def __init__(self, readiness: Readiness, *, grace: float = 10.0, finish: float = 10.0) -> None:
        self.readiness = readiness
        self.grace = grace
        self.finish = finish
        self.begun_at: float | None = None
        """When it began, by ``time.monotonic``."""
        self._begun = asyncio.Event()
        self._forced = asyncio.Event()

    @property
    def draining(self) -> bool:
        return self._begun.is_set()

    @property
    def forced(self) -> bool:
        """Whether a second signal asked to exit at once."""
        return self._forced.is_set()

    def begin(self, reason: str) -> None:
        """Start to drain; the second time: give up waiting."""
        if self._begun.is_set():
            _log.warning("exiting at once: %s", reason)
            self._forced.set()
            return
        _log.info("draining: %s", reason, extra={"grace": self.grace, "finish": self.finish})
        self.readiness.drain()
        self.begun_at = time.monotonic()
        self._begun.set()

    def on_signals(self) -> None:
        """Make SIGTERM and SIGINT begin; to be called in the running loop of the main thread."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.begin, number.name)

    def progress_at(self) -> float:
        """When it last went as it should, by ``time.monotonic``: it is to end soon after it began."""
        return self.begun_at if self.begun_at is not None else time.monotonic()

    async def begun(self) -> None:
        """Wait until draining starts."""
        await self._begun.wait()

    async def wait_grace(self) -> None:
        """Wait for draining to start, then for the grace period or a second signal."""
        await self._begun.wait()
        await self._wait_forced(self.grace)

    async def wait_forced(self) -> None:
        """Wait for the second signal."""
        await self._forced.wait()

    async def _wait_forced(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._forced.wait()
        except TimeoutError:
            return

    def wrap(self, app: AsgiApp) -> AsgiApp:
        """The app, with ``Connection: close`` on each answer that starts while draining."""
        begun = self._begun.is_set

        async def draining_app(scope: AsgiScope, receive: AsgiReceive, send: AsgiSend) -> None:
            async def closing_send(message: Message) -> None:
                if message["type"] == "http.response.start" and begun():
                    kept = [pair for pair in message.get("headers", ()) if pair[0].lower() != b"connection"]
                    message["headers"] = [*kept, (b"connection", b"close")]
                await send(message)

            await app(scope, receive, closing_send)

        return draining_app
