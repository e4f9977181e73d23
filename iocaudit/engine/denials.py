"""What the policies in force deny, for the checks that judge the guard itself."""

from __future__ import annotations

from functools import cached_property

from iocaudit.core.errors import PolicyError
from iocaudit.core.guard import Weakening
from iocaudit.core.kinds import CONNECTIONS, Kind
from iocaudit.core.kinds.ours import AUDIT_POLICY
from iocaudit.core.resource import Resource
from iocaudit.core.world import World
from iocaudit.engine.denied_rules import denied_rules
from iocaudit.engine.policy import Policy
from iocaudit.engine.policy_set import PolicySet
from iocaudit.engine.presets import Preset
from iocaudit.knowledge.rbac.bindings import ADMIN_NAMESPACE


class PolicyDenials:
    """The policies in force, with those that the world holds as objects: a folder of files is a world of its own."""

    def __init__(self, policies: PolicySet, world: World) -> None:
        self._policies, self._world = policies, world

    @cached_property
    def _known(self) -> PolicySet:
        """Those in force, and of the world's those of other names."""
        policies, world = self._policies, self._world
        there = {policy.name for policy in policies.policies}
        others = (self._readable(other) for other in world.all(AUDIT_POLICY) if other.name not in there)
        added = tuple(other for other in others if other is not None)
        return policies if not added else policies.having((*policies.policies, *added))

    @cached_property
    def kinds(self) -> frozenset[Kind]:
        names = self.namespaces
        if names is not None:  # nothing is denied in these, whatever a policy says
            names -= {ADMIN_NAMESPACE, self._world.own_namespace}
        return frozenset(denied_rules(self._known.catalogue.whole, self._known, names)) - frozenset(CONNECTIONS)

    @cached_property
    def namespaces(self) -> frozenset[str] | None:
        return self._known.denying.namespaces()

    @cached_property
    def supposed(self) -> PolicyDenials:
        known = self._known
        if self.kinds or known.preset is Preset.LOCKDOWN:
            return self
        return PolicyDenials(known.supposing(Preset.LOCKDOWN), self._world)

    def taken_by(self, policy: Resource) -> list[Weakening]:
        # Late: most scans hold no policy, and start sooner without what reads and compares them.
        from iocaudit.engine.places import namespaces_in
        from iocaudit.engine.policy_reader import read_policy
        from iocaudit.engine.weakening import denied_by_nothing, taken, without

        catalogue = self._policies.catalogue
        judged = read_policy(policy.raw, catalogue, any_rule=True)
        policies = self._policies
        for other in self._world.all(AUDIT_POLICY, near=policy):
            if other.name != policy.name and (read := self._readable(other)) is not None:
                policies = without(policies, read.name, read)
        found = taken(judged, without(policies, judged.name, judged), namespaces_in(self._world))
        return [*found, *denied_by_nothing(judged, catalogue)] if self._world.knows_rules else found

    def _readable(self, other: Resource) -> Policy | None:
        from iocaudit.engine.policy_reader import read_policy

        try:
            return read_policy(other.raw, self._policies.catalogue, any_rule=True)
        except PolicyError:
            return None  # it is not in force, and is told of by itself
