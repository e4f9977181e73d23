"""Events on ConfigMaps whose modules cannot be used."""

from __future__ import annotations

from datetime import UTC, datetime

from iocaudit.cluster.errors import ForbiddenError
from iocaudit.controller.policies import Policies
from iocaudit.controller.policy_events import EVENT
from iocaudit.controller.rule_events import event_body, tell_of_module
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.live.modules import ModuleProblem
from tests.support.api import FakeApi
from tests.support.fake_rego import FakeRego, engines_with

PROBLEM = ModuleProblem("ours", "uid-ours", "a.rego", "line 3, column 1: broken\x1b[31m", kept=True)
NOW = datetime(2026, 12, 1, 8, 30, tzinfo=UTC)


def test_it_names_the_configmap_the_key_the_place_and_what_follows() -> None:
    body = event_body("iocaudit", PROBLEM, NOW)
    assert body["metadata"]["namespace"] == "iocaudit"
    assert body["involvedObject"] == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "name": "ours",
        "namespace": "iocaudit",
        "uid": "uid-ours",
    }
    assert body["message"].startswith("data['a.rego']: line 3, column 1: broken")
    assert "\x1b" not in body["message"]
    assert body["message"].endswith("its last good version stays in force")
    assert event_body("iocaudit", PROBLEM, NOW)["metadata"] == body["metadata"]


def test_the_same_problem_makes_one_event_and_a_refusal_stops_nothing() -> None:
    api = FakeApi("iocaudit")
    tell_of_module(api, "iocaudit", PROBLEM)
    tell_of_module(api, "iocaudit", PROBLEM)
    assert len(api.stored("events")) == 1

    def refuse(method: str, path: str) -> None:
        raise ForbiddenError(f"{method} {path}", 403, "Forbidden", "no")

    api.before = refuse
    tell_of_module(api, "iocaudit", PROBLEM._replace(key="b.rego"))


def test_each_new_problem_is_told_once() -> None:
    api = FakeApi("iocaudit")
    policies = Policies(builtin_catalogue(), engines=engines_with(FakeRego(lambda _asked, _question: ())))
    maps = [{"metadata": {"name": "ours", "uid": "u"}, "data": {"a.rego": "broken", "b.rego": "fine"}}]
    for _ in range(2):
        policies.load([], maps)
        policies.tell_of_modules(api, "iocaudit")
    assert [one["involvedObject"]["name"] for one in api.stored("events")] == ["ours"]
    assert api.writes["POST", EVENT.plural] == 1
