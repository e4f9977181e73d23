"""The AuditPolicies of the cluster: the usable ones in force, and what each one's status says."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from iocaudit.cluster.client import Client
from iocaudit.cluster.errors import ApiError
from iocaudit.core.moments import rfc3339
from iocaudit.core.shape import Json, mapping, mappings, text
from iocaudit.core.wording import clip
from iocaudit.engine.catalogue import Catalogue
from iocaudit.engine.policy import PolicySet
from iocaudit.live.policies import PolicyStore
from iocaudit.records.kinds import AUDIT_POLICY

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition of a policy's status, without its times."""

    type: str
    status: bool
    reason: str
    message: str


class Policies:
    """The policies in force, and the statuses written of them."""

    def __init__(self, catalogue: Catalogue, profile: str = "default") -> None:
        self._store = PolicyStore(catalogue, profile, log=_log)
        self._raw: dict[str, Json] = {}

    @property
    def current(self) -> PolicySet:
        """Those in force."""
        return self._store.current

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

    def conditions(self, name: str) -> list[Condition]:
        """What a policy's status has to say."""
        error = self.refused.get(name)
        policy = self._store.get(name)
        if error is not None:
            kept = "; its last good state stays in force" if policy else "; it is not in force"
            accepted = Condition("Accepted", False, "Invalid", error + kept)
        else:
            accepted = Condition("Accepted", True, "Valid", "in force")
        found = [accepted]
        others = self.current.conflicts.get(name, ())
        found.append(
            Condition(
                "Conflict",
                bool(others),
                "SamePriority" if others else "None",
                f"same priority as {', '.join(others)}, and both name a check in one place: "
                f"the first by name decides; give them different priorities"
                if others
                else "no policy of the same priority decides the same checks",
            )
        )
        if policy is not None and policy.selects_by_label:
            found.append(
                Condition(
                    "Warning",
                    True,
                    "SelectsByLabel",
                    "namespaceSelector uses labels other than kubernetes.io/metadata.name: whoever may edit a "
                    "namespace's labels chooses its policy",
                )
            )
        return found

    def write_status(self, client: Client, now: datetime | None = None) -> int:
        """Write the status of each policy whose status says something else; returns how many."""
        written = 0
        moment = rfc3339(now or datetime.now(UTC))
        for name, raw in sorted(self._raw.items()):
            status = self._status(name, raw, moment)
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

    def _status(self, name: str, raw: Json, moment: str) -> Json:
        generation = mapping(raw.get("metadata")).get("generation", 0)
        before = {
            text(condition.get("type")): condition
            for condition in mappings(mapping(raw.get("status")).get("conditions"))
        }
        conditions = []
        for condition in self.conditions(name):
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
        return {"observedGeneration": generation, "conditions": conditions}
