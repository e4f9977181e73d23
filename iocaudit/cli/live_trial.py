"""A policy tried on a live cluster, read-only: in place of its own of the same name, beside all others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from iocaudit.cli.live import load_kind
from iocaudit.cli.live_part import Part
from iocaudit.cli.live_policies import read_judgement
from iocaudit.cluster.client import Client
from iocaudit.cluster.discovery import discover
from iocaudit.cluster.errors import ApiError, NotFoundError
from iocaudit.core.kinds import CONNECTIONS, NAMESPACE, POD
from iocaudit.core.resource import CLUSTER, Resource
from iocaudit.core.world import World
from iocaudit.engine.audit import Auditor
from iocaudit.engine.catalogue import Catalogue
from iocaudit.engine.policy import PolicySet
from iocaudit.engine.waivers import Waivers
from iocaudit.impact.trial import Trial
from iocaudit.sources.policy_files import PolicyDocument, make_policies, make_waivers


@dataclass(slots=True)
class LiveTrial:
    """``policies`` are all that would be in force, ``not_read`` what could not be read, and why."""

    trial: Trial
    policies: PolicySet
    notes: list[str] = field(default_factory=list)
    not_read: list[str] = field(default_factory=list)


def try_cluster(
    documents: Sequence[PolicyDocument],
    catalogue: Catalogue,
    profile: str,
    namespace: str | None,
    *,
    context: str | None = None,
    kubeconfig: Path | None = None,
) -> LiveTrial:
    """Try policies (and waivers) on the objects of a namespace, or on all. Raises PolicyError and ApiError."""
    client = Client.connect(kubeconfig, context)
    now = datetime.now(UTC)
    before = read_judgement(client, catalogue, profile, now)
    policies = _beside(before.policies, make_policies(documents, catalogue, profile), catalogue, profile)
    given = make_waivers(documents, catalogue, now) or Waivers()
    waivers = Waivers((*before.waivers.all, *given.all), longest=None)
    served = discover(client)
    world = World()
    world.install(served.groups)
    for kind in served.present(dict.fromkeys((NAMESPACE, *catalogue.admission_world_kinds()))):
        load_kind(client, kind, world, served)
    trial = Trial(Auditor(catalogue, policies, world, waivers.acceptor(lambda: now)))
    tried = LiveTrial(trial, policies, before.notes, before.unread)
    # Pods last: they are judged by their owners.
    part = Part(namespace)
    kinds = sorted(trial.kinds - {*CONNECTIONS}, key=lambda kind: (kind is POD, kind.group, kind.name))
    for kind in served.present(kinds):
        if not part.has(kind):
            continue
        try:
            for raw in part.objects(client, kind):
                resource = Resource(raw, CLUSTER, kind=kind)
                trial.take(resource)
                resource.forget_pods()
        except ApiError as error:
            if isinstance(error, NotFoundError) and not served.only_as(kind):
                continue
            tried.not_read.append(f"{kind.plural} were not tried: {error}")
    trial.conclude()
    return tried


def _beside(before: PolicySet, new: PolicySet, catalogue: Catalogue, profile: str) -> PolicySet:
    """The cluster's policies with these in place of those of the same names."""
    names = {policy.name for policy in new.policies}
    kept = (policy for policy in before.policies if policy.name not in names)
    return PolicySet(catalogue, (*kept, *new.policies), profile)
