"""How bad it is to get at identities: by the ServiceAccounts and users that a grant of one object reaches."""

from __future__ import annotations

from collections.abc import Iterator

from checks._rbac import Reach
from iocaudit.core.hit import Skip
from iocaudit.core.resource import Resource
from iocaudit.core.severity import Severity
from iocaudit.core.world import World
from iocaudit.knowledge.rbac.amounts import GrantAmount, RuleScope, escalation_of, minting_of
from iocaudit.knowledge.rbac.bindings import ADMIN_NAMESPACE, admin_first
from iocaudit.knowledge.rbac.escalation import accounts_of_pods, opens_sessions, way_by_accounts
from iocaudit.knowledge.rbac.grants import acts_as_somebody
from iocaudit.knowledge.rbac.graph import graph_of
from iocaudit.knowledge.rbac.powers import EXEC, FIXED_CHANGED, IMPERSONATE, PODS_CHANGED, WORKLOADS_CREATED
from iocaudit.knowledge.rbac.privileged import PrivilegedAccount, privileged_account
from iocaudit.knowledge.rbac.rules import is_everything
from iocaudit.knowledge.rbac.subjects import Subject

_SEVERITIES = {
    GrantAmount.NOTHING: Severity.LOW,
    GrantAmount.LITTLE: Severity.MEDIUM,
    GrantAmount.MUCH: Severity.HIGH,
    GrantAmount.CLUSTER: Severity.CRITICAL,
}


class GrantJudge:
    """Judges grants of an object by whom they reach; ``problems`` are what is not known of them."""

    def __init__(self, resource: Resource, world: World) -> None:
        self._resource = resource
        self._world = world
        self._problems: dict[str, None] = {}
        # How bad a grant is is asked, and then why: by the same object, one grant after the other.
        self._entered_by: tuple[Reach, Subject | None] | None = None
        self._amount_of: tuple[Reach, GrantAmount | None] | None = None

    @property
    def problems(self) -> Iterator[Skip]:
        yield from map(Skip, self._problems)

    # -- pods -----------------------------------------------------------------------------------------------

    def by_pods(self, reach: Reach) -> Severity:
        """Of the power to run pods, to swap their images, to enter them."""
        if _is_cluster_admin(reach):
            return Severity.CRITICAL
        if WORKLOADS_CREATED in reach.powers and self._privileged(reach).account is not None:
            return Severity.CRITICAL
        if self._entered(reach) is not None:
            return Severity.CRITICAL
        return Severity.MEDIUM if reach.powers == {FIXED_CHANGED} else Severity.HIGH

    def through_pods(self, reach: Reach) -> str:
        """Why it is as bad, where someone is reached."""
        if WORKLOADS_CREATED in reach.powers and (found := self._privileged(reach)).account is not None:
            return f", and so as {found.account.title}, which {found.why}"
        entered = self._entered(reach)
        return f", and so of those that run as {entered.title}, which leads to cluster-admin" if entered else ""

    def _entered(self, reach: Reach) -> Subject | None:
        """A ServiceAccount that leads to cluster-admin and as which a pod runs that can be entered or changed."""
        if self._entered_by is None or self._entered_by[0] is not reach:
            self._entered_by = (reach, self._first_entered(reach))
        return self._entered_by[1]

    def _first_entered(self, reach: Reach) -> Subject | None:
        if not reach.powers & {EXEC, PODS_CHANGED} or not self._holds_somewhere(reach):
            return None
        if EXEC in reach.powers and not opens_sessions(reach.rule):
            return None
        for space in self._spaces(reach):
            for name in accounts_of_pods(self._world, space, reach.rule.names):
                account = Subject("ServiceAccount", name, space)
                if way_by_accounts(account, self._world, self._resource):
                    return account
        return None

    def _spaces(self, reach: Reach) -> list[str]:
        if reach.namespace is not None:
            return [reach.namespace]
        return admin_first({ADMIN_NAMESPACE, *graph_of(self._world).namespaces})

    # -- identities -----------------------------------------------------------------------------------------

    def by_tokens(self, reach: Reach) -> Severity:
        """Of the power to mint tokens."""
        if not self._holds_somewhere(reach):
            return Severity.CRITICAL if reach.is_clusters and not reach.named else Severity.HIGH
        return _SEVERITIES[minting_of(reach.rule, self._place(reach))]

    def by_verbs(self, reach: Reach) -> Severity:
        """Of escalate, bind and impersonate."""
        if reach.namespace == "":
            return Severity.HIGH
        amount = self._amount(reach)
        return _SEVERITIES[GrantAmount.MUCH if amount is None else amount]

    def through_verbs(self, reach: Reach) -> str:
        """Why they are worth little, where they are."""
        if reach.namespace == "":
            return ""
        amount = self._amount(reach)
        if amount is GrantAmount.LITTLE and not any(map(acts_as_somebody, reach.rules)) and IMPERSONATE in reach.powers:
            return ", which without a user's name impersonates nobody"
        return ", and nothing has that name" if amount is GrantAmount.NOTHING else ""

    def _amount(self, reach: Reach) -> GrantAmount | None:
        if self._amount_of is None or self._amount_of[0] is not reach:
            self._amount_of = (reach, escalation_of(reach.rule, self._place(reach)))
        return self._amount_of[1]

    def _place(self, reach: Reach) -> RuleScope:
        own, acts = {reach.role}, any(map(acts_as_somebody, reach.rules))
        if reach.subject is not None:
            for one in graph_of(self._world).held(reach.subject, self._world, near=self._resource):
                wide = one.binding.is_clusterwide
                acts = acts or any(acts_as_somebody(rule, clusterwide=wide) for rule in one.bound.rules)
                if wide if reach.namespace is None else one.binding.namespace == reach.namespace:
                    own.add((one.binding.role_kind, one.binding.role_name))
        if reach.namespace is not None and not reach.named:
            self._privileged(reach)
        return RuleScope(reach.namespace, self._world, self._resource, frozenset(own), acts)

    # -- what is known --------------------------------------------------------------------------------------

    @staticmethod
    def _holds_somewhere(reach: Reach) -> bool:
        """A ClusterRole by itself reaches nobody, and where an unknown namespace is nobody knows."""
        return reach.namespace != "" and (reach.namespace is not None or reach.bound)

    def _privileged(self, reach: Reach) -> PrivilegedAccount:
        if not self._holds_somewhere(reach):
            return PrivilegedAccount(None, "", None)
        found = privileged_account(reach.namespace, self._world, self._resource)
        if found.account is None and found.problem is not None:
            where = f"in namespace {reach.namespace}" if reach.namespace is not None else "in the cluster"
            self._problems[
                f"whether a ServiceAccount {where} holds the cluster cannot be determined: {found.problem}"
            ] = None
        return found


def _is_cluster_admin(reach: Reach) -> bool:
    """Whether it is bound with every right in the whole cluster: then no pod needs to be known for the worst."""
    return reach.bound and reach.namespace is None and is_everything(reach.rules)
