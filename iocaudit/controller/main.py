"""The operator's process: wait for the Lease, then sweep and watch; exit when the Lease is lost."""

from __future__ import annotations

import asyncio
import logging
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from iocaudit.cluster.client import Client
from iocaudit.cluster.lease import Lease, LeaseLostError
from iocaudit.controller.attempt_metrics import AttemptMetrics
from iocaudit.controller.certificates import Certificates
from iocaudit.controller.events import Watches
from iocaudit.controller.guard import untrusted
from iocaudit.controller.ledger import Ledger
from iocaudit.controller.metrics import OperatorMetrics
from iocaudit.controller.options import OperatorOptions
from iocaudit.controller.policies import Policies
from iocaudit.controller.publisher import Publisher
from iocaudit.controller.receiver import ReceiverMetrics, receive
from iocaudit.controller.registration import Registration
from iocaudit.controller.sweep import Change, Cluster
from iocaudit.controller.waivers import StoredWaivers
from iocaudit.controller.worker import Worker
from iocaudit.core.kinds import NAMESPACE, Kind
from iocaudit.core.shape import mapping, text
from iocaudit.engine.catalogue import Catalogue, builtin_catalogue
from iocaudit.install.webhook_configuration import Target
from iocaudit.records.kinds import AUDIT_POLICY, IOC_WAIVER
from iocaudit.serving.authority import Names
from iocaudit.serving.drain import Drain
from iocaudit.serving.health import Readiness, health_app
from iocaudit.serving.listener import Listen, run, serve
from iocaudit.serving.logs import configure_logging
from iocaudit.serving.metrics import CertificateMetrics, ConnectionMetrics, LimitMetrics, metrics_app, new_registry

_log = logging.getLogger(__name__)

T = TypeVar("T")

_STUCK = 900.0
"""Seconds without any progress of the worker after which the process counts as stuck."""


class Operator:
    """Everything one process holds; ``lead`` is its life as the leader."""

    def __init__(self, options: OperatorOptions, catalogue: Catalogue) -> None:
        self.options = options
        self._stop = threading.Event()
        plain = Client.connect(options.kubeconfig, options.context)
        self.lease = Lease(
            plain, options.namespace, options.lease_name, options.identity, duration=options.lease_duration
        )
        self.client = plain.guarded(self._may_write)
        self.registry = new_registry("operator")
        self.metrics = OperatorMetrics(self.registry)
        self.connections = ConnectionMetrics(self.registry)
        publisher = Publisher(self.client, catalogue, retention=options.retention)
        self.cluster = Cluster(
            self.client,
            catalogue,
            publisher,
            Policies(catalogue, options.profile),
            StoredWaivers(catalogue, options.longest_waiver),
            untrusted=untrusted,
        )
        self.worker = Worker(self.cluster, period=options.period, turned=self._turned)
        self.watches = Watches(self.client, self._watched, self._receive, self.worker.request_sweep)
        self.ledger = Ledger(
            self.client,
            {check.id: check.title for check in catalogue},
            AttemptMetrics(self.registry),
            retention=options.retention,
        )
        self._temporary = tempfile.TemporaryDirectory(prefix="iocaudit-") if options.manage_webhook else None
        self.registration = self._registration() if options.manage_webhook else None
        self.readiness = Readiness(["started"])
        self.leading = False
        self._told: float | None = None

    def _may_write(self) -> None:
        """Asked before every write: nothing is written once the Lease is lost or handed back."""
        if self._stop.is_set():
            raise LeaseLostError("this process is about to end: nothing is written any more")
        self.lease.ensure()

    def _registration(self) -> Registration:
        options, cluster = self.options, self.cluster
        target = Target(options.namespace, options.webhook_service, options.webhook_port, options.webhook_url)
        host, _ = target.address
        names = [host] if options.webhook_url else [host, f"{host}.cluster.local"]
        certificates = Certificates(
            self.client,
            options.namespace,
            Names.of(*names, f"iocaudit-operator.{options.namespace}.svc"),
            folder=self.certificate_folder,
        )
        return Registration(
            self.client,
            cluster.catalogue,
            lambda: cluster.policies.current,
            certificates,
            target,
            exclude=options.exclude_namespaces,
        )

    @property
    def certificate_folder(self) -> Path | None:
        """Where the certificate of the receiver of denied attempts lies; None where nobody gave or issues one."""
        if self.options.certificate_folder is not None or self._temporary is None:
            return self.options.certificate_folder
        return Path(self._temporary.name)

    def _turned(self) -> None:
        self.metrics.update(self.cluster, self.worker, self.watches, self.registration)
        self.watches.refresh()
        world, swept_at = self.cluster.world, self.cluster.swept_at
        if swept_at != self._told and world.incomplete(NAMESPACE) is None:
            self._told = swept_at
            self.ledger.namespaces({found.name: found.uid for found in world.all(NAMESPACE)})

    def stuck(self) -> str | None:
        """Why the process should be restarted, if it should."""
        idle = time.monotonic() - self.worker.beat
        if self.leading and idle > _STUCK:
            return f"the worker made no progress for {idle:.0f} s"
        return None

    async def lead(self) -> None:
        """Wait for the Lease, then work; raises LeaseLostError, or whatever ended a part of it."""
        lease = self.lease
        self.readiness.set("started", True)
        parts: list[asyncio.Future[None]] = []
        receiver: asyncio.Future[None] | None = None
        try:
            if not await _in_thread("lease", lambda: lease.acquire(self._stop)):
                return
            self.leading = True
            self.worker.beat = time.monotonic()
            self.metrics.leader.set(1)
            parts = [
                asyncio.ensure_future(_in_thread("lease", lambda: lease.hold(self._stop))),
                asyncio.ensure_future(_in_thread("worker", lambda: self.worker.run(self._stop))),
                asyncio.ensure_future(_in_thread("watches", self._watch)),
            ]
            parts.append(asyncio.ensure_future(_in_thread("attempts", lambda: self.ledger.run(self._stop))))
            if (folder := self.certificate_folder) is not None:
                receiver = asyncio.ensure_future(self._receive_attempts(folder))
                parts.append(receiver)
            if (registration := self.registration) is not None:
                parts.append(asyncio.ensure_future(_in_thread("webhook", lambda: registration.run(self._stop))))
            done, _ = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
            for part in done:
                part.result()
        finally:
            self._stop.set()
            if receiver is not None:
                receiver.cancel()
            if parts:
                # Long enough to hand the Lease back, so that the next leader need not wait for it to run out.
                await asyncio.wait(parts, timeout=2.0)
            self.metrics.leader.set(0)

    async def _receive_attempts(self, folder: Path) -> None:
        options = self.options
        metrics = ReceiverMetrics(LimitMetrics(self.registry), CertificateMetrics(self.registry), self.connections)
        await receive(self.ledger, folder, options.attempts_host, options.attempts_port, metrics)

    def _receive(self, change: Change, listed: bool) -> None:
        if change.kind is NAMESPACE and not change.deleted:
            metadata = mapping(change.raw.get("metadata"))
            dying = bool(metadata.get("deletionTimestamp"))
            self.ledger.namespace(text(metadata.get("name")), text(metadata.get("uid")), dying=dying)
        self.worker.receive(change, listed)

    def _watch(self) -> None:
        # The first sweep reads everything; watches that begin before it would only repeat it.
        while not self.worker.swept.wait(0.2):
            if self._stop.is_set():
                return
        self.watches.run(self._stop)

    def _watched(self) -> tuple[Kind, ...]:
        """What is watched: all that is audited or looked up and may be read, installed or not (CRDs come later)."""
        catalogue = self.cluster.catalogue
        kinds = dict.fromkeys((*catalogue.audited_kinds, *catalogue.world_kinds, NAMESPACE, AUDIT_POLICY, IOC_WAIVER))
        return tuple(kind for kind in kinds if kind not in self.cluster.forbidden)


async def _in_thread(name: str, work: Callable[[], T]) -> T:
    """Run in a daemon thread: a stuck one must not keep the process from exiting."""
    loop = asyncio.get_running_loop()
    result: asyncio.Future[T] = loop.create_future()

    def finish(value: T | None, error: BaseException | None) -> None:
        if result.done():
            return
        if error is not None:
            result.set_exception(error)
        else:
            result.set_result(value)  # type: ignore[arg-type]

    def target() -> None:
        try:
            value = work()
        except BaseException as error:  # noqa: BLE001  handed to whoever waits
            loop.call_soon_threadsafe(finish, None, error)
        else:
            loop.call_soon_threadsafe(finish, value, None)

    threading.Thread(target=target, name=name, daemon=True).start()
    return await result


async def _serve(options: OperatorOptions) -> None:
    operator = Operator(options, builtin_catalogue())
    drain = Drain(operator.readiness, grace=0.0, finish=2.0)
    drain.on_signals()
    await serve(
        [
            Listen.plain(
                "health", health_app(operator.readiness, operator.stuck), options.health_host, options.health_port
            ),
            Listen.plain("metrics", metrics_app(operator.registry), options.metrics_host, options.metrics_port),
        ],
        drain,
        metrics=operator.connections,
        background=[operator.lead],
    )


def main(options: OperatorOptions) -> None:
    """Run the operator until SIGTERM or SIGINT. Raises an IocauditError when it cannot go on."""
    configure_logging(options.log_level.upper())
    run(_serve(options))
