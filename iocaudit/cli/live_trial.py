"""A policy tried on a live cluster, read-only: in place of its own of the same name, beside all others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from iocaudit.cli.live import load_kinds
from iocaudit.cli.live_part import ClusterPart
from iocaudit.cli.live_policies import read_judgement
from iocaudit.cluster.client import Client
from iocaudit.cluster.discovery import discover
from iocaudit.cluster.errors import ApiError, NotFoundError
from iocaudit.core.kinds import CONNECTIONS, NAMESPACE, POD
from iocaudit.core.request import Request
from iocaudit.core.resource import CLUSTER, Resource
from iocaudit.core.world import World
from iocaudit.engine.audit import Auditor
from iocaudit.engine.catalogue import Catalogue
from iocaudit.engine.waivers import Waivers
from iocaudit.impact.trial import ANYBODY, Trial
from iocaudit.knowledge.pods.places import forget_pods
from iocaudit.scanning.policy_files import PolicyDocument, make_policies, make_waivers
from iocaudit.scanning.rules import RunRules


@dataclass(slots=True)
class LiveTrial:
    """``not_read`` is what could not be read, and why.

    ``auditor`` judges by all policies that would be in force, in the world of the cluster, which ``client`` asks.
    """

    trial: Trial
    auditor: Auditor
    client: Client
    notes: list[str] = field(default_factory=list)
    not_read: list[str] = field(default_factory=list)


def try_cluster(
    read: Callable[[Catalogue], Sequence[PolicyDocument]],
    catalogue: Catalogue,
    profile: str,
    namespace: str | None,
    *,
    context: str | None = None,
    kubeconfig: Path | None = None,
    request: Request | None = None,
    rules: RunRules | None = None,
) -> LiveTrial:
    """Try policies (and waivers) on the objects of a namespace, or on all. Raises PolicyError and ApiError.

    ``read`` reads them, which may name every rule that the cluster has. ``request`` says who would make the objects;
    None: someone whom no policy names.
    """
    client = Client.connect(kubeconfig, context)
    now = datetime.now(UTC)
    before = read_judgement(client, catalogue, profile, now, rules)
    known = before.policies.catalogue
    documents = read(known)
    policies = before.policies.beside(make_policies(documents, known, profile).policies)
    catalogue = policies.catalogue
    given = make_waivers(documents, catalogue, now) or Waivers()
    waivers = Waivers((*before.waivers.all, *given.all), longest=None)
    served = discover(client)
    world = World(own_namespace=before.own_namespace)
    world.install(served.groups)
    load_kinds(client, (NAMESPACE, *catalogue.admission_world_kinds), world, served)
    answers = rules.begin(catalogue) if rules is not None else None
    auditor = Auditor(catalogue, policies, world, waivers.acceptor(lambda: now), answers)
    trial = Trial(auditor, request or ANYBODY)
    tried = LiveTrial(trial, auditor, client, before.notes, before.unread)
    # Pods last: they are judged by their owners.
    part = ClusterPart(namespace)
    kinds = sorted(trial.kinds - {*CONNECTIONS}, key=lambda kind: (kind is POD, kind.group, kind.name))
    for kind in served.present(kinds):
        if not part.has(kind):
            continue
        try:
            for raw in part.objects(client, kind):
                resource = Resource(raw, CLUSTER, kind=kind)
                trial.take(resource)
                forget_pods(resource)
        except ApiError as error:
            if isinstance(error, NotFoundError) and not served.only_as(kind):
                continue
            tried.not_read.append(f"{kind.plural} were not tried: {error}")
    trial.conclude()
    return tried
