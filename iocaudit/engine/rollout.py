"""A policy that is put in force by stages: what ``spec.rollout`` asks for, and how far its status says it has come.

The stage stands in the status, which the operator alone writes; the spec is never written. What cannot be read there,
or belongs to another spec, counts as nothing: then no namespace is promoted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from datetime import timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Any, NamedTuple

from iocaudit.core.identity import fingerprint, preimage
from iocaudit.core.namespaces import SYSTEM_NAMESPACES
from iocaudit.core.request import Request, service_account_of
from iocaudit.core.shape import integer, mapping, mappings, text
from iocaudit.engine.presets import Mode

WHOLE = 10_000
"""Where a namespace stands in the order of a policy is a number below this."""
LONGEST = timedelta(days=365)
CLUSTER_SCOPE = ""
"""What stands for cluster scope where namespaces are named."""
KUBE_SYSTEM = SYSTEM_NAMESPACES[0]
_DURATION = re.compile(r"([1-9][0-9]{0,7})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_SHARE = re.compile(r"([1-9][0-9]?|100)%")
_MANAGER = "system:kube-controller-manager"


class RolloutStage(StrEnum):
    """How far a rollout is."""

    COUNTING = "Counting"
    """No namespace is promoted: what would be denied is counted."""
    FIRST = "First"
    """The first share of the namespaces is promoted."""
    PROMOTED = "Promoted"
    """All are, but for those that are held."""


class RolloutState(StrEnum):
    """How a policy under rollout counts in one place."""

    FROM = "from"
    TO = "to"
    BACK = "back"
    """It was promoted and taken back: what preset guard denies is denied still."""


class Rollout(NamedTuple):
    """What ``spec.rollout`` asks for.

    No hit gets a stricter mode than ``start`` before the promotion, and none than ``end`` after it. ``first`` is the
    share of the namespaces that is promoted first, of WHOLE. ``protect`` are the namespaces whose controllers force a
    step back, beside kube-system. ``fingerprint`` is that of the whole spec: another spec is another rollout.
    """

    start: Mode
    end: Mode
    after: timedelta
    first: int = WHOLE
    protect: tuple[str, ...] = ()
    fingerprint: str = ""

    @property
    def by_shares(self) -> bool:
        """Whether some namespaces are promoted before the others."""
        return self.first < WHOLE


class RolloutProgress(NamedTuple):
    """Where a rollout is promoted: below ``cut`` in the order of its namespaces, or ``everywhere``, cluster scope
    with it; not in those that are ``held``, and no more in those that were taken ``back``.
    """

    cut: int = 0
    everywhere: bool = False
    held: frozenset[str] = frozenset()
    back: frozenset[str] = frozenset()

    def standing(self, policy: str, namespace: str | None) -> RolloutState:
        """How the policy counts in a namespace (None: in cluster scope)."""
        name = CLUSTER_SCOPE if namespace is None else namespace
        if name in self.back:
            return RolloutState.BACK
        if name in self.held or not self.reaches(policy, namespace):
            return RolloutState.FROM
        return RolloutState.TO

    def reaches(self, policy: str, namespace: str | None) -> bool:
        """Whether a namespace is promoted unless it is held."""
        if self.everywhere:
            return True
        return self.cut > 0 and namespace is not None and order_of(policy, namespace) < self.cut

    @property
    def standings(self) -> tuple[RolloutState, ...]:
        """Every way in which the policy counts in some namespace."""
        found = [RolloutState.TO] if self.everywhere or self.cut else []
        if self.back:
            found.append(RolloutState.BACK)
        if self.held or not self.everywhere:
            found.append(RolloutState.FROM)
        return tuple(found)


NOWHERE = RolloutProgress()
EVERYWHERE = RolloutProgress(WHOLE, True)


@lru_cache(maxsize=65_536)
def order_of(policy: str, namespace: str) -> int:
    """Where a namespace stands in the order in which a policy is rolled out, below WHOLE.

    By both names alone: anyone who makes a namespace can choose its place by the name, and by nothing else.
    """
    from hashlib import sha256  # late: it loads OpenSSL, and few scans ask

    digest = sha256(preimage("rollout-order", policy, namespace)).digest()
    return int.from_bytes(digest[:8], "big") * WHOLE >> 64


def progress_in(status: Any, wanted: str) -> RolloutProgress:
    """How far the status of a policy says that the rollout of this fingerprint has come."""
    found = mapping(mapping(status).get("rollout"))
    if not wanted or text(found.get("fingerprint")) != wanted:
        return NOWHERE
    stage = text(found.get("stage"))
    if stage not in (RolloutStage.FIRST, RolloutStage.PROMOTED):
        return NOWHERE
    everywhere = stage == RolloutStage.PROMOTED
    cut = WHOLE if everywhere else max(0, min(WHOLE, integer(found.get("cut")) or 0))
    holds = mappings(found.get("holds"))
    back = frozenset(text(one.get("namespace")) for one in holds if one.get("steppedBack"))
    return RolloutProgress(cut, everywhere, frozenset(text(one.get("namespace")) for one in holds) - back, back)


def relevant(progress: RolloutProgress, policy: str) -> RolloutProgress:
    """The same without holds in namespaces that are not promoted anyway: two that are equal judge alike."""
    held = (name for name in progress.held if progress.reaches(policy, name or None))
    return progress._replace(held=frozenset(held))


def fingerprint_of(spec: Mapping[str, Any]) -> str:
    """What tells a rollout from that of another spec: what was changed has not been tried."""
    return fingerprint("rollout", json.dumps(spec, sort_keys=True, separators=(",", ":"), default=str))


def parse_after(given: str) -> timedelta | None:
    """A time such as ``90s``, ``30m``, ``12h`` or ``7d``, up to LONGEST; None where the text is not one."""
    match = _DURATION.fullmatch(given)
    found = timedelta(**{_UNITS[match[2]]: int(match[1])}) if match is not None else None
    return found if found is not None and found <= LONGEST else None


def parse_share(given: str) -> int | None:
    """A share such as ``10%``, of WHOLE; None where the text is not one."""
    match = _SHARE.fullmatch(given)
    return int(match[1]) * WHOLE // 100 if match is not None else None


def forces_step_back(request: Request, namespace: str | None, protect: Iterable[str]) -> bool:
    """Whether a denial of this request in a namespace may force a step back there.

    It may where a ServiceAccount of kube-system, or of a namespace in ``protect``, asks. The cluster's own controllers
    do what anybody writes into a template, a claim or a budget: their requests count only in those namespaces
    themselves. Nobody but the API server writes the group, and names are compared part by part.
    """
    if namespace is None:
        return False
    homes = {KUBE_SYSTEM, *protect}
    if request.username == _MANAGER:
        return namespace in homes
    home, name = service_account_of(request.username) or ("", "")
    if not name or home not in homes or f"system:serviceaccounts:{home}" not in request.groups:
        return False
    return namespace in homes or not (home == KUBE_SYSTEM and name in _OF_THE_CLUSTER)


_OF_THE_CLUSTER = frozenset(
    f"{name}-controller"
    for name in (
        "attachdetach",
        "certificate",
        "clusterrole-aggregation",
        "cronjob",
        "daemon-set",
        "deployment",
        "device-taint-eviction",
        "disruption",
        "endpoint",
        "endpointslice",
        "endpointslicemirroring",
        "ephemeral-volume",
        "expand",
        "job",
        "namespace",
        "node",
        "pv-protection",
        "pvc-protection",
        "replicaset",
        "replication",
        "resource-claim",
        "resourcequota",
        "route",
        "selinux-warning",
        "service-account",
        "service-cidrs",
        "service",
        "statefulset",
        "storage-version-migrator",
        "ttl-after-finished",
        "ttl",
        "validatingadmissionpolicy-status",
        "volumeattributesclass-protection",
    )
) | {
    "bootstrap-signer",
    "cloud-provider",
    "generic-garbage-collector",
    "horizontal-pod-autoscaler",
    "kube-apiserver-serving-clustertrustbundle-publisher",
    "kube-controller-manager",
    "legacy-service-account-token-cleaner",
    "persistent-volume-binder",
    "pod-garbage-collector",
    "podcertificaterequestcleaner",
    "root-ca-cert-publisher",
    "token-cleaner",
}
"""The ServiceAccounts of the controllers that a cluster is made of, in kube-system.

Source: Kubernetes, the default bindings of roles ``system:controller:…``.
"""
