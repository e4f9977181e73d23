"""What ``iocaudit policy explain`` asks: which policies, of an object or a request in which place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from iocaudit.core.check import Check
from iocaudit.core.kinds import Kind
from iocaudit.core.request import Request
from iocaudit.engine.cautions import cautions
from iocaudit.engine.places import what_of
from iocaudit.engine.policy import Policy
from iocaudit.engine.policy_set import PolicySet


@dataclass(frozen=True, slots=True)
class KnownPolicies:
    """The usable policies of files or of a cluster, the labels of a namespace, and by name why a policy is refused.

    ``notes`` say what is to be known of the rules in ConfigMaps, ``unread`` what could not be read.
    """

    policies: PolicySet
    labels: Mapping[str, Any]
    refused: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()
    unread: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class PolicyQuestion:
    """``namespace`` None: cluster scope. ``kind`` None: any; ``request`` None: what stands, no matter who made it."""

    policies: PolicySet
    namespace: str | None
    labels: Mapping[str, Any]
    kind: Kind | None = None
    request: Request | None = None

    @property
    def asked(self) -> list[Policy]:
        """The policies that hold, in the order in which they are asked."""
        return self.policies.matching(self.namespace, self.labels, kind=self.kind, request=self.request)

    @property
    def cautions(self) -> list[str]:
        """What is to be known of the policies that hold."""
        return [
            f"AuditPolicy {policy.name}: {one.message}"
            for policy in self.asked
            for one in cautions(policy, self.policies.catalogue)
        ]

    @property
    def elsewhere(self) -> list[str]:
        """Those that do not apply in the place, whatever is asked for."""
        return [one.name for one in self.policies.policies if not one.matches(self.namespace, self.labels)]

    @property
    def others(self) -> dict[str, str]:
        """Those that apply in the place, for another kind or for other requests: for which, by name."""
        asked = {policy.name for policy in self.asked}
        return {
            policy.name: what_of(policy)
            for policy in self.policies.policies
            if policy.name not in asked and policy.matches(self.namespace, self.labels)
        }

    def concerns(self, check: Check) -> bool:
        """Whether a check may have anything to say of it."""
        if self.kind is not None and self.kind not in check.looks_at:
            return False
        return self.request is None or (not check.audit_only and self.request.operation in check.operations)

    @property
    def title(self) -> str:
        """The place, the kind and the request, in words."""
        words = f"namespace {self.namespace}" if self.namespace is not None else "cluster-scoped objects"
        if self.kind is not None:
            words += f", kind {self.kind}"
        if self.request is not None:
            words += f", {self.request.operation} by {self.request.username or 'any user'}"
            words += f" ({', '.join(self.request.groups)})"
        return words
