"""Liveness and readiness for the kubelet's probes, as a small ASGI app over plain HTTP."""

import json
from collections.abc import Callable, Iterable

from iocaudit.serving.asgi import AsgiApp, AsgiReceive, AsgiScope, AsgiSend, answer


class Readiness:
    """Named conditions that must all hold before traffic is wanted.

    Sticky: once all held at one time, later losses (the API server is away) don't make it unready; the
    process goes on with the last state it knows. Draining makes it unready for good.
    """

    def __init__(self, conditions: Iterable[str], *, sticky: bool = True) -> None:
        self._waiting = dict.fromkeys(conditions, "not yet")
        self._known = frozenset(self._waiting)
        self._sticky = sticky
        self._once_ready = not self._waiting
        self._draining = False

    def set(self, condition: str, holds: bool, reason: str = "") -> None:
        """Say whether a condition holds, and if not, why. Raises KeyError on one that was not declared."""
        if condition not in self._known:
            raise KeyError(f"{condition!r} is not a declared condition of readiness")
        if holds:
            self._waiting.pop(condition, None)
            self._once_ready = self._once_ready or not self._waiting
        else:
            self._waiting[condition] = reason or "does not hold"

    def drain(self) -> None:
        """From now on unready, for good."""
        self._draining = True

    @property
    def draining(self) -> bool:
        return self._draining

    @property
    def ready(self) -> bool:
        if self._draining:
            return False
        return not self._waiting or (self._sticky and self._once_ready)

    @property
    def missing(self) -> dict[str, str]:
        """The conditions that don't hold now, each with its reason, sorted; also when sticky and ready."""
        missing = dict(sorted(self._waiting.items()))
        if self._draining:
            missing["draining"] = "the process is shutting down"
        return missing


def health_app(readiness: Readiness, stuck: Callable[[], str | None] | None = None) -> AsgiApp:
    """``/healthz`` and ``/livez``: the event loop turns, and ``stuck()`` (if given) has no reason to tell.

    ``/readyz``: 200 or 503, with what is missing as JSON.
    """

    async def app(scope: AsgiScope, _receive: AsgiReceive, send: AsgiSend) -> None:
        if scope["type"] != "http":
            return
        path = scope["path"]
        if path in ("/healthz", "/livez"):
            reason = stuck() if stuck is not None else None
            await answer(send, 200 if reason is None else 503, "ok\n" if reason is None else reason + "\n")
        elif path == "/readyz":
            body = json.dumps({"ready": readiness.ready, "missing": readiness.missing}) + "\n"
            await answer(send, 200 if readiness.ready else 503, body, content_type=b"application/json")
        else:
            await answer(send, 404, "not found: try /healthz or /readyz\n")

    return app
