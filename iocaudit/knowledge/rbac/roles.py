"""Which rules a role has, those it aggregates included.

Source: Kubernetes, Using RBAC Authorization, "Aggregated ClusterRoles": the controller unites the rules of
every ClusterRole that one of the selectors matches; as it does so for each of them, nesting unites them all.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from iocaudit.core.kinds import CLUSTER_ROLE
from iocaudit.core.label_selector import selects
from iocaudit.core.resource import Resource
from iocaudit.core.shape import Json, items, lookup, mapping, mappings
from iocaudit.core.world import World
from iocaudit.knowledge.rbac.defaults import default_cluster_roles
from iocaudit.knowledge.rbac.rules import PolicyRule, rules_of


def selectors_of(role: Resource) -> list[Json]:
    """The selectors by which a ClusterRole aggregates others; empty where it does not, as a Role never does."""
    if role.kind is not CLUSTER_ROLE:
        return []
    return mappings(lookup(role.raw, "aggregationRule", "clusterRoleSelectors"))


def effective_rules(role: Resource, world: World, near: Resource) -> tuple[PolicyRule, ...]:
    """The role's rules, and those of every ClusterRole it aggregates, directly or through others.

    The cluster's own ClusterRoles take part where the world does not hold an object of their name.
    """
    if not selectors_of(role):
        return rules_of(role)

    def build() -> _Aggregation:
        return _Aggregation(_cluster_roles(world, near))

    return world.memo("rbac-aggregation", (CLUSTER_ROLE,), build, near=near).rules_of(role.name)


def containing(role: Resource, world: World) -> list[Resource]:
    """The role, and every ClusterRole that aggregates it, directly or through others, as they are in that world.

    The cluster's own ClusterRoles take part as in ``effective_rules``.
    """
    if role.kind is not CLUSTER_ROLE:
        return [role]
    found = {role.name: role}
    waiting = [role]
    while waiting:
        labels = waiting.pop().labels
        for one in _aggregating(world):  # a selector may ask for the absence of a label, too
            if one.name not in found and any(selects(selector, labels) for selector in selectors_of(one)):
                found[one.name] = one
                waiting.append(one)
    return list(found.values())


def _aggregating(world: World) -> list[Resource]:
    def build() -> list[Resource]:
        return [one for one in _cluster_roles(world, None) if selectors_of(one)]

    return world.memo("rbac-aggregating", (CLUSTER_ROLE,), build)


def _cluster_roles(world: World, near: Resource | None) -> list[Resource]:
    """Those of the world, and of the cluster's own those of which it holds none of their name."""
    present = world.all(CLUSTER_ROLE, near=near)
    names = {one.name for one in present}
    return [*present, *(one for one in default_cluster_roles() if one.name not in names)]


class _Node(NamedTuple):
    """A ClusterRole by name, or a selector as JSON, which many roles may share."""

    text: str
    is_selector: bool = False


class _Aggregation:
    """ClusterRoles by what aggregates them. What was asked for once is kept, as is what it took to answer."""

    def __init__(self, roles: Iterable[Resource]) -> None:
        self._roles = {role.name: role for role in roles}
        self._rules: dict[_Node, tuple[PolicyRule, ...]] = {}
        self._by_label: dict[tuple[str, str], list[Resource]] = {}
        for role in self._roles.values():
            for name, value in role.labels.items():
                self._by_label.setdefault((name, value if isinstance(value, str) else ""), []).append(role)

    def rules_of(self, name: str) -> tuple[PolicyRule, ...]:
        """The rules of a role and of all it aggregates.

        Tarjan's algorithm, without recursion: roles that aggregate each other hold the same rules, and are told so
        together, so a crowd of them costs no more than a list of them.
        """
        start = _Node(name)
        if start in self._rules:
            return self._rules[start]
        order: dict[_Node, int] = {start: 0}
        lowest: dict[_Node, int] = {start: 0}
        open_nodes = [start]
        path: list[tuple[_Node, Iterator[_Node]]] = [(start, iter(self._leads_to(start)))]
        while path:
            node, following = path[-1]
            for one in following:
                if one in self._rules:
                    continue
                if one not in order:
                    order[one] = lowest[one] = len(order)
                    open_nodes.append(one)
                    path.append((one, iter(self._leads_to(one))))
                    break
                lowest[node] = min(lowest[node], order[one])
            else:
                path.pop()
                if path:
                    before = path[-1][0]
                    lowest[before] = min(lowest[before], lowest[node])
                if lowest[node] == order[node]:
                    at = _last(open_nodes, node)
                    self._close(open_nodes[at:])
                    del open_nodes[at:]
        return self._rules[start]

    def _close(self, nodes: list[_Node]) -> None:
        """Tell nodes that lead to each other what they hold; whatever else they lead to is known by now."""
        found: dict[PolicyRule, None] = {}
        for node in sorted(nodes):
            if not node.is_selector:
                found.update(dict.fromkeys(rules_of(self._roles[node.text])))
        for node in sorted(nodes):
            for one in self._leads_to(node):
                found.update(dict.fromkeys(self._rules.get(one, ())))
        rules = tuple(found)
        for node in nodes:
            self._rules[node] = rules

    def _leads_to(self, node: _Node) -> list[_Node]:
        if not node.is_selector:
            selectors = selectors_of(self._roles[node.text])
            return [_Node(json.dumps(one, sort_keys=True, default=str), True) for one in selectors]
        selector: Json = json.loads(node.text)
        return [_Node(role.name) for role in self._candidates(selector) if selects(selector, role.labels)]

    def _candidates(self, selector: Json) -> Iterable[Resource]:
        """The roles a selector may match: few where it asks for the value of a label."""
        for name, value in mapping(selector.get("matchLabels")).items():
            return self._by_label.get((name, value if isinstance(value, str) else ""), ())
        for one in mappings(selector.get("matchExpressions")):
            if one.get("operator") == "In" and isinstance(one.get("key"), str):
                values = {value if isinstance(value, str) else "" for value in items(one.get("values"))}
                return [role for value in sorted(values) for role in self._by_label.get((one["key"], value), ())]
        return self._roles.values()


def _last(nodes: list[_Node], node: _Node) -> int:
    """Where a node stands, looked for from the end, where it nearly always is."""
    at = len(nodes) - 1
    while nodes[at] != node:
        at -= 1
    return at
