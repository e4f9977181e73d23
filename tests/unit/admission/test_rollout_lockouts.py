"""Two hundred ways in which a policy would lock its own cluster out: none of them reaches a denial."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from iocaudit.engine.rollout import RolloutStage
from tests.support.rollout_world import Asked, RolloutWorld, account, pod, role, workload

Json = dict[str, Any]
NAMESPACES = ["kube-system", "iocaudit", "calico-system", "flux-system", "argocd", "shop", "pay", "lab"]
MASTERS = ("system:masters",)


class LockOut(NamedTuple):
    """A request that has to go on: ``make`` gives it for a namespace and a number."""

    name: str
    make: Callable[[str, int], Asked]
    homes: tuple[str, ...]


def _node(number: int) -> str:
    return f"system:node:worker-{number % 3}"


LOCK_OUTS = (
    LockOut(
        "a controller of kube-system writes a pod of its own",
        lambda home, n: Asked(pod(f"addon-{n}", home), account("kube-system", "addon-manager")),
        ("kube-system",),
    ),
    LockOut(
        "a controller of kube-system gives itself rights elsewhere",
        lambda home, n: Asked(role(f"cloud-{n}", home), account("kube-system", "cloud-controller")),
        ("shop", "pay", "lab"),
    ),
    LockOut(
        "the replacement of a pod of the network plugin",
        lambda home, n: Asked(
            pod(f"calico-node-{n}", home, generateName="calico-node-"), account("kube-system", "daemon-set-controller")
        ),
        ("calico-system",),
    ),
    LockOut(
        "an upgrade of the network plugin",
        lambda home, n: Asked(
            workload("DaemonSet", f"calico-node-{n}", home), account("calico-system", "tigera-operator")
        ),
        ("calico-system",),
    ),
    LockOut(
        "the network plugin's rights in the cluster",
        lambda home, n: Asked(role(f"calico-{n}"), account("calico-system", "tigera-operator")),
        ("",),
    ),
    LockOut(
        "Flux applies what a team committed",
        lambda home, n: Asked(role(f"app-{n}", home), account("flux-system", "kustomize-controller")),
        ("shop", "pay", "lab"),
    ),
    LockOut(
        "Argo CD applies a workload",
        lambda home, n: Asked(
            workload("Deployment", f"app-{n}", home), account("argocd", "argocd-application-controller")
        ),
        ("shop", "pay", "lab"),
    ),
    LockOut(
        "Argo CD applies its own upgrade",
        lambda home, n: Asked(role(f"argocd-{n}"), account("argocd", "argocd-application-controller")),
        ("",),
    ),
    LockOut(
        "a pod of our own",
        lambda home, n: Asked(
            pod(f"iocaudit-admission-{n}", home, generateName="iocaudit-admission-"),
            account("kube-system", "replicaset-controller"),
        ),
        ("iocaudit",),
    ),
    LockOut(
        "an upgrade of the auditor: its Deployment",
        lambda home, n: Asked(workload("Deployment", "iocaudit-operator", home), "admin", groups=MASTERS),
        ("iocaudit",),
    ),
    LockOut(
        "an upgrade of the auditor: its rights",
        lambda home, n: Asked(role("iocaudit-operator", resources=("roles", f"more-{n}")), "admin", groups=MASTERS),
        ("",),
    ),
    LockOut(
        "a node's static pod",
        lambda home, n: Asked(
            pod(f"node-agent-{n}", home, annotations={"kubernetes.io/config.mirror": "x"}),
            _node(n),
            groups=("system:nodes",),
        ),
        ("kube-system", "lab"),
    ),
    LockOut(
        "a node's Lease",
        lambda home, n: Asked(
            {
                "apiVersion": "coordination.k8s.io/v1",
                "kind": "Lease",
                "metadata": {"name": f"worker-{n % 3}", "namespace": "kube-node-lease"},
                "spec": {},
            },
            _node(n),
            groups=("system:nodes",),
        ),
        ("",),
    ),
    LockOut(
        "the Lease of a controller",
        lambda home, n: Asked(
            {
                "apiVersion": "coordination.k8s.io/v1",
                "kind": "Lease",
                "metadata": {"name": "leader", "namespace": home},
                "spec": {"renewTime": str(n)},
            },
            account(home, "controller"),
        ),
        ("iocaudit", "flux-system", "shop"),
    ),
    LockOut(
        "a workload's pods made anew as a node is drained",
        lambda home, n: Asked(
            pod(f"web-{n}", home, generateName="web-"), account("kube-system", "replicaset-controller")
        ),
        ("shop", "pay", "lab"),
    ),
    LockOut(
        "the job of an operator in a namespace of its own",
        lambda home, n: Asked(workload("StatefulSet", f"db-{n}", home), account("lab", "db-operator")),
        ("lab",),
    ),
)


def policy(seed: random.Random, after: int) -> Json:
    preset = seed.choice(["guard", "lockdown", "lockdown"])
    spec: Json = {
        "priority": 10,
        "preset": preset,
        "checks": [{"ids": ["escalation-verb"], "mode": "deny"}],
        "rollout": {"from": seed.choice(["audit", "warn"]), "after": f"{after}d", "protect": ["flux-system"]},
    }
    if seed.random() < 0.7:
        spec["rollout"]["first"] = f"{seed.choice([10, 30, 50])}%"
    if seed.random() < 0.3:
        spec["existing"] = "deny"
    if seed.random() < 0.3:
        spec["checks"] += [{"groups": ["pods", "rbac"], "mode": "deny"}]
    name = f"p-{seed.randrange(1000)}"
    return {"apiVersion": "iocaudit.io/v1alpha1", "kind": "AuditPolicy", "metadata": {"name": name}, "spec": spec}


@pytest.mark.parametrize("block", range(8))
def test_none_of_two_hundred_lock_outs_reaches_a_denial(block: int) -> None:
    """Each goes on, now and then, within the time that a promotion takes; all else is promoted meanwhile."""
    promoted = would_be = 0
    for number in range(25):
        seed = random.Random(block * 25 + number)
        after = seed.choice([2, 3, 7])
        world = RolloutWorld(policy(seed, after), NAMESPACES)
        lock_out = LOCK_OUTS[(block * 25 + number) % len(LOCK_OUTS)]
        home = seed.choice(lock_out.homes)
        day, count = seed.uniform(0, after * 0.9), 0
        while day < after * 4:
            world.wait_until(day)
            verdict = world.ask(lock_out.make(home, count))
            assert verdict is None or verdict.allowed, (lock_out.name, home, day, world.status)
            day += seed.uniform(0.05, 0.9) * after
            count += 1
        assert not world.happened
        promoted += world.stage is RolloutStage.PROMOTED
        would_be += bool(world.status.would_be_denied)
        if not world.status.would_be_denied:
            assert world.stage is RolloutStage.PROMOTED, (lock_out.name, world.status)
        # And it is no toy: in a place that nothing holds, what the policy denies is denied.
        quiet = next(name for name in ("pay", "shop", "lab") if name != home)
        if world.stage is RolloutStage.PROMOTED:
            denied = world.ask(Asked(pod("miner", quiet), "mallory"))
            assert denied is not None
            assert not denied.allowed, (lock_out.name, quiet, world.status)
    assert promoted >= 20
    assert would_be >= 8


@pytest.mark.parametrize(
    "lock_out",
    [
        LockOut(
            "flux",
            lambda home, n: Asked(role(f"app-{n}", home), account("flux-system", "kustomize-controller")),
            ("shop",),
        ),
        LockOut(
            "system",
            lambda home, n: Asked(role(f"cloud-{n}", home), account("kube-system", "cloud-controller")),
            ("pay",),
        ),
    ],
    ids=lambda one: one.name,
)
def test_one_that_begins_after_the_promotion_is_taken_back(lock_out: LockOut) -> None:
    """The first request is denied, as nobody could know; what follows passes."""
    raw = policy(random.Random(3), 2)
    raw["spec"] = {
        "preset": "lockdown",
        "checks": [{"ids": ["escalation-verb"], "mode": "deny"}],
        "rollout": {"after": "2d", "protect": ["flux-system"]},
    }
    world = RolloutWorld(raw, NAMESPACES)
    world.wait_until(3)
    assert world.stage is RolloutStage.PROMOTED
    (home,) = lock_out.homes
    first, second = (world.ask(lock_out.make(home, n)) for n in range(2))
    assert (first is not None and first.allowed, second is not None and second.allowed) == (False, True)
    (asked,) = world.happened
    assert (asked.namespace, asked.refused) == (home, "")
    assert world.status.progress.back == {home}
    other = world.ask(Asked(role("app", "lab"), "alice"))
    assert other is not None
    assert not other.allowed
    # It goes on: so the namespace stays where it is.
    for day in range(4, 10):
        world.wait_until(day)
        verdict = world.ask(lock_out.make(home, day))
        assert verdict is not None
        assert verdict.allowed
    # It ended: so the namespace is promoted again.
    world.wait_until(12)
    assert world.status.progress.back == frozenset()


def test_nothing_fails_closed_before_the_promotion() -> None:
    world = RolloutWorld(policy(random.Random(1), 2), NAMESPACES)
    assert not world.fails_closed()
    world.wait_until(2)
    assert world.fails_closed()
