"""What a live cluster judges by, read-only: its AuditPolicies and IocWaivers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from iocaudit.cluster.client import Client
from iocaudit.cluster.errors import ForbiddenError, NotFoundError
from iocaudit.core.errors import IocauditError
from iocaudit.core.kinds import NAMESPACE
from iocaudit.core.kinds.ours import AUDIT_POLICY, IOC_WAIVER
from iocaudit.core.shape import Json, mapping, text
from iocaudit.core.wording import several
from iocaudit.engine.catalogue import Catalogue
from iocaudit.engine.policy import PolicySet
from iocaudit.engine.waivers import LONGEST, Waiver, Waivers, WaiverState
from iocaudit.live.policies import PolicyStore
from iocaudit.live.waivers import WaiverStore

_NAMED = 5
"""How many objects a note names."""


@dataclass(slots=True)
class Judgement:
    """What to judge by, what of it is to be said, and what could not be read."""

    policies: PolicySet
    waivers: Waivers
    notes: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)


def read_policy_set(
    catalogue: Catalogue,
    profile: str,
    namespace: str | None,
    *,
    context: str | None = None,
    kubeconfig: Path | None = None,
) -> tuple[PolicySet, Mapping[str, Any], Mapping[str, str]]:
    """The usable policies, the namespace's labels (none for None), and why each of the others is refused, by name.

    Raises ApiError where they may not be read, IocauditError where the namespace or our own kinds are not there.
    """
    client = Client.connect(kubeconfig, context)
    labels: Mapping[str, Any] = {}
    if namespace is not None:
        try:
            labels = mapping(mapping(client.get(NAMESPACE, None, namespace).get("metadata")).get("labels"))
        except NotFoundError:
            raise IocauditError(f"there is no namespace {namespace!r} in the cluster") from None
    try:
        raws, _ = client.list_all(AUDIT_POLICY)
    except NotFoundError:
        raise IocauditError("the cluster has no AuditPolicies: iocaudit is not installed in it") from None
    store = PolicyStore(catalogue, profile)
    store.replace(raws)
    return store.current, labels, store.refused


def read_judgement(client: Client, catalogue: Catalogue, profile: str, now: datetime) -> Judgement:
    """What the operator judges by, and the built-in default where that is not there or may not be read.

    Raises ApiError where the API server answers anything else: a default in its place would be an accident.
    """
    found = Judgement(PolicySet(catalogue, (), profile), Waivers())
    try:
        raws, _ = client.list_all(AUDIT_POLICY)
    except NotFoundError:
        found.notes.append("the cluster is judged by the built-in default: iocaudit is not installed in it")
        return found
    except ForbiddenError as error:
        found.unread.append(f"the cluster's AuditPolicies may not be read, the built-in default is taken: {error}")
    else:
        store = PolicyStore(catalogue, profile)
        store.replace(raws)
        found.policies = store.current
        names = [policy.name for policy in found.policies.policies]
        by = f"its AuditPolicies: {several(names, _NAMED)}" if names else "the built-in default: it has no AuditPolicy"
        found.notes.append(f"the cluster is judged by {by}")
        found.notes += [
            f"{line} (a running operator keeps its last good state)"
            for _, why in sorted(store.refused.items())
            for line in why.splitlines()
        ]
    try:
        raws, _ = client.list_all(IOC_WAIVER)
    except NotFoundError:
        return found
    except ForbiddenError as error:
        found.notes.append(f"the cluster's IocWaivers may not be read, none is taken: {error}")
        return found
    waivers = WaiverStore(catalogue, longest=None, clock=lambda: now)
    waivers.replace(raws)
    holding: list[Waiver] = []
    for raw in raws:
        name = text(mapping(raw.get("metadata")).get("name"))
        waiver = waivers.get(name)
        if waiver is None:
            found.notes += waivers.refused[name].splitlines()
        elif reason := _refusal(waiver, raw):
            found.notes.append(f"waiver {name}: {reason}")
        elif any(map(catalogue.find, waiver.checks)):
            holding.append(waiver)
    # Whether it may hold so long was decided one by one: the operator's maximum is not known here.
    found.waivers = Waivers(holding, longest=None)
    return found


def _refusal(waiver: Waiver, raw: Json) -> str:
    """Why a waiver holds nowhere as the operator has it; nothing where it may hold.

    What the operator said of this very generation counts: it knows the maximum that it was started with. Of one that
    it has not seen yet, the usual maximum is asked.
    """
    metadata, status = mapping(raw.get("metadata")), mapping(raw.get("status"))
    if status.get("state") and status.get("observedGeneration") == metadata.get("generation"):
        refused = status.get("state") == WaiverState.REFUSED
        return f"refused by the operator: {text(status.get('message'))}" if refused else ""
    return waiver.refusal(LONGEST) or ""
