"""The RBAC graph: indexing, resolving and judging every binding, and what one changed role costs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from iocaudit.core.request import Operation, Request
from iocaudit.core.resource import ADMISSION, CLUSTER, Resource
from iocaudit.core.world import World
from iocaudit.engine.audit import Auditor
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.engine.completion import judge_completed
from iocaudit.engine.policy_set import PolicySet
from iocaudit.knowledge.rbac.bindings import resolve
from iocaudit.knowledge.rbac.graph import graph_of
from iocaudit.knowledge.rbac.powers import critical_powers
from iocaudit.knowledge.rbac.rules import is_everything
from iocaudit.serving.garbage import settle

Row = tuple[str, str, str, str, str]
_SECRETS = {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}
SIZES = (1_250, 2_500, 5_000)
_GROUP = "rbac.authorization.k8s.io"


def _object(kind: str, name: str, namespace: str | None, **parts: Any) -> Resource:
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {}) | parts.pop("metadata", {})
    return Resource({"apiVersion": f"{_GROUP}/v1", "kind": kind, "metadata": metadata, **parts}, CLUSTER)


def role(number: int) -> Resource:
    """One role of many: three rules, every tenth ClusterRole part of an aggregate."""
    rules = [
        {"apiGroups": ["", "apps"], "resources": ["pods", "deployments"], "verbs": ["get", "list", "watch"]},
        {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": [f"c{number}"], "verbs": ["update"]},
        {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["create"] if number % 7 == 0 else ["get"]},
    ]
    labels = {"labels": {"part-of": f"a{number % 10}"}} if number % 10 == 0 else {}
    if number % 2:
        return _object("Role", f"r{number}", f"ns{number % 200}", rules=rules)
    return _object("ClusterRole", f"r{number}", None, rules=rules, metadata=labels)


def world_of(bindings: int) -> World:
    """As many roles as bindings, three subjects each, in 200 namespaces, and ten aggregates."""
    world = World()
    for number in range(bindings):
        kind = "Role" if number % 2 else "ClusterRole"
        world.put(role(number))
        subjects = [
            {"kind": "ServiceAccount", "name": f"s{number % 500}", "namespace": f"ns{number % 200}"},
            {"kind": "User", "name": f"user{number % 1000}"},
            {"kind": "Group", "name": f"group{number % 50}"},
        ]
        name = f"aggregate{number % 10}" if number % 100 == 0 else f"r{number}"
        reference = {"apiGroup": _GROUP, "kind": kind, "name": name}
        space = f"ns{number % 200}" if number % 2 or number % 4 == 0 else None
        bound = "RoleBinding" if space else "ClusterRoleBinding"
        world.put(_object(bound, f"b{number}", space, roleRef=reference, subjects=subjects))
    for number in range(10):
        rule = {"clusterRoleSelectors": [{"matchLabels": {"part-of": f"a{number}"}}]}
        world.put(_object("ClusterRole", f"aggregate{number}", None, aggregationRule=rule))
    return world


def judge(world: World) -> int:
    """Resolve every binding and judge what it gives; how many give the cluster away."""
    found = 0
    for binding in graph_of(world).bindings:
        rules = resolve(binding, world).rules
        space = None if binding.is_clusterwide else binding.namespace
        found += is_everything(rules) or any(critical_powers(rule, space) for rule in rules)
    return found


def cpu(run: Callable[[], object]) -> float:
    """CPU seconds of this process."""
    before = time.process_time()
    run()
    return time.process_time() - before


def rbac_rows() -> Iterator[Row]:
    taken: list[float] = []
    for size in SIZES:
        world = world_of(size)
        settle()  # as the processes that hold a world do; else the collector walks all of it when it likes
        taken.append(cpu(lambda world=world: judge(world)))  # type: ignore[misc]
    growth = taken[-1] / taken[0] / (SIZES[-1] / SIZES[0])
    times = " / ".join(f"{seconds:.2f}" for seconds in taken)
    sizes = " / ".join(f"{size:,}" for size in SIZES)
    yield ("RBAC graph", f"{times} s", f"{sizes} bindings", f"{growth:.2f} of linear", "<= 2 s, <= 1.5")
    touched = role(0)

    def change() -> None:
        world.put(touched)
        for binding in graph_of(world).bindings:
            if binding.role_name == touched.name:
                resolve(binding, world)

    once = cpu(change)
    yield (
        "one changed role",
        f"{once * 1000:.1f} ms",
        f"whole graph {taken[-1]:.2f} s",
        f"{once / taken[-1]:.3f}",
        "<= 0.1",
    )
    auditor = Auditor(builtin_catalogue(), PolicySet(builtin_catalogue()), world)
    filled = Resource({**touched.raw, "rules": [*touched.raw["rules"], _SECRETS]}, ADMISSION)

    def review() -> None:
        judge_completed(filled, touched, auditor, Request(Operation.UPDATE, "alice"))

    review()
    reviewed = cpu(review)
    yield (
        "one reviewed role",
        f"{reviewed * 1000:.1f} ms",
        f"whole graph {taken[-1]:.2f} s",
        f"{reviewed / taken[-1]:.3f}",
        "<= 0.2",
    )
