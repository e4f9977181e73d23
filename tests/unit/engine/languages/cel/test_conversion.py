import copy
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from iocaudit.core.shape import Json
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.engine.deadline import Deadline
from iocaudit.engine.languages.answer import RuleAnswer, Violation
from iocaudit.engine.languages.cel.conversion import ConversionError, converted
from iocaudit.engine.languages.cel.evaluator import CelEvaluator
from iocaudit.engine.policy_reader import read_policy
from iocaudit.engine.presets import Mode
from tests.support.cel_rules import cel_program, pod, question, request_for

PAGE = Path(__file__).parents[5] / "docs" / "cel.md"
LIMITS = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "limits"}, "data": {"most": "3"}}
BLOCKS = [
    [one for one in yaml.safe_load_all(text) if one]
    for text in re.findall(r"^```yaml\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
]
OWN, ADMISSION, FROM_ADMISSION, KYVERNO, FROM_KYVERNO = BLOCKS


def answers(policy: Json, *judged: Json) -> list[RuleAnswer]:
    """What the rule of a policy says of objects."""
    evaluator = CelEvaluator(cel_program)
    try:
        read = read_policy(policy, builtin_catalogue(), compile_rules=evaluator.check)
        (rule,) = [one.rule for one in read.declared]
        evaluator.load([rule])
        asked = [question([rule], request_for(one), dict(rule.parameters)) for one in judged]
        return [evaluator.ask(one, Deadline.within(10))[rule.id] for one in asked]
    finally:
        evaluator.close()


def deployment(replicas: int) -> Json:
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {"replicas": replicas}}


def test_the_own_rule_of_the_page_judges() -> None:
    good = pod(containers=[{"name": "a", "image": "hooli.com/a"}])
    bad = pod(containers=[{"name": "a", "image": "evil.com/a"}, {"name": "b", "image": "nginx"}])
    said = (Violation("images of other registries: evil.com/a, nginx"),)
    assert answers(OWN[0], good, bad) == [(), said]


def test_the_validatingadmissionpolicy_of_the_page_is_converted_and_judges() -> None:
    assert converted(ADMISSION, params=LIMITS) == FROM_ADMISSION
    said = (Violation("at most 3 replicas are for this namespace"),)
    assert answers(FROM_ADMISSION[0], deployment(3), deployment(4)) == [(), said]


def test_the_validatingpolicy_of_the_page_is_converted_and_judges() -> None:
    assert converted(KYVERNO) == FROM_KYVERNO
    shell = pod(containers=[{"name": "a", "image": "a", "command": ["/bin/sh", "-c", "id"]}])
    platform = copy.deepcopy(shell)
    platform["metadata"]["name"] = "platform-a"
    plain = pod(containers=[{"name": "a", "image": "a"}])
    assert answers(FROM_KYVERNO[0], shell, platform, plain) == [(Violation("a container starts a shell"),), (), ()]


def changed(document: Json, path: str, value: Any) -> Json:
    made = copy.deepcopy(document)
    *folders, last = path.split(".")
    place: Any = made
    for one in folders:
        place = place[int(one)] if one.isdigit() else place.setdefault(one, {})
    place[last] = value
    return made


RULE = "spec.matchConstraints.resourceRules.0"
REFUSED = [
    ("spec.auditAnnotations", [{"key": "a", "valueExpression": "'b'"}], "spec.auditAnnotations: annotations"),
    ("spec.paramKind", {"apiVersion": "v1", "kind": "ConfigMap"}, "spec.paramKind: the parameters of a rule stand"),
    ("spec.matchConstraints.objectSelector", {"matchLabels": {"a": "b"}}, "objectSelector: write it as a match"),
    ("spec.matchConstraints.excludeResourceRules", [{"resources": ["x"]}], "excludeResourceRules: name the kinds"),
    ("spec.matchConstraints.resourceRules", [], "resourceRules: it has to say what the policy is for"),
    (f"{RULE}.resourceNames", ["a"], "resourceRules[0].resourceNames: write it as a match condition"),
    (f"{RULE}.resources", ["*"], "resourceRules[0].resources: core *: name kinds"),
    (f"{RULE}.resources", ["pods/exec"], "resourceRules[0].resources: core pods/exec: name kinds"),
    (f"{RULE}.resources", ["secrets"], "resourceRules[0].resources: secrets of core is not read by an auditor"),
    (f"{RULE}.resources", ["widgets"], "resourceRules[0].resources: widgets of core is not read by an auditor"),
    (f"{RULE}.apiVersions", ["v1beta9"], "resourceRules[0].apiVersions: Pod is read as v1"),
    (f"{RULE}.operations", ["*"], "resourceRules[0].operations: *: rules are asked on CREATE and UPDATE alone"),
    (f"{RULE}.operations", ["CREATE", "DELETE"], "resourceRules[0].operations: DELETE: rules are asked"),
    (f"{RULE}.operations", [], "resourceRules[0].operations: it has to name them"),
    (f"{RULE}.scope", "Cluster", "resourceRules[0].scope: Cluster leaves out"),
    ("spec.validations", [], "spec.validations: it has none"),
    ("spec.validations.0.imageVerify", "x", "spec.validations[0].imageVerify: it has no counterpart"),
    ("spec.validationActions", ["Shrug"], "validationActions: Shrug: it has to be Deny, Warn, Audit"),
    ("spec.autogen", {"somethingElse": True}, "spec.autogen.somethingElse: it has no counterpart"),
    ("spec.evaluation", {"mode": "JSON"}, "spec.evaluation.mode: only objects of Kubernetes"),
    ("spec.evaluation", {"admission": {"enabled": False}}, "spec.evaluation.admission: "),
    ("spec.webhookConfiguration", {"timeoutSeconds": 3}, "spec.webhookConfiguration: the webhook's deadline"),
    ("spec.generate", [1], "spec.generate: it has no counterpart"),
    ("metadata.name", "---", "metadata.name: a rule is named after it"),
]


@pytest.mark.parametrize(("path", "value", "said"), REFUSED, ids=[path for path, _, _ in REFUSED])
def test_what_a_rule_cannot_hold_is_refused_by_name(path: str, value: Any, said: str) -> None:
    with pytest.raises(ConversionError) as caught:
        converted([changed(KYVERNO[0], path, value)])
    assert said in str(caught.value)
    assert str(caught.value).startswith("ValidatingPolicy ")


def test_a_namespaceselector_does_not_leave_out_what_is_in_no_namespace() -> None:
    selector = changed(KYVERNO[0], "spec.matchConstraints.namespaceSelector", {"matchLabels": {"a": "b"}})
    assert converted([selector])[0]["spec"]["match"] == {"namespaceSelector": {"matchLabels": {"a": "b"}}}
    both = changed(selector, f"{RULE}.resources", ["pods", "namespaces"])
    with pytest.raises(ConversionError, match="namespaceSelector: Namespace is in no namespace"):
        converted([both])


def test_two_bindings_are_refused_and_so_are_two_selectors() -> None:
    policy, binding = ADMISSION
    with pytest.raises(ConversionError, match="it has several bindings"):
        converted([policy, binding, binding], params=LIMITS)
    selected = changed(policy, "spec.matchConstraints.namespaceSelector", {"matchLabels": {"a": "b"}})
    with pytest.raises(ConversionError, match="the binding has one as well"):
        converted([selected, binding], params=LIMITS)


@pytest.mark.parametrize(
    ("actions", "mode", "expected"),
    [
        (["Deny"], None, "deny"),
        (["Audit", "Warn"], None, "warn"),
        (["Audit"], None, "audit"),
        (["Deny"], Mode.WARN, "warn"),
        ([], None, "audit"),
    ],
)
def test_actions_become_the_mode(actions: list[str], mode: Mode | None, expected: str) -> None:
    policy = changed(KYVERNO[0], "spec.validationActions", actions)
    assert converted([policy], mode=mode)[0]["spec"]["rules"][0]["mode"] == expected


def test_failurepolicy_ignore_allows_on_a_fault_and_no_controllers_judge_no_templates() -> None:
    policy = changed(KYVERNO[0], "spec.failurePolicy", "Ignore")
    policy = changed(policy, "spec.autogen", {"podControllers": {"controllers": []}})
    spec = converted([policy])[0]["spec"]
    assert spec["onFault"] == "allow"
    assert spec["rules"][0]["podTemplates"] is False


@pytest.mark.parametrize("documents", [[], [ADMISSION[1]], [{"apiVersion": "v1", "kind": "ValidatingPolicy"}]])
def test_nothing_to_convert_is_said(documents: list[Json]) -> None:
    with pytest.raises(ConversionError, match="holds no policy that can be converted"):
        converted(documents)


@pytest.mark.parametrize("spec", [None, [], "x", {"matchConstraints": 3}, {"matchConstraints": {"resourceRules": [1]}}])
def test_any_shape_is_refused_with_a_reason(spec: Any) -> None:
    with pytest.raises(ConversionError, match="cannot be converted"):
        converted([{**KYVERNO[0], "spec": spec}])
