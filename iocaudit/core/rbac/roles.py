"""Which rules a role has, those it aggregates included.

Source: Kubernetes, Using RBAC Authorization, "Aggregated ClusterRoles": the controller unites the rules of
every ClusterRole that one of the selectors matches; as it does so for each of them, nesting unites them all.
"""

from iocaudit.core.kinds import CLUSTER_ROLE
from iocaudit.core.label_selector import selects
from iocaudit.core.rbac.defaults import default_cluster_roles
from iocaudit.core.rbac.rules import Rule, rules_of
from iocaudit.core.resource import Resource
from iocaudit.core.shape import Json, lookup, mappings
from iocaudit.core.world import World


def selectors_of(role: Resource) -> list[Json]:
    """The selectors by which a ClusterRole aggregates others; empty where it does not."""
    return mappings(lookup(role.raw, "aggregationRule", "clusterRoleSelectors"))


def effective_rules(role: Resource, world: World, near: Resource) -> tuple[Rule, ...]:
    """The role's rules, and those of every ClusterRole it aggregates, directly or through others.

    The cluster's own ClusterRoles take part where the world does not hold an object of their name.
    """
    if not selectors_of(role):
        return rules_of(role)

    def build() -> tuple[Rule, ...]:
        labelled = _labelled(world, near)
        found: dict[Rule, None] = {}
        seen = {role.name}
        waiting = [role]
        while waiting:
            one = waiting.pop()
            found.update(dict.fromkeys(rules_of(one)))
            for selector in selectors_of(one):
                for other in labelled:
                    if other.name not in seen and selects(selector, other.labels):
                        seen.add(other.name)
                        waiting.append(other)
        return tuple(found)

    key = ("rbac-aggregated", role.name, role.origin.source)
    return world.memo(key, (CLUSTER_ROLE,), build, near=near)


def _labelled(world: World, near: Resource) -> list[Resource]:
    """The ClusterRoles there are. A selector that matches an unlabelled one (by NotIn) aggregates it as well."""

    def build() -> list[Resource]:
        present = world.all(CLUSTER_ROLE, near=near)
        names = {role.name for role in present}
        return present + [role for role in default_cluster_roles() if role.name not in names]

    return world.memo("rbac-cluster-roles", (CLUSTER_ROLE,), build, near=near)
