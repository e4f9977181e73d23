"""CEL as iocaudit evaluates it, with the API server's own ValidatingAdmissionPolicy as the judge."""

import re
import time
from collections.abc import Iterator, Sequence
from copy import deepcopy
from random import Random

import pytest

from devcluster.controlplane import ControlPlane
from iocaudit.core.shape import Json
from iocaudit.engine.deadline import Deadline
from iocaudit.engine.languages.answer import RuleFailure
from iocaudit.engine.languages.cel.evaluator import CelEvaluator
from iocaudit.engine.languages.cel.source import document
from iocaudit.engine.languages.rule import CelCondition, CelSource, CelValidation, Language, Rule
from tests.cluster.asking import Answer, User
from tests.cluster.drawn_cel import VARIABLES, CelDrawer, drawn_pods, misspelt
from tests.support.cel_rules import cel_program, cel_rule, question, request_for, rule_of

POLICIES = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"
BINDINGS = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings"
LABEL = "iocaudit-pack"
ACTIVE = CelValidation("false", "the policy is active")
"""The first validation of each policy: while its warning is missing, the policy is not in force yet."""
MOST_WARNED = 3600
"""Characters of warnings in one answer: from 4,096 on, the API server cuts them."""
DRAWN = 360
DATA = {"most": "3", "word": "nginx"}


@pytest.fixture(scope="module")
def evaluator() -> Iterator[CelEvaluator]:
    made = CelEvaluator(cel_program)
    yield made
    made.close()


@pytest.fixture(scope="module")
def admin(control_plane: ControlPlane) -> User:
    return User.of(control_plane.kubeconfig)


class Judge:
    """An API server with the policies of this test, in a namespace of its own."""

    def __init__(self, admin: User, namespace: str) -> None:
        self.admin, self.namespace = admin, namespace
        self._enforced: list[str] = []
        self.pods = f"/api/v1/namespaces/{namespace}/pods"
        labels = {"metadata": {"labels": {"team": "x"}}}
        patch = "application/merge-patch+json"
        self.space = self._done("PATCH", f"/api/v1/namespaces/{namespace}", labels, content_type=patch).body
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        asked = self._done("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", review)
        self.user = asked.body["status"]["userInfo"]
        params = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "params"}, "data": DATA}
        self.params = self._done("POST", f"/api/v1/namespaces/{namespace}/configmaps", params).body

    def _done(self, method: str, path: str, body: Json | None = None, content_type: str = "application/json") -> Answer:
        answer = self.admin.ask(method, path, body, content_type=content_type)
        assert answer.status < 300, answer.message
        return answer

    def refusals(self, rules: Sequence[Rule]) -> dict[str, list[str]]:
        """By id, what the API server says of the first validation of each rule where it stores no policy with it."""
        found: dict[str, list[str]] = {}
        for rule in rules:
            answer = self.admin.ask("POST", POLICIES, self._policy("checked", rule), query={"dryRun": "All"})
            if answer.status == 422:
                found[rule.id] = [cause["message"] for cause in answer.body["details"]["causes"]]
            else:
                assert answer.status == 201, answer.message
        return found

    def enforce(self, name: str, rule: Rule) -> None:
        """Have a policy judge the pods with this label, by warnings."""
        self._enforced.append(name)
        self._done("POST", POLICIES, self._policy(name, rule))
        binding = {
            "policyName": name,
            "validationActions": ["Warn"],
            "paramRef": {"name": "params", "namespace": self.namespace, "parameterNotFoundAction": "Deny"},
            "matchResources": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": self.namespace}}},
        }
        self._done(
            "POST",
            BINDINGS,
            {
                "apiVersion": "admissionregistration.k8s.io/v1",
                "kind": "ValidatingAdmissionPolicyBinding",
                "metadata": {"name": name},
                "spec": binding,
            },
        )

    @staticmethod
    def _policy(name: str, rule: Rule) -> Json:
        assert isinstance(rule.source, CelSource)
        spec = {
            "failurePolicy": "Fail",
            "paramKind": {"apiVersion": "v1", "kind": "ConfigMap"},
            "matchConstraints": {
                "objectSelector": {"matchLabels": {LABEL: name}},
                "resourceRules": [
                    {
                        "apiGroups": [""],
                        "apiVersions": ["v1"],
                        "resources": ["pods"],
                        "operations": ["CREATE", "UPDATE"],
                    }
                ],
            },
            **document(rule.source),
        }
        return {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicy",
            "metadata": {"name": name},
            "spec": spec,
        }

    def judged(self, name: str, pod: Json, old: Json | None = None) -> tuple[set[str], Json]:
        """What the API server says of a pod, once the policy is in force, and the pod as it judged it."""
        labelled = deepcopy(pod)
        labelled["metadata"].setdefault("labels", {})[LABEL] = name
        method, path = ("POST", self.pods) if old is None else ("PUT", f"{self.pods}/{pod['metadata']['name']}")
        until = time.monotonic() + 60
        while True:
            answer = self.admin.ask(method, path, labelled, query={"dryRun": "All"})
            syncing = "failed to configure binding: no params found" in answer.message
            assert answer.status < 300 or syncing, answer.message
            prefix = f"Validation failed for ValidatingAdmissionPolicy '{name}' with binding '{name}': "
            said = {one.removeprefix(prefix) for one in answer.warnings if one.startswith(prefix)}
            if said:
                return said, answer.body
            assert time.monotonic() < until, "the policy does not come into force"
            time.sleep(0.1)

    def clean(self) -> None:
        for name in self._enforced:
            self.admin.ask("DELETE", f"{BINDINGS}/{name}")
            self.admin.ask("DELETE", f"{POLICIES}/{name}")


@pytest.fixture(scope="module")
def judge(control_plane: ControlPlane, admin: User) -> Iterator[Judge]:
    """One for all tests: an API server that has lost the last policy with parameters of a kind finds no more of it."""
    control_plane.kubectl("create", "namespace", "judged-cel")
    control_plane.kubectl("create", "serviceaccount", "default", "-njudged-cel", check=False)
    made = Judge(admin, "judged-cel")
    yield made
    made.clean()
    control_plane.kubectl("delete", "namespace", "--wait=false", "judged-cel")


def said_by(evaluator: CelEvaluator, rule: Rule, judge: Judge, pod: Json, old: Json | None = None) -> set[str]:
    """What the rule says of a pod, in the words of the API server."""
    request = request_for(pod, old, namespace=judge.namespace, dryRun=True)
    request["userInfo"] = judge.user
    asked = question([rule], request, judge.params, judge.space)
    answer = evaluator.ask(asked, Deadline.within(30))[rule.id]
    if isinstance(answer, RuleFailure):
        return {re.sub(r"^validations\[0\]: | \(and \d+ more\)$", "", answer.reason)}
    failed = re.compile(r"^cannot be evaluated: validations\[\d+\]: ")
    return {failed.sub("", one.message) for one in answer}


def drawn_rules(random: Random, count: int) -> list[Rule]:
    """Rules of one validation each, every second with variables, every fourth with a match condition."""
    made = []
    for number in range(count):
        drawer = CelDrawer(random, composed=number % 2 == 0)
        variables = tuple(CelCondition(name, text) for name, (_, text) in VARIABLES.items())
        conditions = (CelDrawer(random, composed=False).condition("drawn"),) if number % 4 == 1 else ()
        source = CelSource((drawer.validation(),), variables if number % 2 == 0 else (), conditions)
        made.append(rule_of(f"cel-drawn-{number}", Language.CEL, source))
    return made


def packed(rules: Sequence[Rule]) -> Iterator[Rule]:
    """Rules with the same variables in one, as many as an answer has warnings for."""
    held: list[CelValidation] = []
    size = 0
    variables: tuple[CelCondition, ...] = ()
    conditions: tuple[CelCondition, ...] = ()
    for rule in [*rules, None]:
        source = rule.source if rule is not None else None
        assert source is None or isinstance(source, CelSource)
        longest = 160 + len(source.validations[0].expression) + 80 if source is not None else 0
        if held and (source is None or size + longest > MOST_WARNED):
            yield rule_of("cel-pack", Language.CEL, CelSource((ACTIVE, *held), variables, conditions))
            held, size, conditions = [], 0, ()
        if source is not None:
            held += source.validations
            size += longest
            variables, conditions = source.variables, conditions or source.match_conditions


@pytest.mark.parametrize("seed", [1])
def test_the_api_server_stores_the_same_expressions(judge: Judge, evaluator: CelEvaluator, seed: int) -> None:
    """Accepted alike; what is refused is refused at the same place, for the same reason."""
    random = Random(seed)
    rules = drawn_rules(random, 120)
    for number, rule in enumerate(drawn_rules(random, 240)):
        assert isinstance(rule.source, CelSource)
        (one,) = rule.source.validations
        wrong = CelValidation(misspelt(random, one.expression), one.message, one.message_expression)
        rules.append(rule_of(f"cel-wrong-{number}", Language.CEL, CelSource((wrong,), rule.source.variables)))
    refused, broken = judge.refusals(rules), evaluator.check(rules)
    assert {rule.id: broken.get(rule.id) for rule in rules if (rule.id in refused) != (rule.id in broken)} == {}
    assert 120 < len(refused) < 300
    for id_, said in refused.items():
        for place in re.finditer(r"ERROR: <input>:(\d+):(\d+): ([^\n]+)", "\n".join(said)):
            assert f":{place[1]}:{place[2]}: {place[3]}" in broken[id_]


@pytest.mark.parametrize("seed", [2])
def test_the_api_server_says_the_same_of_every_pod(judge: Judge, evaluator: CelEvaluator, seed: int) -> None:
    """True, false with the same message, or the same error: hundreds of expressions on pods made and changed."""
    random = Random(seed)
    drawn = drawn_rules(random, DRAWN)
    broken = evaluator.check(drawn)
    good = [rule for rule in drawn if rule.id not in broken]
    assert len(good) > 0.8 * DRAWN
    with_variables = [rule for rule in good if isinstance(rule.source, CelSource) and rule.source.variables]
    without = [rule for rule in good if rule not in with_variables]
    packs = {f"p{seed}x{number}": rule for number, rule in enumerate([*packed(with_variables), *packed(without)])}
    pods = drawn_pods(random, 5)
    kept = judge._done("POST", judge.pods, {**pods[0], "metadata": {"name": "kept", "labels": {"app": "old"}}}).body
    compared = {"violations": 0, "errors": 0}
    for name, rule in packs.items():
        judge.enforce(name, rule)
    for name, rule in packs.items():
        evaluator.load([rule])
        changed = deepcopy(kept)
        changed["metadata"]["labels"] = {"app": random.choice(["web", "x"])}
        changed["spec"]["containers"][0]["image"] = "other"
        for pod, old in [*((pod, None) for pod in pods), (changed, kept)]:
            theirs, judged = judge.judged(name, pod, old)
            # What is evaluated of a map has no order, and so has which of two errors is told.
            for _ in range(8):
                ours = said_by(evaluator, rule, judge, judged, old)
                if ours == theirs:
                    break
            assert ours == theirs, (rule, pod)
            compared["errors"] += sum("resulted in error" in one for one in theirs)
            compared["violations"] += sum("resulted in error" not in one for one in theirs) - 1
    assert compared["violations"] > 300
    assert compared["errors"] > 100


def test_the_limits_of_cost_are_the_same(judge: Judge, evaluator: CelEvaluator) -> None:
    """Of an expression, of a policy, and of messages: what is too costly there is too costly here."""
    nested = "object.spec.containers.all(a, object.spec.containers.all(b, object.spec.containers.all(c, {})))"
    deep = nested.format("object.spec.containers.all(d, {})")
    one_call = cel_rule(
        "one",
        ACTIVE,
        nested.format("a.name + b.name != c.image"),
        deep.format("a.name != ''"),
        deep.format("a.name + b.name + c.name + d.name != ''"),
    )
    share = nested.format("a.name + b.name + c.name != '{}'")
    together = cel_rule("together", ACTIVE, *(share.format(number) for number in range(60)))
    saying = nested.format("a.name + b.name + c.name != ''") + " ? 'a' : 'b'"
    messages = cel_rule("messages", ACTIVE, *(CelValidation("true", "m", saying) for _ in range(60)))
    composed = cel_rule(
        "composed",
        ACTIVE,
        "variables.one && variables.one && variables.two",
        variables={"one": share, "two": deep.format("a.name + b.name + c.name != ''")},
    )
    rules = {"cost-one": one_call, "cost-together": together, "cost-messages": messages, "cost-composed": composed}
    outcomes = []
    for name, rule in rules.items():
        judge.enforce(name, rule)
    for name, rule in rules.items():
        evaluator.load([rule])
        for count in (2, 20, 40):
            containers = [{"name": f"c{number}", "image": "nginx"} for number in range(count)]
            pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": {"containers": containers}}
            theirs, judged = judge.judged(name, pod)
            assert said_by(evaluator, rule, judge, judged) == theirs, (name, count)
            outcomes += [(name, "cost" in one) for one in theirs]
    for name in rules:
        assert {costly for of, costly in outcomes if of == name} == {True, False}, name
