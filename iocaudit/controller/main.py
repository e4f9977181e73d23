"""The operator's process: wait for the Lease, then sweep and watch; exit when the Lease is lost."""

from __future__ import annotations

import asyncio
import logging
import tempfile
import threading
import time
from functools import partial
from pathlib import Path

from iocaudit.cluster.client import Client
from iocaudit.cluster.errors import ForbiddenError, NotFoundError
from iocaudit.cluster.lease import Lease, LeaseLostError
from iocaudit.controller.certificates import Certificates
from iocaudit.controller.changes import Changes
from iocaudit.controller.guard import untrusted
from iocaudit.controller.kopf_part import KopfPart
from iocaudit.controller.metrics import OperatorMetrics
from iocaudit.controller.options import OperatorOptions
from iocaudit.controller.policies import Policies
from iocaudit.controller.policy_events import tell
from iocaudit.controller.publisher import Publisher
from iocaudit.controller.registration import Registration
from iocaudit.controller.rollout_metrics import RolloutMetrics
from iocaudit.controller.rollouts import Rollouts
from iocaudit.controller.sweep import ClusterAuditor, ObjectChange
from iocaudit.controller.waivers import StoredWaivers
from iocaudit.controller.worker import Worker
from iocaudit.core.kinds import DEPLOYMENT, NAMESPACE, Kind
from iocaudit.core.own_names import ADMISSION, OPERATOR, RECEIVERS, WEBHOOK_CONFIGURATION
from iocaudit.core.shape import integer, mapping, text
from iocaudit.engine.catalogue import Catalogue, installed_catalogue
from iocaudit.evidence.incident_ledger import IncidentLedger
from iocaudit.evidence.ledger import Ledger
from iocaudit.evidence.metrics import EvidenceMetrics, IncidentMetrics
from iocaudit.evidence.receiver import ReceiverMetrics, receive
from iocaudit.evidence.weaknesses import StoredWeaknesses
from iocaudit.install.webhook_configuration import WebhookTarget
from iocaudit.live.engine_factories import factories
from iocaudit.live.engines import Engines
from iocaudit.records.kinds import AUDIT_POLICY, IOC_WAIVER, VALIDATING_WEBHOOK_CONFIGURATION
from iocaudit.serving.authority import Names
from iocaudit.serving.drain import Drain
from iocaudit.serving.health import Readiness, health_app
from iocaudit.serving.heap import keep_large_blocks_apart
from iocaudit.serving.listener import ListenerSpec, run, serve
from iocaudit.serving.logs import configure_logging
from iocaudit.serving.metrics import (
    CertificateMetrics,
    ConnectionMetrics,
    LimitMetrics,
    PartCollector,
    metrics_app,
    new_registry,
)
from iocaudit.serving.rule_metrics import RuleMetrics
from iocaudit.supervision.part import Life, Part
from iocaudit.supervision.supervisor import Supervisor

_log = logging.getLogger(__name__)
_LONGEST_END = 30.0
"""Seconds that the process may take to end once it was told to."""
_REGISTERED_WITHIN = 600.0
"""Seconds after the start until which a webhook that was never registered does not count as missing."""


class Operator:
    """Everything one process holds; ``lead`` is its life as the leader."""

    def __init__(self, options: OperatorOptions, catalogue: Catalogue, supervisor: Supervisor) -> None:
        self.options = options
        self._stop = threading.Event()
        # A connection that says nothing must not cost the Lease: there is time for another attempt.
        prompt = Client.connect(options.kubeconfig, options.context, timeout=max(1.0, options.lease_duration / 3))
        self.lease = Lease(
            prompt, options.namespace, options.lease_name, options.identity, duration=options.lease_duration
        )
        self.client = Client.connect(options.kubeconfig, options.context).guarded(self._may_write)
        self.registry = new_registry("operator")
        self.metrics = OperatorMetrics(self.registry)
        rule_metrics = RuleMetrics(self.registry)
        self.engines = Engines(factories(options.engines, supervisor.thread, rule_metrics), rule_metrics)
        self.connections = ConnectionMetrics(self.registry)
        publisher = Publisher(self.client, catalogue, retention=options.retention)
        self.cluster = ClusterAuditor(
            self.client,
            catalogue,
            publisher,
            Policies(catalogue, options.profile, self.engines),
            StoredWaivers(catalogue, options.longest_waiver),
            untrusted=untrusted,
            registering=self._registering,
            own_namespace=options.namespace,
        )
        rule_metrics.follow(
            lambda: self.engines.failing, lambda: self.cluster.policies.problems, lambda: self.engines.trouble
        )
        self.worker = Worker(self.cluster, period=options.period, turned=self._turned)
        self.supervisor = supervisor
        self.registry.register(PartCollector(self.supervisor))
        self.changes = Changes(
            self.client,
            self._watched(),
            self.worker,
            self.supervisor,
            self._receive,
            self.metrics.watching.failed,
            self._installed,
        )
        self.cluster.require = self.changes.watches.require
        self.kopf = KopfPart(self.client, (AUDIT_POLICY, IOC_WAIVER), self._receive)
        self._kopf: Part | None = None
        self._following = False
        self._receiver = ReceiverMetrics(
            LimitMetrics(self.registry), CertificateMetrics(self.registry), self.connections
        )
        self.ledger = Ledger(
            self.client,
            self.cluster.policies.title_of,
            EvidenceMetrics(self.registry),
            rollouts=Rollouts(
                self.client,
                self.cluster.policies,
                RolloutMetrics(self.registry),
                ready=self._webhook_replicas,
                registered=lambda: self.registration is None or self.registration.registered,
            ),
            incidents=IncidentLedger(self.client, StoredWeaknesses(self.client), IncidentMetrics(self.registry)),
            changed=partial(tell, self.client),
            retention=options.retention,
        )
        self._begun = time.monotonic()
        self._seen_registration = False
        self._temporary = tempfile.TemporaryDirectory(prefix="iocaudit-") if options.manage_webhook else None
        self.registration = self._registration() if options.manage_webhook else None
        self.readiness = Readiness(["started"])
        self._told: float | None = None

    def _registering(self) -> bool:
        """Whether the webhook is about to be registered: at first nothing answers, and nothing is wrong with that.

        What was written a moment ago counts once an audit has seen it.
        """
        registration = self.registration
        if registration is None or (registration.was_registered and self._has_seen_registration()):
            return False
        return time.monotonic() - self._begun < _REGISTERED_WITHIN

    def _has_seen_registration(self) -> bool:
        there = self.cluster.world.get(VALIDATING_WEBHOOK_CONFIGURATION, None, WEBHOOK_CONFIGURATION)
        self._seen_registration |= there is not None
        return self._seen_registration

    def _webhook_replicas(self) -> int | None:
        """How many replicas of the webhook answer; None where it runs outside of the cluster, or it is not known."""
        if self.options.webhook_url is not None:
            return None
        try:
            deployment = self.client.get(DEPLOYMENT, self.options.namespace, ADMISSION)
        except (ForbiddenError, NotFoundError):
            return None
        return integer(mapping(deployment.get("status")).get("readyReplicas")) or 0

    def _may_write(self) -> None:
        """Asked before every write: nothing is written once the Lease is lost or handed back."""
        if self._stop.is_set():
            raise LeaseLostError("this process is about to end: nothing is written any more")
        self.lease.ensure()

    def _registration(self) -> Registration:
        options, cluster = self.options, self.cluster
        target = WebhookTarget(options.namespace, options.webhook_service, options.webhook_port, options.webhook_url)
        host, _ = target.address
        names = [host] if options.webhook_url else [host, f"{host}.cluster.local"]
        certificates = Certificates(
            self.client,
            options.namespace,
            Names.of(*names, f"{OPERATOR}.{options.namespace}.svc"),
            folder=self.certificate_folder,
            receivers=Names.of(f"{RECEIVERS}.{options.namespace}.svc") if options.receivers else None,
        )
        return Registration(
            self.client,
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
        self.metrics.update(self.cluster, self.worker, self.registration)
        world, swept_at = self.cluster.world, self.cluster.swept_at
        if swept_at != self._told and world.incomplete(NAMESPACE) is None:
            self._told = swept_at
            self.ledger.namespaces({found.name: found.uid for found in world.all(NAMESPACE)})

    async def lead(self) -> None:
        """Wait for the Lease, then work; raises LeaseLostError, or whatever ended its holding."""
        self.readiness.set("started", True)
        loop = asyncio.get_running_loop()
        leading, released = asyncio.Event(), loop.create_future()

        def hold(life: Life) -> None:
            error: BaseException | None = None
            try:
                if self.lease.acquire(life):
                    loop.call_soon_threadsafe(leading.set)
                    self.lease.hold(life)
            except BaseException as caught:  # noqa: BLE001  handed to the one that waits
                error = caught
            loop.call_soon_threadsafe(_finish, released, error)
            life.wait()

        self.supervisor.thread("lease", hold, restartable=False)
        led = asyncio.ensure_future(leading.wait())
        receiving: asyncio.Future[None] | None = None
        try:
            await asyncio.wait({led, released}, return_when=asyncio.FIRST_COMPLETED)
            if leading.is_set() and not released.done():
                receiving = self._work()
            # Waited for so that a cancellation does not reach it: the thread still has the Lease to hand back.
            await asyncio.wait({released})
            released.result()
        finally:
            self._stop.set()
            self.supervisor.stop()
            for waiting in (led, receiving):
                if waiting is not None:
                    waiting.cancel()
            if leading.is_set():
                # Long enough to hand the Lease back, so the next leader need not wait for it to run out.
                await asyncio.wait({released}, timeout=2.0)
            self.metrics.leader.set(0)
            self.engines.close()

    def _work(self) -> asyncio.Future[None] | None:
        """Begin what a leader does; the receiver of denied attempts, if there is one."""
        supervisor, folder = self.supervisor, self.certificate_folder
        self.metrics.leader.set(1)
        # Two of one of these would write against each other, so a process in which one hangs ends.
        supervisor.thread("worker", self.worker.run, restartable=False)
        supervisor.thread("attempts", self.ledger.run, restartable=False)
        if self.registration is not None:
            supervisor.thread("registration", self.registration.run, restartable=False)
        supervisor.thread("kinds", self._watch)
        if folder is None:
            return None
        return asyncio.ensure_future(supervisor.keep("receiver", lambda life: self._receive_attempts(folder, life)))

    async def _receive_attempts(self, folder: Path, life: Life) -> None:
        options = self.options
        await receive(
            self.ledger, folder, options.attempts_host, options.attempts_port, self._receiver, self.supervisor, life
        )

    def _receive(self, change: ObjectChange) -> None:
        if change.kind is NAMESPACE and not change.deleted:
            metadata = mapping(change.raw.get("metadata"))
            dying = bool(metadata.get("deletionTimestamp"))
            self.ledger.namespace(text(metadata.get("name")), text(metadata.get("uid")), dying=dying)
        self.worker.receive(change)

    def _watch(self, life: Life) -> None:
        """Begin to follow changes once there was a sweep: it reads everything, and they go on from what it read."""
        while not self.worker.swept.is_set():
            if life.wait(0.2):
                return
        if not self._following:
            self._following = True
            self._kopf = self.supervisor.thread("kopf", self.kopf.run)
            watches = self.changes.watches
            self.metrics.watching.follow(watches.kinds, watches.seconds_since_contact)
            watches.start()
        life.wait()

    def _installed(self) -> None:
        """Our own kinds have come: kopf looks only once what there is."""
        if self._kopf is not None:
            self.supervisor.restart(self._kopf, "our own kinds were installed")

    def _watched(self) -> tuple[Kind, ...]:
        """What is watched: all that is audited or looked up, installed or not (CRDs come later)."""
        catalogue = self.cluster.catalogue
        return tuple(
            dict.fromkeys((*catalogue.audited_kinds, *catalogue.world_kinds, NAMESPACE, AUDIT_POLICY, IOC_WAIVER))
        )


def _finish(result: asyncio.Future[None], error: BaseException | None) -> None:
    if result.done():
        return
    if error is None:
        result.set_result(None)
    else:
        result.set_exception(error)


async def _serve(options: OperatorOptions, supervisor: Supervisor) -> None:
    operator = Operator(options, installed_catalogue(), supervisor)
    drain = Drain(operator.readiness, grace=0.0, finish=2.0)
    drain.on_signals()
    supervisor.pulse("drain", drain.progress_at, silence=_LONGEST_END, at_once=True)
    supervisor.start()
    await serve(
        [
            ListenerSpec.plain(
                "health", health_app(operator.readiness, supervisor.reason), options.health_host, options.health_port
            ),
            ListenerSpec.plain("metrics", metrics_app(operator.registry), options.metrics_host, options.metrics_port),
        ],
        drain,
        metrics=operator.connections,
        background=[operator.lead, supervisor.failed, supervisor.keep_loop],
        supervisor=supervisor,
    )


def main(options: OperatorOptions) -> None:
    """Run the operator until SIGTERM or SIGINT. Raises an IocauditError when it cannot go on."""
    configure_logging(options.log_level.upper())
    keep_large_blocks_apart()
    supervisor = Supervisor(exit_within=_LONGEST_END)
    try:
        run(_serve(options, supervisor))
    finally:
        supervisor.close()
