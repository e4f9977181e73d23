"""What the webhook knows of the cluster, and when it may answer."""

from __future__ import annotations

import asyncio
from typing import Any

from admission.state import State, loop_sink
from iocaudit.core.kinds import LIMIT_RANGE, NAMESPACE, Kind
from iocaudit.core.kinds.ours import AUDIT_POLICY
from iocaudit.core.resource import CLUSTER, Resource
from iocaudit.engine.catalogue import builtin_catalogue
from tests.support.fake_rego import FakeRego, engines_with
from tests.support.rules import rego_entry

CATALOGUE = builtin_catalogue()


def namespace(name: str) -> Resource:
    return Resource({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}, CLUSTER)


def policy(name: str, **spec: Any) -> Resource:
    raw = {"apiVersion": "iocaudit.io/v1alpha1", "kind": "AuditPolicy", "metadata": {"name": name}, "spec": spec}
    return Resource(raw, CLUSTER, kind=AUDIT_POLICY)


def told(*incomplete: Kind) -> tuple[State, dict[Kind, str | None]]:
    """What is said of these kinds' being forbidden."""
    found: dict[Kind, str | None] = {}
    state = State(CATALOGUE)

    async def run() -> None:
        sink = loop_sink(state, asyncio.get_running_loop(), found.__setitem__)
        for kind in incomplete:
            await asyncio.to_thread(sink.incomplete, kind, "forbidden")
        await asyncio.sleep(0)

    asyncio.run(run())
    return state, found


def test_without_the_policies_or_their_namespaces_it_may_not_answer_without_others_it_may() -> None:
    state, found = told(AUDIT_POLICY, NAMESPACE, LIMIT_RANGE)
    assert found == {AUDIT_POLICY: "forbidden", NAMESPACE: "forbidden", LIMIT_RANGE: None}
    assert state.world.incomplete(LIMIT_RANGE) == "forbidden", "checks that need it say Skipped"


def test_policies_that_can_no_longer_be_read_stay_in_force() -> None:
    state = State(CATALOGUE)
    state.replace(AUDIT_POLICY, [policy("strict", checks=[{"ids": ["host-pid"], "mode": "deny"}])])
    auditor = state.auditor
    assert state.incomplete(AUDIT_POLICY, "forbidden") is False
    assert state.auditor is auditor
    assert [found.name for found in state.auditor.policies.policies] == ["strict"]


def test_policies_are_counted_as_they_come_and_go() -> None:
    state = State(CATALOGUE)

    def counts() -> dict[str, int]:
        return {word: count() for word, count in state.counts.items()}

    state.replace(AUDIT_POLICY, [policy("good", checks=[{"ids": ["host-pid"], "mode": "deny"}])])
    assert counts() == {"valid": 1, "invalid": 0}
    state.put(policy("bad", checks=[{}]))
    assert counts() == {"valid": 1, "invalid": 1}
    state.put(policy("good", checks=[{}]))
    assert counts() == {"valid": 0, "invalid": 2}, "its last good version is in force, and it is invalid"
    assert [found.name for found in state.auditor.policies.policies] == ["good"]
    state.remove(policy("good"))
    state.remove(policy("bad"))
    assert counts() == {"valid": 0, "invalid": 0}


def test_nothing_changes_while_the_state_is_held_and_all_of_it_after() -> None:
    state = State(CATALOGUE)

    def names() -> set[str]:
        return {found.name for found in state.world.all(NAMESPACE)}

    async def run() -> None:
        sink = loop_sink(state, asyncio.get_running_loop(), lambda _kind, _lacking: None)
        with state.hold():
            sink.replace(NAMESPACE, [namespace("one")])
            sink.put(namespace("two"))
            sink.remove(namespace("one"))
            for _ in range(3):
                await asyncio.sleep(0)
            assert names() == set()
        await asyncio.sleep(0)
        assert names() == {"two"}, "in their order"
        sink.put(namespace("three"))
        for _ in range(3):
            await asyncio.sleep(0)
        assert names() == {"two", "three"}

    asyncio.run(run())


def test_what_waited_is_applied_before_the_next_holder_takes_its_turn() -> None:
    state = State(CATALOGUE)
    turns = asyncio.Lock()
    seen: list[int] = []

    async def large() -> None:
        async with turns:
            with state.hold():
                seen.append(len(state.world.all(NAMESPACE)))
                await asyncio.sleep(0.01)

    async def run() -> None:
        first, second = asyncio.create_task(large()), asyncio.create_task(large())
        await asyncio.sleep(0)
        state.change(lambda: state.put(namespace("one")))
        await asyncio.gather(first, second)

    asyncio.run(run())
    assert seen == [0, 1]


def test_what_rules_look_up_is_required_unknown_until_it_is_there_and_forgotten() -> None:
    engines = engines_with(FakeRego(lambda _asked, _question: ()))
    state = State(CATALOGUE, engines=engines)
    required: list[tuple[Kind, ...]] = []
    state.require = required.append
    entry = rego_entry(needs=["ResourceQuota", "Team.acme.io", "Ingress"])
    state.replace(AUDIT_POLICY, [policy("own", rules=[entry])])
    (kinds,) = required
    assert [str(kind) for kind in kinds] == ["ResourceQuota", "Team.acme.io"], "Ingresses are there anyway"
    assert {state.world.incomplete(kind) for kind in kinds} == {"it is not loaded yet"}
    quota = kinds[0]
    assert state.incomplete(quota, "forbidden: no") is True
    assert "--rules-need resourcequotas" in (state.world.incomplete(quota) or "")
    found = Resource(
        {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q", "namespace": "a"}}, CLUSTER
    )
    state.replace(quota, [found])
    assert state.world.incomplete(quota) is None
    state.replace(AUDIT_POLICY, [])
    assert required[1:] == [()]
    assert state.world.incomplete(quota)
    state.replace(quota, [found])
    state.put(found)
    assert not state.world.has(quota), "what was on its way when the watch ended is not held"
