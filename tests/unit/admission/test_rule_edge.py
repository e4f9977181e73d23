"""Requests with rules in languages of their own: judged again with the answers, by what is in force then."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import httpx
import orjson
import pytest

from admission.app import LARGE, ValidateApp, admission_app
from admission.metrics import AdmissionMetrics
from admission.rule_edge import RuleEdge
from admission.state import State
from iocaudit.core.kinds import CONFIG_MAP, NAMESPACE
from iocaudit.core.kinds.ours import AUDIT_POLICY
from iocaudit.core.resource import CLUSTER, Resource
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.engine.deadline import Deadline
from iocaudit.engine.languages.answer import RuleFailure, Violation
from iocaudit.engine.languages.evaluator import EngineError, EngineMissingError
from iocaudit.engine.languages.question import Question
from iocaudit.engine.languages.rule import Rule
from iocaudit.live.engines import Engines
from iocaudit.serving.limits import Bounds
from iocaudit.serving.metrics import new_registry
from iocaudit.sources.admission_review import read_review
from tests.support.bounded import within
from tests.support.fake_rego import FakeRego, engines_with
from tests.support.rules import policy_with, rego_entry

CATALOGUE = builtin_catalogue()
Json = dict[str, Any]


class Door:
    """The webhook's app with an Evaluator whose answers a test gives."""

    def __init__(self, rego: FakeRego | None) -> None:
        self.engines = engines_with(rego) if rego is not None else Engines({})
        self.state = State(CATALOGUE, engines=self.engines)
        for kind in self.state.kinds:
            self.state.replace(kind, [])
        self.state.put(Resource({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}, CLUSTER))

    def policy(self, raw: Json) -> None:
        self.state.put(Resource(raw, CLUSTER, kind=AUDIT_POLICY))

    async def ask(self, asked: Json, *, seconds: str = "3s") -> Json:
        edge = RuleEdge(self.engines, self.state.superseded)
        validate = ValidateApp(lambda: self.state.auditor, AdmissionMetrics(new_registry("test")), rules=edge)
        app = admission_app(validate, Bounds(), lambda _reason: None)
        body = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": asked}
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="https://webhook") as client:
            answer = await client.post(
                f"/validate?timeout={seconds}", content=orjson.dumps(body), headers={"content-type": "application/json"}
            )
        assert answer.status_code == 200, answer.text
        response: Json = answer.json()["response"]
        return response

    def answer(self, asked: Json, *, seconds: str = "3s") -> Json:
        return asyncio.run(self.ask(asked, seconds=seconds))


def pod(image: str = "evil.example/x:1", *, padding: int = 0, **more: Any) -> Json:
    metadata: Json = {"name": "web", "namespace": "shop"}
    if padding:
        metadata["annotations"] = {"padding": "x" * padding}
    spec = {"containers": [{"name": "app", "image": image, **more}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def request(new: Json, old: Json | None = None) -> Json:
    group, _, version = new["apiVersion"].rpartition("/")
    kind = {"group": group, "version": version, "kind": new["kind"]}
    return {
        "uid": "1",
        "operation": "UPDATE" if old else "CREATE",
        "kind": kind,
        "name": new["metadata"]["name"],
        "namespace": new["metadata"].get("namespace", ""),
        "userInfo": {"username": "alice", "groups": ["dev"]},
        "object": new,
        "oldObject": old,
    }


def registry(_asked: object, question: Question) -> tuple[Violation, ...]:
    spec = question.request["object"]["spec"]
    bad = [one["image"] for one in spec["containers"] if not one["image"].startswith("hooli.com/")]
    return tuple(Violation(f"image {one} is not ours", evidence=one) for one in bad)


@pytest.fixture
def rego() -> FakeRego:
    return FakeRego(registry)


@pytest.fixture
def door(rego: FakeRego) -> Door:
    found = Door(rego)
    found.policy(policy_with([rego_entry()]))
    return found


@pytest.mark.parametrize("padding", [0, LARGE])
def test_a_rule_denies_with_its_message(door: Door, padding: int) -> None:
    said = door.answer(request(pod(padding=padding)))
    assert said["allowed"] is False
    assert "image evil.example/x:1 is not ours" in said["status"]["message"]
    assert said["auditAnnotations"]["denied"] == "rego-registry"
    assert door.answer(request(pod("hooli.com/a:1", padding=padding)))["allowed"] is True


def test_an_update_is_denied_only_for_what_it_introduces(door: Door, rego: FakeRego) -> None:
    assert door.answer(request(pod(), pod()))["allowed"] is True
    assert door.answer(request(pod(), pod("hooli.com/a:1")))["allowed"] is False
    assert rego.questions, "and that the old object had it is asked as well"


def test_a_request_for_which_no_rule_is_asked_asks_nothing(door: Door, rego: FakeRego) -> None:
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web", "namespace": "shop"}}
    assert door.answer(request(config))["allowed"] is True
    assert rego.questions == []


@pytest.mark.parametrize(("on_fault", "allowed"), [("deny", False), ("allow", True)])
def test_a_rule_that_fails_is_judged_by_on_fault_and_all_else_as_before(on_fault: str, allowed: bool) -> None:
    door = Door(FakeRego(lambda _asked, _question: RuleFailure("OPA is away")))
    door.policy(policy_with([rego_entry()], onFault=on_fault))
    said = door.answer(request(pod("hooli.com/a:1")))
    assert said["allowed"] is allowed
    text = said["status"]["message"] if not allowed else " ".join(said["warnings"])
    assert "rego-registry" in text
    assert "OPA is away" in text
    door.policy(
        {
            "apiVersion": "iocaudit.io/v1alpha1",
            "kind": "AuditPolicy",
            "metadata": {"name": "lockdown"},
            "spec": {"preset": "lockdown"},
        }
    )
    worse = door.answer(request(pod("hooli.com/a:1", securityContext={"privileged": True})))
    assert "runs privileged" in worse["status"]["message"]


class SlowRego(FakeRego):
    async def ask_soon(self, question: Question, deadline: Deadline) -> Any:
        await asyncio.sleep(max(0.0, deadline.at - deadline.clock()))
        return {asked.rule.id: RuleFailure("no answer in time") for asked in question.rules}


def test_nothing_waits_past_the_deadline_and_others_are_answered_meanwhile() -> None:
    door = Door(SlowRego(registry))
    door.policy(policy_with([rego_entry()]))
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web", "namespace": "shop"}}

    async def scenario() -> Json:
        slow = asyncio.ensure_future(door.ask(request(pod()), seconds="2s"))
        await asyncio.sleep(0.01)
        with within(0.8):
            await door.ask(request(config))
        assert not slow.done()
        return await slow

    with within(2.0):
        said = asyncio.run(scenario())
    assert said["allowed"] is False
    assert "no answer in time" in said["status"]["message"]


def test_a_rule_that_was_replaced_while_it_was_asked_is_judged_by_the_next_one() -> None:
    door: list[Door] = []

    class Replaced(FakeRego):
        """It has the answers of the newer rule alone, as of the moment at which that was loaded."""

        async def ask_soon(self, question: Question, deadline: Deadline) -> Any:
            new = door[0].state.auditor.catalogue.find("rego-registry")
            assert new is not None
            if question.rules[0].rule is not new.evaluate.rule:  # type: ignore[attr-defined]
                return {asked.rule.id: RuleFailure("the rule is not loaded") for asked in question.rules}
            if not switched:
                switched.append(True)
                asyncio.get_running_loop().call_later(
                    0.05, door[0].policy, policy_with([rego_entry(rego={"module": "newer"})])
                )
                return {asked.rule.id: RuleFailure("the rule is not loaded") for asked in question.rules}
            return await super().ask_soon(question, deadline)

    switched: list[bool] = []
    door.append(Door(Replaced(registry)))
    door[0].policy(policy_with([rego_entry()]))
    door[0].state.is_changing = lambda: True
    said = door[0].answer(request(pod()))
    assert switched
    assert "image evil.example/x:1 is not ours" in said["status"]["message"]


def test_while_nothing_changes_a_failure_is_answered_at_once() -> None:
    door = Door(FakeRego(lambda _asked, _question: RuleFailure("OPA is away")))
    door.policy(policy_with([rego_entry()]))
    with within(0.8):
        assert door.answer(request(pod()))["allowed"] is False


def own(module: str = "good") -> Json:
    return request(policy_with([rego_entry(rego={"module": module})], name="new"))


def test_a_policy_with_a_broken_rule_is_denied_with_line_and_column(door: Door) -> None:
    said = door.answer(own("broken"))
    assert said["allowed"] is False
    assert "spec.rules[0].rego.module: line 1, column 1: broken" in said["status"]["message"]
    assert door.answer(own())["allowed"] is True


def test_without_the_program_a_policy_with_rules_is_denied_with_the_command(rego: FakeRego) -> None:
    rego.unready = EngineMissingError("Install it with: iocaudit engines install opa")
    for door in (Door(rego), Door(None)):
        said = door.answer(own())
        assert said["allowed"] is False
        assert "iocaudit engines install" in said["status"]["message"]


def test_a_policy_whose_rules_nothing_can_compile_now_is_let_through(rego: FakeRego) -> None:
    rego.unready = EngineError("OPA is away")
    assert Door(rego).answer(own("broken"))["allowed"] is True, "it is refused once it is read"


def test_a_rule_of_a_configmap_warns_as_the_preset_has_it(rego: FakeRego) -> None:
    door = Door(rego)
    raw = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "ours", "namespace": "iocaudit"}}
    door.state.put(Resource({**raw, "data": {"from-map.rego": "x"}}, CLUSTER, kind=CONFIG_MAP))
    said = door.answer(request(pod()))
    assert said["allowed"] is True
    assert any("rego-from-map" in one for one in said["warnings"])
    assert door.state.world.get(NAMESPACE, None, "shop") is not None


def test_policies_whose_rules_take_long_hold_one_thread_together(door: Door) -> None:
    """Threads are few: with all of them held, large reviews and look-ups would not be answered any more."""
    at_work, most = 0, 0
    go_on, lock = threading.Event(), threading.Lock()

    def compile_slowly(rules: Sequence[Rule]) -> Mapping[str, str]:
        nonlocal at_work, most
        assert rules
        with lock:
            at_work, most = at_work + 1, max(most, at_work + 1)
        go_on.wait(60)
        with lock:
            at_work -= 1
        return {}

    door.engines.compile = compile_slowly  # type: ignore[method-assign]
    edge = RuleEdge(door.engines, door.state.superseded)
    policies = [policy_with([rego_entry()], name=f"p{n}") for n in range(20)]

    async def declared() -> None:
        asked = [request(one) for one in policies]
        bodies = [{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": one} for one in asked]
        reviews = [read_review(orjson.dumps(body)) for body in bodies]
        for review in reviews:
            await edge.compile_declared(review, door.state.auditor, Deadline.within(0.05))
        go_on.set()

    asyncio.run(declared())
    assert most == 1
