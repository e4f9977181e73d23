"""Rules in Rego as tests write them, and the evaluators that answer for them."""

from __future__ import annotations

from typing import Any

from iocaudit.core.kinds import POD
from iocaudit.core.severity import Severity
from iocaudit.core.shape import Json
from iocaudit.engine.deadline import Deadline
from iocaudit.engine.languages.answer import RuleAnswer, RuleFailure
from iocaudit.engine.languages.evaluator import Evaluator
from iocaudit.engine.languages.question import AskedRule, Question
from iocaudit.engine.languages.rule import Language, RegoSource, Rule

REGISTRY_V0 = """\
package kubernetes.admission

deny[msg] {
  input.request.kind.kind == "Pod"
  image := input.request.object.spec.containers[_].image
  not startswith(image, "hooli.com/")
  msg := sprintf("image '%v' comes from untrusted registry", [image])
}
"""
REGISTRY_V1 = """\
package kubernetes.admission

deny contains msg if {
	input.request.kind.kind == "Pod"
	some container in input.request.object.spec.containers
	not startswith(container.image, "hooli.com/")
	msg := sprintf("image '%v' comes from untrusted registry", [container.image])
}
"""
"""The policy of the mission: Pods run images of one registry alone."""


def rego_rule(module: str, *libraries: str, name: str = "test") -> Rule:
    """A rule for Pods."""
    source = RegoSource(module, libraries)
    return Rule(f"rego-{name}", Language.REGO, source, (POD,), Severity.HIGH, f"rule {name}")


def pod_with(*images: str) -> Json:
    """A Pod with a container for each image, called c0, c1 and so on."""
    containers = [{"name": f"c{i}", "image": image} for i, image in enumerate(images)]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}, "spec": {"containers": containers}}


def creation(body: Json, **fields: Any) -> Json:
    """The AdmissionRequest that creates an object."""
    group, _, version = body.get("apiVersion", "v1").rpartition("/")
    kind = {"group": group, "version": version, "kind": body.get("kind", "Pod")}
    asked = {"operation": "CREATE", "kind": kind, "name": "web", "namespace": "shop", "userInfo": {}}
    return {**asked, "object": body, "oldObject": None, **fields}


def question_of(*rules: Rule, request: Json | None = None, parameters: Json | None = None, **fields: Any) -> Question:
    asked = tuple(AskedRule(rule, parameters or {}) for rule in rules)
    return Question(asked, request or creation(pod_with("nginx")), **fields)


def answer_of(evaluator: Evaluator, rule: Rule, seconds: float = 10.0, **fields: Any) -> RuleAnswer:
    """What a rule answers when it is asked by itself."""
    return evaluator.ask(question_of(rule, **fields), Deadline.within(seconds))[rule.id]


def messages_of(answer: RuleAnswer) -> list[str]:
    """The messages of an answer, which has to be one."""
    assert not isinstance(answer, RuleFailure), answer.reason
    return sorted(one.message for one in answer)


def reason_of(answer: RuleAnswer) -> str:
    """Why a rule failed, which it has to have."""
    assert isinstance(answer, RuleFailure), answer
    return answer.reason
