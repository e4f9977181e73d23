"""Every part of both processes, with a fault put into each: what ends or hangs is restarted, or ends the process.

The processes run as they are, on an API server in memory. A new thread or task that is not named here fails the test
of their names; one that no supervisor looks after fails `test_nothing_else`.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from kubernetes.client import Configuration

from admission.main import _serve as serve_webhook
from admission.options import WebhookOptions
from devcluster.ports import free_port
from iocaudit.cluster.api import EVERYWHERE, ListScope
from iocaudit.cluster.client import Client
from iocaudit.controller.main import _serve as serve_operator
from iocaudit.controller.options import OperatorOptions
from iocaudit.core.kinds import POD, Kind
from iocaudit.serving.authority import Names, issue_ca, issue_leaf
from iocaudit.supervision.errors import PartLostError
from iocaudit.supervision.part import Life, Part
from iocaudit.supervision.supervisor import SILENCE, Supervisor
from tests.support.api import FakeApi, Json

PACE = 0.06
"""Less than four seconds for a minute."""
ONCE = ("worker", "attempts", "registration", "lease")
"""Of these in the operator two at once would do harm: one that hangs ends the process."""
OPERATOR = {"lease", "worker", "attempts", "registration", "kinds", "kopf", "discovery", "receiver"}
OPERATOR |= {
    "certificate attempts",
    "event loop",
    "drain",
    "watch Pod",
    "watch Namespace",
    "watch AuditPolicy.iocaudit.io",
}
WEBHOOK = {"discovery", "attempts", "certificate serving", "event loop", "drain", "large review", "rules"}
WEBHOOK |= {"watch Namespace", "watch ConfigMap", "watch AuditPolicy.iocaudit.io", "watch IocWaiver.iocaudit.io"}


class Api(FakeApi):
    """With watches in which nothing happens."""

    host = "http://127.0.0.1:1"

    @property
    def configuration(self) -> Configuration:
        return Configuration()

    def guarded(self, may_write: Callable[[], None]) -> FakeApi:
        return self

    def watch(
        self, kind: Kind, resource_version: str, *, scope: ListScope = EVERYWHERE, seconds: int = 240
    ) -> Iterator[tuple[str, Json]]:
        time.sleep(1.2)
        yield "BOOKMARK", {"metadata": {"resourceVersion": resource_version}}


class Saboteur(Supervisor):
    """Puts a fault into the first life of each part that is named in ``faults``."""

    def __init__(self, fault: str, names: set[str]) -> None:
        super().__init__(pace=PACE, look_every=0.05, most_hanging=100, cut_off=lambda _code: None)
        self._fault, self.left = fault, set(names)
        self.begun: set[str] = set()
        self.release = threading.Event()

    def _due(self, name: str) -> bool:
        self.begun.add(name)
        if name in self.left:
            self.left.discard(name)
            return True
        return False

    def thread(
        self, name: str, run: Callable[[Life], None], *, silence: float = SILENCE, restartable: bool = True
    ) -> Part:
        def sabotaged(life: Life) -> None:
            if self._due(name):
                life.beat()
                if self._fault == "exception":
                    raise RuntimeError("put into it")
                self.release.wait(120)
            run(life)

        return super().thread(name, sabotaged, silence=silence, restartable=restartable)

    async def keep(self, name: str, run: Callable[[Life], Awaitable[None]], *, silence: float = SILENCE) -> None:
        async def sabotaged(life: Life) -> None:
            if self._due(name):
                if self._fault == "exception":
                    raise RuntimeError("put into it")
                await asyncio.Event().wait()
            await run(life)

        await super().keep(name, sabotaged, silence=silence)


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    now = datetime.now(UTC)
    ca = issue_ca(now, timedelta(days=1))
    leaf = issue_leaf(ca, Names.of("127.0.0.1"), now, timedelta(hours=1))
    for name, data in (("tls.crt", leaf.certificate_pem), ("tls.key", leaf.key_pem), ("ca.crt", ca.certificate_pem)):
        (tmp_path / name).write_bytes(data)
    return tmp_path


Serve = Callable[[Supervisor], Awaitable[None]]


@pytest.fixture(params=["operator", "webhook"])
def process(request: pytest.FixtureRequest, certificates: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, Serve]:
    api = Api("iocaudit", "shop")
    api.put(POD, "spy", "shop", spec={"hostPID": True, "containers": []})
    monkeypatch.setattr(Client, "connect", lambda *_, **__: api)
    if request.param == "webhook":
        webhook = WebhookOptions(
            certificates, "127.0.0.1", 0, 0, 0, drain_seconds=0.0, attempts_url="https://127.0.0.1:1"
        )
        return "webhook", lambda supervisor: serve_webhook(webhook, supervisor)
    options = OperatorOptions(
        namespace="iocaudit",
        lease_duration=60.0,
        health_host="127.0.0.1",
        health_port=0,
        metrics_host="127.0.0.1",
        metrics_port=0,
        attempts_host="127.0.0.1",
        attempts_port=free_port(),
        webhook_url="https://127.0.0.1:1",
        certificate_folder=certificates,
    )
    return "operator", lambda supervisor: serve_operator(options, supervisor)


async def until(condition: Callable[[], bool], what: str, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited for {what}"
        await asyncio.sleep(0.05)


async def run(serve: Serve, supervisor: Saboteur, scenario: Callable[[], Awaitable[None]]) -> None:
    serving = asyncio.ensure_future(serve(supervisor))
    checking = asyncio.ensure_future(scenario())
    try:
        await asyncio.wait({serving, checking}, return_when=asyncio.FIRST_COMPLETED)
        assert checking.done(), f"it ended: {serving.exception()!r}"
        checking.result()
    finally:
        for task in (serving, checking):
            task.cancel()
        await asyncio.gather(serving, checking, return_exceptions=True)
        supervisor.release.set()
        supervisor.close()


def test_the_parts_are_these_and_nothing_else_runs(process: tuple[str, Serve]) -> None:
    name, serve = process
    supervisor = Saboteur("none", set())
    before = set(supervisor.unsupervised())
    wanted = OPERATOR if name == "operator" else WEBHOOK

    async def scenario() -> None:
        def names() -> set[str]:
            return {part.name for part in supervisor.parts}

        await until(lambda: wanted <= names(), f"{wanted - names()}")
        assert {part for part in names() - wanted if not part.startswith("watch ")} == set()
        assert set(supervisor.unsupervised()) - before == set()
        await asyncio.sleep(SILENCE * PACE * 1.2)
        assert {part.name: part.reason for part in supervisor.parts if part.restarts} == {}
        assert supervisor.reason() is None

    asyncio.run(run(serve, supervisor, scenario))


@pytest.mark.parametrize("fault", ["exception", "hang"])
def test_what_ends_or_hangs_is_restarted(process: tuple[str, Serve], fault: str) -> None:
    name, serve = process
    wanted = OPERATOR if name == "operator" else WEBHOOK
    into = wanted - {"event loop", "drain", "large review"}
    into -= set(ONCE) if (name, fault) == ("operator", "hang") else {"lease"}
    supervisor = Saboteur(fault, into)

    async def scenario() -> None:
        def well() -> bool:
            now = {part.name: part for part in supervisor.parts}
            return into <= now.keys() and all(
                now[one].restarts == 1 and supervisor.seconds_since_progress(now[one]) < 3.0 for one in into
            )

        def missing() -> dict[str, object]:
            return {part.name: (part.restarts, part.state.value, part.reason) for part in supervisor.parts}

        try:
            await until(well, "each to be restarted")
        except AssertionError as error:
            raise AssertionError(f"{error}: {missing()}, {into - supervisor.begun} never begun") from error
        assert supervisor.left == set()
        assert supervisor.lost is None
        assert wanted <= {part.name for part in supervisor.parts}

    asyncio.run(run(serve, supervisor, scenario))


@pytest.mark.parametrize("process", ["operator"], indirect=True)
@pytest.mark.parametrize("part", ONCE)
def test_where_a_second_one_would_do_harm_a_hang_ends_the_process_with_a_reason(
    process: tuple[str, Serve], part: str
) -> None:
    _, serve = process
    supervisor = Saboteur("hang", {part})

    async def scenario() -> None:
        with pytest.raises(PartLostError, match=f"{part} made no progress for"):
            await serve(supervisor)

    try:
        asyncio.run(asyncio.wait_for(scenario(), 60))
    finally:
        supervisor.release.set()
        supervisor.close()
    assert supervisor.reason() is not None
