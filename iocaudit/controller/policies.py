"""The AuditPolicies of the cluster: the usable ones in force, and what each one's status says."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from iocaudit.cluster.client import Client
from iocaudit.cluster.errors import ApiError
from iocaudit.controller.policy_conditions import MATCHES, Condition, accepted, conflict, matched, of_policy
from iocaudit.core.moments import rfc3339
from iocaudit.core.shape import Json, mapping, mappings, text
from iocaudit.core.wording import clip
from iocaudit.engine.catalogue import Catalogue
from iocaudit.engine.enforcement import enforcement
from iocaudit.engine.places import Place
from iocaudit.engine.policy import PolicySet
from iocaudit.live.policies import PolicyStore
from iocaudit.records.kinds import AUDIT_POLICY

_log = logging.getLogger(__name__)


class Policies:
    """The policies in force, and the statuses written of them."""

    def __init__(self, catalogue: Catalogue, profile: str = "default") -> None:
        self._store = PolicyStore(catalogue, profile, log=_log)
        self._raw: dict[str, Json] = {}
        self._enforcement: tuple[PolicySet, str] | None = None
        self._conflicts: Mapping[str, tuple[str, ...]] = {}

    @property
    def current(self) -> PolicySet:
        """Those in force."""
        return self._store.current

    @property
    def enforcement(self) -> str:
        """Where those in force deny anything, in one line."""
        policies = self.current
        if self._enforcement is None or self._enforcement[0] is not policies:
            self._enforcement = (policies, enforcement(policies))
        return self._enforcement[1]

    @property
    def refused(self) -> Mapping[str, str]:
        """By name, why one is not usable now."""
        return self._store.refused

    def load(self, raws: list[Json]) -> bool:
        """Take these as all policies; whether what is in force changed."""
        self._raw = {text(mapping(raw.get("metadata")).get("name")): raw for raw in raws}
        return self._store.replace(raws)

    def in_force(self, namespace: str | None, labels: Mapping[str, Any]) -> list[str]:
        """The names of the policies that apply in a namespace, in the order they are asked."""
        return [policy.name for policy in self.current.policies if policy.matches(namespace, labels)]

    def conditions(self, name: str, namespaces: Sequence[Place] | None = None) -> list[Condition]:
        """What a policy's status has to say. ``namespaces`` are those that there are; None while nobody knows."""
        policy = self._store.get(name)
        found = [accepted(self.refused.get(name), policy), conflict(self._conflicts.get(name, ()))]
        return found if policy is None else [*found, *of_policy(policy, self.current, namespaces)]

    def write_status(
        self, client: Client, namespaces: Sequence[Place] | None = None, now: datetime | None = None
    ) -> int:
        """Write the status of each policy whose status says something else; returns how many.

        ``namespaces`` are those that there are; None while nobody knows.
        """
        written = 0
        moment = rfc3339(now or datetime.now(UTC))
        self._conflicts = self.current.conflicts
        for name, raw in sorted(self._raw.items()):
            status = self._status(name, raw, moment, namespaces)
            if status == mapping(raw.get("status")):
                continue
            try:
                after = client.patch(AUDIT_POLICY, None, name, {"status": status}, subresource="status")
            except ApiError as error:
                _log.warning("could not write a policy's status: %s", error, extra={"policy": name})
                continue
            self._raw[name] = after
            written += 1
        return written

    def _status(self, name: str, raw: Json, moment: str, namespaces: Sequence[Place] | None) -> Json:
        generation = mapping(raw.get("metadata")).get("generation", 0)
        before = {
            text(condition.get("type")): condition
            for condition in mappings(mapping(raw.get("status")).get("conditions"))
        }
        conditions = []
        for condition in self.conditions(name, namespaces):
            status = "True" if condition.status else "False"
            known = before.get(condition.type, {})
            same = known.get("status") == status
            conditions.append(
                {
                    "type": condition.type,
                    "status": status,
                    "reason": condition.reason,
                    "message": clip(condition.message, 2048),
                    "observedGeneration": generation,
                    "lastTransitionTime": known.get("lastTransitionTime", moment) if same else moment,
                }
            )
        policy, count = self._store.get(name), mapping(raw.get("status")).get("namespaces")
        if namespaces is None:  # what was known before this process began stays said until it knows better
            conditions += [dict(before[kind]) for kind in (MATCHES,) if kind in before]
        else:
            count = matched(policy, namespaces) if policy is not None else 0
        known = {} if count is None else {"namespaces": count}
        return {"observedGeneration": generation, **known, "conditions": conditions}
