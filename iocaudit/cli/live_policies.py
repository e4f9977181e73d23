"""What a live cluster judges by, read-only: its AuditPolicies and IocWaivers, and its ConfigMaps with rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iocaudit.cli.live_rules import ClusterRules, read_cluster_rules
from iocaudit.cli.policy_question import KnownPolicies
from iocaudit.cluster.api import Api
from iocaudit.cluster.client import Client
from iocaudit.cluster.errors import ForbiddenError, NotFoundError
from iocaudit.core import own_names
from iocaudit.core.errors import IocauditError
from iocaudit.core.kinds import NAMESPACE
from iocaudit.core.kinds.ours import AUDIT_POLICY, IOC_WAIVER
from iocaudit.core.shape import Json, mapping, text
from iocaudit.core.wording import several
from iocaudit.engine.catalogue import Catalogue
from iocaudit.engine.policy_set import PolicySet
from iocaudit.engine.waivers import LONGEST, Waiver, Waivers, WaiverState
from iocaudit.live.policies import PolicyStore
from iocaudit.live.waivers import WaiverStore

if TYPE_CHECKING:
    from iocaudit.scanning.rules import RunRules

_NAMED = 5
"""How many objects a note names."""


@dataclass(slots=True)
class Judgement:
    """What to judge by, what of it is to be said, and what could not be read.

    ``catalogue`` has the checks that are asked for: with rules of ConfigMaps and of the policies. ``own_namespace`` is
    where iocaudit is installed.
    """

    policies: PolicySet
    waivers: Waivers
    catalogue: Catalogue
    notes: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    own_namespace: str = own_names.NAMESPACE
    knows_rules: bool = False
    """Whether all rules of the cluster were read."""


def read_policy_set(
    catalogue: Catalogue,
    profile: str,
    namespace: str | None,
    *,
    context: str | None = None,
    kubeconfig: Path | None = None,
    rules: RunRules,
) -> KnownPolicies:
    """The policies of a cluster with the rules that they and ConfigMaps bring along; ``namespace`` None: no labels.

    Raises ApiError where policies may not be read, IocauditError where the namespace or our own kinds are not there,
    EngineMissingError and EngineError where there are rules and what compiles them is not there.
    """
    client = Client.connect(kubeconfig, context)
    labels: Mapping[str, Any] = {}
    if namespace is not None:
        try:
            labels = mapping(mapping(client.get(NAMESPACE, None, namespace).get("metadata")).get("labels"))
        except NotFoundError as error:
            raise IocauditError(f"there is no namespace {namespace!r} in the cluster") from error
    try:
        raws, _ = client.list_all(AUDIT_POLICY)
    except NotFoundError as error:
        raise IocauditError("the cluster has no AuditPolicies: iocaudit is not installed in it") from error
    known = read_cluster_rules(client, catalogue, rules)
    store = PolicyStore(known.catalogue, profile, compile_rules=rules.compile)
    store.replace(raws)
    return KnownPolicies(store.current, labels, store.refused, known.notes, known.unread)


def read_judgement(
    client: Api,
    catalogue: Catalogue,
    profile: str,
    now: datetime,
    rules: RunRules | None = None,
    select: Callable[[Catalogue], Catalogue] = lambda known: known,
) -> Judgement:
    """What the operator judges by, and the built-in default where that is not there or may not be read.

    ``rules`` compile those that policies and ConfigMaps bring along; without them those of policies are taken as they
    are, and those of ConfigMaps left out. ``select`` says which checks are asked for, once all are known.
    Raises ApiError where the API server answers anything else: a default in its place would be an accident;
    EngineMissingError and EngineError where there are rules and what compiles them is not there.
    """
    found = Judgement(PolicySet(catalogue, (), profile), Waivers(), catalogue)
    raws: list[Json] | None = None
    try:
        raws, _ = client.list_all(AUDIT_POLICY)
    except NotFoundError:
        found.notes.append("the cluster is judged by the built-in default: iocaudit is not installed in it")
        found.catalogue = select(catalogue)
        return found
    except ForbiddenError as error:
        found.unread.append(f"cannot read the cluster's AuditPolicies, the built-in default is used: {error}")
    known = read_cluster_rules(client, catalogue, rules) if rules is not None else ClusterRules(catalogue)
    if raws is None:
        found.policies = PolicySet(known.catalogue, (), profile)
    else:
        store = PolicyStore(known.catalogue, profile, compile_rules=rules.compile if rules is not None else None)
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
    found.own_namespace = known.namespace
    found.knows_rules = rules is not None and not (found.unread or known.unread)
    found.notes += known.notes
    found.unread += known.unread
    whole = found.policies.catalogue
    found.catalogue = catalogue = select(whole)
    try:
        raws, _ = client.list_all(IOC_WAIVER)
    except NotFoundError:
        return found
    except ForbiddenError as error:
        found.notes.append(f"cannot read the cluster's IocWaivers, none is used: {error}")
        return found
    waivers = WaiverStore(whole, longest=None, clock=lambda: now)
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
