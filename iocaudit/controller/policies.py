"""The AuditPolicies of the cluster: the usable ones in force, and what each one's status says."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from iocaudit.cluster.api import Api
from iocaudit.cluster.errors import ApiError
from iocaudit.controller.policy_conditions import MATCHES, Condition, accepted, conflict, matched, of_policy
from iocaudit.controller.rule_conditions import of_rules
from iocaudit.controller.rule_events import tell_of_module
from iocaudit.controller.rule_states import rule_states
from iocaudit.core.kinds import CONFIG_MAP, Kind
from iocaudit.core.moments import rfc3339
from iocaudit.core.shape import Json, mapping, mappings, text
from iocaudit.engine.catalogue import Catalogue
from iocaudit.engine.enforcement import enforcement
from iocaudit.engine.places import LabelledNamespace
from iocaudit.engine.policy_set import PolicySet
from iocaudit.knowledge.clipping import clip
from iocaudit.live.engines import Engines
from iocaudit.live.modules import ModuleProblem
from iocaudit.live.rulebook import Rulebook
from iocaudit.records.kinds import AUDIT_POLICY
from iocaudit.signals.detector_health import HEALTH_RULES
from iocaudit.signals.indicators.catalogue import find_detection

_log = logging.getLogger(__name__)


class Policies:
    """The policies in force, and the statuses written of them."""

    def __init__(self, catalogue: Catalogue, profile: str = "default", engines: Engines | None = None) -> None:
        """``engines`` evaluate the rules that policies and ConfigMaps bring along; without them such are refused."""
        self.engines = engines if engines is not None else Engines({})
        self._book = Rulebook(catalogue, self.engines, profile, log=_log)
        self._events: frozenset[ModuleProblem] = frozenset()
        self._raw: dict[str, Json] = {}
        self._enforcement: tuple[PolicySet, str] | None = None
        self.lacking: Mapping[Kind, str] = {}
        """Why kinds that only rules look up are not known."""
        self.places: Mapping[str, tuple[str, ...]] = {}
        """The namespaces in which each policy under rollout applies; none is there while they are not known."""

    @property
    def current(self) -> PolicySet:
        """Those in force."""
        return self._book.current

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
        return self._book.refused

    @property
    def problems(self) -> Sequence[ModuleProblem]:
        """What is wrong with the ConfigMaps that hold modules."""
        return self._book.problems

    @property
    def rule_states(self) -> list[Json]:
        """What the cluster's report says of the rules in ConfigMaps."""
        return rule_states(self._book, self.engines)

    @property
    def is_unsure(self) -> bool:
        """Whether rules could not be compiled or loaded, and it is worth another try."""
        return self._book.is_unsure

    def title_of(self, name: str) -> str:
        """The title of a check, a rule, or what is seen at run time; its id where it is not known."""
        found = self.current.catalogue.find(name) or find_detection(name) or HEALTH_RULES.get(name)
        return found.title if found is not None else name

    def load(self, raws: list[Json], modules: list[Json] | None = None) -> bool:
        """Take these as all policies, and as all ConfigMaps with modules; whether what is in force changed."""
        self._raw = {text(mapping(raw.get("metadata")).get("name")): raw for raw in raws}
        if modules is not None:
            self._book.replace(CONFIG_MAP, modules)
        self._book.replace(AUDIT_POLICY, raws)
        return self._book.settle()

    def try_again(self) -> bool:
        """Compile and load again what could not be; whether what is in force changed."""
        self._book.try_again()
        return self._book.settle()

    def tell_of_modules(self, client: Api, namespace: str) -> None:
        """Make an Event for each new problem of a ConfigMap that holds modules."""
        problems = frozenset(self.problems)
        for problem in sorted(problems - self._events):
            tell_of_module(client, namespace, problem)
        self._events = problems

    def raw(self, name: str) -> Json | None:
        """A policy as it was last seen; None where there is none."""
        return self._raw.get(name)

    def in_force(self, namespace: str | None, labels: Mapping[str, Any]) -> list[str]:
        """The names of the policies that apply in a namespace, in the order they are asked."""
        return [policy.name for policy in self.current.policies if policy.matches(namespace, labels)]

    def _conditions(
        self, name: str, conflicts: Mapping[str, tuple[str, ...]], namespaces: Sequence[LabelledNamespace] | None
    ) -> list[Condition]:
        """What a policy's status has to say."""
        policy = self._book.get(name)
        found = [accepted(self.refused.get(name), policy), conflict(conflicts.get(name, ()))]
        if policy is None:
            return found
        return [
            *found,
            *of_rules(policy, self.current, self.engines, self.lacking),
            *of_policy(policy, self.current, namespaces),
        ]

    def write_status(
        self, client: Api, namespaces: Sequence[LabelledNamespace] | None = None, now: datetime | None = None
    ) -> int:
        """Write the status of each policy whose status says something else; returns how many.

        ``namespaces`` are those that there are; None while it is not known.
        """
        written = 0
        moment = rfc3339(now or datetime.now(UTC))
        conflicts = self.current.conflicts
        if namespaces is not None:
            rolling = [policy for policy in self.current.policies if policy.rollout is not None]
            self.places = {
                policy.name: tuple(place.namespace for place in namespaces if policy.matches(*place))
                for policy in rolling
            }
        for name, raw in sorted(self._raw.items()):
            status = self._status(name, raw, moment, conflicts, namespaces)
            known = mapping(raw.get("status"))
            # How far a rollout is is written by `controller.rollouts`; what is left of a removed one goes.
            policy = self._book.get(name)
            ended = "rollout" in known and policy is not None and policy.rollout is None
            if not ended and status == {field: value for field, value in known.items() if field != "rollout"}:
                continue
            if ended:
                status["rollout"] = None
            try:
                after = client.patch(AUDIT_POLICY, None, name, {"status": status}, subresource="status")
            except ApiError as error:
                _log.warning("could not write a policy's status: %s", error, extra={"policy": name})
                continue
            self._raw[name] = after
            written += 1
        return written

    def _status(
        self,
        name: str,
        raw: Json,
        moment: str,
        conflicts: Mapping[str, tuple[str, ...]],
        namespaces: Sequence[LabelledNamespace] | None,
    ) -> Json:
        generation = mapping(raw.get("metadata")).get("generation", 0)
        before = {
            text(condition.get("type")): condition
            for condition in mappings(mapping(raw.get("status")).get("conditions"))
        }
        conditions = []
        for condition in self._conditions(name, conflicts, namespaces):
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
        policy, count = self._book.get(name), mapping(raw.get("status")).get("namespaces")
        if namespaces is None:  # what was known before this process began stays said until it knows better
            conditions += [dict(before[kind]) for kind in (MATCHES,) if kind in before]
        else:
            count = matched(policy, namespaces) if policy is not None else 0
        known = {} if count is None else {"namespaces": count}
        return {"observedGeneration": generation, **known, "conditions": conditions}
