"""Run the receivers: the write-ahead file first, ready once it can store, drain on SIGTERM.

Failure mode: nothing is acknowledged that is not on the disk. Where the disk or the file is full, senders hear 503.
Where the operator is away, what was seen is counted and kept until it is there. Where the API server is away, signals
of Falco are attributed by the pods that were known last; before the first list they are not attributed at all.
"""

from __future__ import annotations

import logging
import os
import re
import socket
import sys
from functools import partial

from prometheus_client import CollectorRegistry

from iocaudit.cluster.client import Client
from iocaudit.cluster.watch import Watches
from iocaudit.core.kinds import POD
from iocaudit.core.world import World
from iocaudit.detecting.objects import RecordedObjects
from iocaudit.engine.audit import Auditor
from iocaudit.engine.catalogue import installed_catalogue
from iocaudit.engine.policy_reader import read_policies
from iocaudit.evidence.reporter import OperatorConnection, Reporter, ReporterMetrics
from iocaudit.incidents.evidence_store import EvidenceStore
from iocaudit.receivers.app import receiver_app
from iocaudit.receivers.health import DetectorHealth
from iocaudit.receivers.incident_desk import IncidentDesk
from iocaudit.receivers.incident_outbox import IncidentOutbox
from iocaudit.receivers.intake import Intake
from iocaudit.receivers.journal import Journal
from iocaudit.receivers.log_follower import LogFollower
from iocaudit.receivers.metrics import SignalMetrics
from iocaudit.receivers.options import ReceiverOptions
from iocaudit.receivers.outbox import PODS, Outbox
from iocaudit.receivers.pod_index import PodIndex, PodsFormatError
from iocaudit.receivers.reader import SignalReader
from iocaudit.receivers.sender_file import SenderFile
from iocaudit.serving.certificate_source import CertificateSource
from iocaudit.serving.drain import Drain
from iocaudit.serving.garbage import settle
from iocaudit.serving.health import Readiness, health_app
from iocaudit.serving.heap import keep_large_blocks_apart
from iocaudit.serving.listener import ListenerSpec, run, serve
from iocaudit.serving.logs import configure_logging
from iocaudit.serving.metrics import (
    CertificateMetrics,
    ConnectionMetrics,
    LimitMetrics,
    PartCollector,
    WatchMetrics,
    metrics_app,
    new_registry,
)
from iocaudit.supervision.supervisor import Supervisor

_log = logging.getLogger(__name__)

_LONGEST_END = 30.0
_SWITCH_SECONDS = 0.0005
_TOLD_EVERY = 0.25
"""Seconds between two looks for incidents that are to be posted."""
_NO_WORLD = "the receivers know no other objects"


def main(options: ReceiverOptions) -> None:
    """Serve until told to stop. Raises our own errors for what cannot be used at start."""
    configure_logging()
    # Signals are read in a thread: the event loop, which answers senders, gets its turn this much later at most.
    sys.setswitchinterval(_SWITCH_SECONDS)
    keep_large_blocks_apart()
    supervisor = Supervisor(exit_within=options.drain_seconds + _LONGEST_END)
    senders = SenderFile(options.senders)
    journal = Journal(options.data, most_bytes=options.most_bytes)
    evidence = EvidenceStore(options.data)
    try:
        run(_serve(options, supervisor, senders, journal, evidence))
    finally:
        supervisor.close()
        journal.close()
        evidence.close()


async def _serve(
    options: ReceiverOptions, supervisor: Supervisor, senders: SenderFile, journal: Journal, evidence: EvidenceStore
) -> None:
    registry = new_registry("receivers")
    metrics, posts = SignalMetrics(registry), ReporterMetrics(registry, "iocaudit_receiver_sightings", "Sightings")
    host = re.sub(r"[^A-Za-z0-9.-]", "-", os.environ.get("POD_NAME") or socket.gethostname())
    outbox = Outbox(journal, host, overflowed=posts.overflowed.inc)
    incidents = IncidentOutbox(host)
    pods = _known_pods(journal)
    client = Client.connect(options.kubeconfig, options.context)
    intake = Intake(journal)
    health = DetectorHealth(journal, outbox, lambda: senders.senders, follows_log=options.audit_log is not None)
    reader = SignalReader(
        journal,
        outbox,
        lambda: senders.senders,
        pods,
        metrics,
        recorded_objects(),
        IncidentDesk(journal, incidents, metrics, evidence),
        health=health,
        is_storing=lambda: intake.is_busy,
    )
    intake.stored = reader.wake
    readiness = Readiness(["room"], sticky=False)
    drain = Drain(readiness, grace=options.drain_seconds)
    drain.on_signals()
    certificates = CertificateMetrics(registry)
    source = CertificateSource.from_folder(options.certificates, client_ca=options.client_ca, metrics=certificates)
    reporter = Reporter(outbox, OperatorConnection(options.operator_url, source).send, posts, what="sightings")
    told = ReporterMetrics(registry, "iocaudit_receiver_incidents", "Incidents")
    connection = OperatorConnection(options.operator_url, source)
    teller = Reporter(incidents, connection.send, told, what="incidents", interval=_TOLD_EVERY)
    registry.register(PartCollector(supervisor))
    _watch_pods(client, pods, supervisor, registry)
    supervisor.pulse("drain", drain.progress_at, silence=options.drain_seconds + _LONGEST_END, at_once=True)
    supervisor.start()
    storing = supervisor.thread("intake", intake.run, restartable=False)
    supervisor.thread("reader", reader.run, restartable=False)
    if options.audit_log is not None:
        follower = LogFollower(options.audit_log, journal, reader.wake, metrics.faults.inc, lost=health.drops.lost)
        supervisor.thread("audit log", follower.run, restartable=False)
    supervisor.on_look(lambda: readiness.set("room", journal.has_room, "the write-ahead file is full"))
    limits = LimitMetrics(registry)

    def rejected(reason: str) -> None:
        limits(reason)
        health.drops.rejected(reason)

    app = receiver_app(lambda: senders.senders, intake, metrics, rejected, health.senders.heard, health.drops.refused)
    listens = [
        ListenerSpec.plain("health", health_app(readiness, supervisor.reason), options.host, options.health_port),
        ListenerSpec.plain("metrics", metrics_app(registry), options.host, options.metrics_port),
    ]
    if options.client_ca is not None:
        listens.append(ListenerSpec("signals", app, options.host, options.port, source))
    if options.token_port is not None:
        bearer = CertificateSource.from_folder(options.certificates, name="tokens", metrics=certificates)
        listens.append(ListenerSpec("tokens", app, options.host, options.token_port, bearer))
    settle()
    try:
        await serve(
            listens,
            drain,
            metrics=ConnectionMetrics(registry),
            background=[
                supervisor.failed,
                supervisor.keep_loop,
                partial(supervisor.keep, "reporter", reporter.run),
                partial(supervisor.keep, "incidents", teller.run),
                partial(supervisor.keep, "senders", senders.watch),
            ],
            supervisor=supervisor,
        )
    finally:
        supervisor.stop()
        if storing.life is not None and storing.life.thread is not None:
            # What is still in its hands is stored, or its sender hears nothing and sends it again.
            storing.life.thread.join(_LONGEST_END / 2)
        health.sign_off()


def _known_pods(journal: Journal) -> PodIndex:
    pods, kept = PodIndex(), journal.facts().get(PODS)
    try:
        if kept is not None:
            pods.load(kept)
    except PodsFormatError as error:
        _log.error("%s", error)
    return pods


def recorded_objects() -> RecordedObjects:
    """Judges the objects in audit events by the built-in checks, which know no other objects here."""
    catalogue = installed_catalogue()
    world = World()
    for kind in catalogue.admission_world_kinds:
        world.mark_incomplete(kind, _NO_WORLD)
    return RecordedObjects(Auditor(catalogue, read_policies([], catalogue), world))


def _watch_pods(client: Client, pods: PodIndex, supervisor: Supervisor, registry: CollectorRegistry) -> None:
    watching = WatchMetrics(registry)
    watches = Watches(client, [POD], pods.sink(), supervisor, watching.failed)
    watching.follow(watches.kinds, watches.seconds_since_contact)
    watches.start()
