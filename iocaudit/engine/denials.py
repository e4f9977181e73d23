"""What the policies in force deny, for the checks that judge the guard itself."""

from __future__ import annotations

from iocaudit.core.errors import PolicyError
from iocaudit.core.guard import Weakening
from iocaudit.core.kinds import CONNECTIONS, Kind
from iocaudit.core.kinds.ours import AUDIT_POLICY
from iocaudit.core.resource import Resource
from iocaudit.core.world import World
from iocaudit.engine.policy import Policy, PolicySet


class PolicyDenials:
    """The policies in force, with those that the world holds as objects: a folder of files is a world of its own."""

    def __init__(self, policies: PolicySet, world: World) -> None:
        self._policies, self._world = policies, world
        self._kinds: frozenset[Kind] | None = None

    @property
    def kinds(self) -> frozenset[Kind]:
        if self._kinds is None:
            whole = self._policies.catalogue.whole
            rules = whole.admission_rules(check.id for check in whole if self._policies.may_deny(check))
            self._kinds = frozenset(rules) - frozenset(CONNECTIONS)
        return self._kinds

    @property
    def namespaces(self) -> frozenset[str] | None:
        return self._policies.denying_namespaces()

    def taken_by(self, policy: Resource) -> list[Weakening]:
        # Late: most scans hold no policy, and start sooner without what reads and compares them.
        from iocaudit.engine.places import namespaces_in
        from iocaudit.engine.policy_reader import read_policy
        from iocaudit.engine.weakening import taken, without

        catalogue = self._policies.catalogue
        judged = read_policy(policy.raw, catalogue)
        policies = self._policies
        for other in self._world.all(AUDIT_POLICY, near=policy):
            if other.name != policy.name and (read := self._readable(other)) is not None:
                policies = without(policies, read.name, read)
        return taken(judged, without(policies, judged.name, judged), namespaces_in(self._world))

    def _readable(self, other: Resource) -> Policy | None:
        from iocaudit.engine.policy_reader import read_policy

        try:
            return read_policy(other.raw, self._policies.catalogue)
        except PolicyError:
            return None  # it is not in force, and is told of by itself
