"""Audits and requests that ask: one question an input and language, what its answers become, however they come."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from iocaudit.core.kinds import DEPLOYMENT, INGRESS, NAMESPACE, POD, SERVICE
from iocaudit.core.report import Report
from iocaudit.core.request import Operation, Request
from iocaudit.core.resource import ADMISSION, CLUSTER, Resource
from iocaudit.core.severity import Severity
from iocaudit.core.world import World
from iocaudit.engine.audit import Auditor
from iocaudit.engine.catalogue import Catalogue, builtin_catalogue
from iocaudit.engine.deadline import Deadline
from iocaudit.engine.languages.answer import RuleAnswer, RuleFailure, Violation
from iocaudit.engine.languages.as_checks import check_of, rule_of
from iocaudit.engine.languages.asking import AskingAtOnce, CollectedAnswers, judged
from iocaudit.engine.languages.question import AskedRule, Question
from iocaudit.engine.languages.rule import Language, Rule
from iocaudit.engine.policy_reader import read_policies
from iocaudit.engine.policy_set import PolicySet
from iocaudit.engine.posture import Verdict
from iocaudit.engine.waiver_reader import read_waiver
from iocaudit.engine.waivers import Waivers
from iocaudit.judging.review import ask_ahead, decide
from iocaudit.sources.admission_review import Review
from tests.support.auditing import asked, container, cron_job, pod, world_of
from tests.support.evaluator import FakeEvaluator
from tests.support.rules import cel, cel_entry, policy_with, rego, rego_entry


def _nothing(asked_rule: AskedRule, question: Question) -> RuleAnswer:
    return ()


Json = dict[str, Any]


class Asked:
    """An auditor of some rules, and the questions that it asked."""

    def __init__(
        self,
        *rules: Rule,
        given: Any = _nothing,
        world: World | None = None,
        policies: Iterable[Mapping[str, Any]] = (),
    ) -> None:
        self.evaluators = {language: FakeEvaluator(given) for language in Language}
        for evaluator in self.evaluators.values():
            evaluator.load(rules)
        catalogue = Catalogue(map(check_of, rules))
        known = read_policies(policies, catalogue)
        self.auditor = Auditor(catalogue, known, world or World(), answers=AskingAtOnce(self.evaluators))

    def audit(self, raw: dict[str, Any], **given: Any) -> Report:
        return self.auditor.audit(Resource(raw, ADMISSION), **given)

    @property
    def questions(self) -> list[Question]:
        return [question for one in self.evaluators.values() for question in one.questions]


def _deployment(**spec: Any) -> dict[str, Any]:
    template = {"metadata": {"labels": {"app": "web"}}, "spec": pod(**spec)["spec"]}
    meta = {"name": "web", "namespace": "shop"}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": {"template": template}}


def test_the_rules_of_a_language_are_one_question() -> None:
    one = Asked(rego("a"), rego("b"), cel("c"))
    one.audit(pod())
    assert [[rule.rule.id for rule in question.rules] for question in one.questions] == [
        ["rego-a", "rego-b"],
        ["cel-c"],
    ]


def test_what_stands_is_asked_as_created_by_nobody() -> None:
    one = Asked(rego("a"))
    one.audit(pod())
    request = one.questions[0].request
    assert request["operation"] == "CREATE"
    assert request["userInfo"] == {"username": "", "groups": []}
    assert request["kind"] == {"group": "", "version": "v1", "kind": "Pod"}
    assert request["resource"]["resource"] == "pods"
    assert (request["namespace"], request["name"], request["oldObject"]) == ("shop", "web", None)
    assert request["object"] == pod()


def test_a_request_is_asked_as_it_was_made() -> None:
    one = Asked(rego("a"))
    old = Resource(pod(container(image="a")), ADMISSION)
    one.audit(pod(), request=asked(Operation.UPDATE, groups=("dev",), dry_run=True), old=old)
    request = one.questions[0].request
    assert request["operation"] == "UPDATE"
    assert request["userInfo"] == {"username": "alice", "groups": ["dev"]}
    assert request["dryRun"] is True
    assert request["oldObject"] == old.raw


def test_an_update_without_an_old_object_leaves_it_as_it_is() -> None:
    one = Asked(rego("a"))
    one.audit(pod(), request=asked(Operation.UPDATE))
    assert one.questions[0].request["oldObject"] == pod()


def test_a_template_is_judged_as_the_pod_that_is_made_of_it() -> None:
    def image(rule: AskedRule, question: Question) -> RuleAnswer:
        return (Violation("bad image", "spec.containers[0].image", "x"), Violation("bad label", "metadata.labels.app"))

    one = Asked(rego("a"), given=image)
    report = one.audit(_deployment(), request=asked(Operation.UPDATE))
    request = one.questions[0].request
    assert request["object"]["kind"] == "Pod"
    assert request["object"]["metadata"] == {
        "name": "web-pod",
        "generateName": "web-",
        "namespace": "shop",
        "labels": {"app": "web"},
    }
    assert request["operation"] == "CREATE"
    assert request["oldObject"] is None
    assert sorted(found.hit.path for found in report.found) == [
        "spec.template.metadata.labels.app",
        'spec.template.spec.containers["app"].image',
    ]
    assert {found.subject.kind for found in report.found} == {"Deployment"}


def test_the_hits_of_a_template_read_as_those_of_its_pods() -> None:
    def named(rule: AskedRule, question: Question) -> RuleAnswer:
        name = question.request["object"]["metadata"]["name"]
        return (Violation(f"{name} has a bad image"), Violation(f"{name} is root", "spec.securityContext"))

    one = Asked(rego("a"), given=named)
    template = {found.in_template for found in one.audit(_deployment()).found}
    made = {found.in_template for found in one.audit(pod(metadata={"name": "web-6b5c-xyz"})).found}
    assert template == made
    assert len(made) == 2


def test_the_deepest_template_is_found() -> None:
    one = Asked(rego("a"), given=lambda rule, question: (Violation("x", "spec.hostNetwork"),))
    (found,) = one.audit(cron_job(pod()["spec"])).found
    assert found.hit.path == "spec.jobTemplate.spec.template.spec.hostNetwork"


def test_a_rule_may_leave_templates_out() -> None:
    one = Asked(rego("a", pod_templates=False))
    assert not one.audit(_deployment()).found
    assert not one.questions


def test_a_rule_for_both_is_asked_of_both() -> None:
    one = Asked(rego("a", kinds=(POD, DEPLOYMENT)))
    one.audit(_deployment())
    assert [question.request["object"]["kind"] for question in one.questions] == ["Deployment", "Pod"]


def test_a_failure_is_a_fault_of_that_rule_alone() -> None:
    def given(rule: AskedRule, question: Question) -> RuleAnswer:
        return RuleFailure("it divides by zero") if rule.rule.id == "rego-a" else (Violation("x"),)

    report = Asked(rego("a"), rego("b"), given=given).audit(pod())
    assert [(fault.check, fault.error) for fault in report.faults] == [("rego-a", "it divides by zero")]
    assert [found.check for found in report.found] == ["rego-b"]


def test_an_answer_with_a_broken_path_is_a_fault_and_no_half_of_it_counts() -> None:
    report = Asked(rego("a"), given=lambda r, q: (Violation("x"), Violation("y", "spec..")))
    found = report.audit(pod())
    assert not found.found
    assert "path" in found.faults[0].error


def test_without_anything_that_evaluates_a_rule_fails_and_says_what_to_do() -> None:
    catalogue = Catalogue([check_of(rego("a")), check_of(cel("b"))])
    report = Auditor(catalogue, read_policies((), catalogue), World()).audit(Resource(pod(), ADMISSION))
    assert [fault.check for fault in report.faults] == ["cel-b", "rego-a"]
    assert all("iocaudit engines install" in fault.error for fault in report.faults)


def test_a_rule_without_an_answer_fails() -> None:
    class Silent(FakeEvaluator):
        def ask(self, question: Question, deadline: Deadline) -> Mapping[str, RuleAnswer]:
            return {}

    rule = rego("a")
    catalogue = Catalogue([check_of(rule)])
    answers = AskingAtOnce({Language.REGO: Silent(_nothing)})
    report = Auditor(catalogue, read_policies((), catalogue), World(), answers=answers).audit(
        Resource(pod(), ADMISSION)
    )
    assert "no answer" in report.faults[0].error


def test_after_the_deadline_nothing_is_asked() -> None:
    one = Asked(rego("a"))
    report = one.audit(pod(), request=asked(), deadline=Deadline(0.0, lambda: 1.0))
    assert [fault.error for fault in report.faults] == ["the audit ran out of time"]
    assert not one.questions


def test_what_a_rule_needs_is_sent_with_it_alone() -> None:
    ingress = {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "i", "namespace": "shop"}}
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": {"team": "a"}}}
    world = world_of([Resource(ingress, ADMISSION), Resource(space, ADMISSION)])
    one = Asked(rego("a", needs=(INGRESS, NAMESPACE)), rego("b"), world=world)
    one.audit(pod())
    by_rule = {question.rules[0].rule.id: question for question in one.questions}
    assert by_rule["rego-a"].inventory == {
        "namespace": {"shop": {"networking.k8s.io/v1": {"Ingress": {"i": ingress}}}},
        "cluster": {"v1": {"Namespace": {"shop": space}}},
    }
    assert by_rule["rego-b"].inventory is None
    assert by_rule["rego-b"].namespace == space


def test_a_rule_whose_kinds_are_not_known_whole_is_skipped() -> None:
    one = Asked(rego("a", needs=(SERVICE,)), rego("b"), world=world_of([], {SERVICE: "not allowed to list them"}))
    report = one.audit(pod())
    assert [(skipped.check, skipped.reason) for skipped in report.skipped] == [
        ("rego-a", "needs all services of the cluster: not allowed to list them")
    ]
    assert len(one.questions) == 1


def test_a_policy_sets_mode_severity_and_parameters() -> None:
    rule = rego("a", parameters={"registry": "hooli.com", "depth": 1})
    entry = {"ids": ["rego-a"], "severity": "critical", "parameters": {"registry": "acme.io"}}
    policy = {"kind": "AuditPolicy", "metadata": {"name": "p"}, "spec": {"checks": [entry]}}
    one = Asked(rule, given=lambda r, q: (Violation("x", severity=Severity.LOW),), policies=[policy])
    (found,) = one.audit(pod()).found
    assert found.severity is Severity.CRITICAL
    assert one.questions[0].rules[0].parameters == {"registry": "acme.io", "depth": 1}


def test_a_policy_turns_a_rule_off() -> None:
    policy = {
        "kind": "AuditPolicy",
        "metadata": {"name": "p"},
        "spec": {"checks": [{"groups": ["rego"], "mode": "off"}]},
    }
    one = Asked(rego("a"), policies=[policy])
    one.audit(pod())
    assert not one.questions


def test_a_rule_for_updates_alone_is_asked_of_updates_alone() -> None:
    one = Asked(cel("a", operations=(Operation.UPDATE,)))
    one.audit(pod())
    one.audit(pod(), request=asked())
    assert not one.questions
    one.audit(pod(), request=asked(Operation.UPDATE))
    assert len(one.questions) == 1


def test_a_rule_for_creations_alone_does_not_judge_the_update_of_a_pod() -> None:
    one = Asked(cel("a", operations=(Operation.CREATE,)))
    one.audit(pod(), request=asked(Operation.UPDATE))
    assert not one.questions
    one.audit(_deployment(), request=asked(Operation.UPDATE))
    assert len(one.questions) == 1


def test_no_credential_of_an_answer_is_shown() -> None:
    token = "ghp_" + "a1B2" * 9
    one = Asked(rego("a"), given=lambda r, q: (Violation(f"token {token}"),))
    (found,) = one.audit(pod()).found
    assert token not in found.message
    assert token not in found.hit.evidence
    failing = Asked(rego("a"), given=lambda r, q: RuleFailure(f"bad {token}"))
    assert token not in failing.audit(pod()).faults[0].error


def test_an_auditor_that_asks_elsewhere_shares_what_was_planned() -> None:
    one = Asked(rego("a"))
    request: Request = asked()
    one.audit(pod(), request=request)
    other = one.auditor.asking(AskingAtOnce({}))
    report = other.audit(Resource(pod(), ADMISSION), request=request)
    assert report.faults
    assert other._plans is one.auditor._plans


# -- requests ------------------------------------------------------------------------------------------------

CATALOGUE = builtin_catalogue()
NOW = datetime(2026, 12, 1, tzinfo=UTC)


def _review(raw: Json, old: Json | None = None, **given: Any) -> Review:
    operation = Operation.CREATE if old is None else Operation.UPDATE
    request = asked(operation, **given)
    before = Resource(old, ADMISSION) if old is not None else None
    return Review("1", request, Resource(raw, ADMISSION), before, raw["kind"])


def _evaluators(policies: PolicySet, given: Any) -> dict[Language, FakeEvaluator]:
    found = {language: FakeEvaluator(given) for language in Language}
    rules = [rule for check in policies.catalogue if (rule := rule_of(check)) is not None]
    for evaluator in found.values():
        evaluator.load(rules)
    return found


def _auditor(policies: PolicySet, waivers: Waivers | None = None) -> Auditor:
    accept = waivers.acceptor(lambda: NOW) if waivers is not None else None
    return Auditor(CATALOGUE, policies, World(), accept)


def _at_once(
    policies: PolicySet, given: Any, review: Review, waivers: Waivers | None = None, owners: Any = ()
) -> Verdict:
    auditor = _auditor(policies, waivers).asking(AskingAtOnce(_evaluators(policies, given)))
    return decide(review, auditor, Deadline.within(60), owners)


def _collected(
    policies: PolicySet, given: Any, review: Review, waivers: Waivers | None = None, owners: Any = ()
) -> Verdict:
    return _in_rounds(policies, given, review, waivers, owners, ahead=False)[0]


def _ahead(
    policies: PolicySet, given: Any, review: Review, waivers: Waivers | None = None, owners: Any = ()
) -> Verdict:
    return _in_rounds(policies, given, review, waivers, owners, ahead=True)[0]


def _in_rounds(
    policies: PolicySet, given: Any, review: Review, waivers: Waivers | None = None, owners: Any = (), *, ahead: bool
) -> tuple[Verdict, int, list[Question]]:
    """The verdict, how often the request was judged for it, and what was asked."""
    evaluators = _evaluators(policies, given)
    answers = CollectedAnswers(evaluators)
    auditor = _auditor(policies, waivers).asking(answers)
    deadline = Deadline.within(60)
    rounds = 0

    async def judge() -> Verdict:
        nonlocal rounds
        rounds += 1
        return decide(review, auditor, deadline, owners)

    async def ask() -> None:
        ask_ahead(review, auditor, deadline)

    verdict = asyncio.run(judged(judge, answers, deadline, ask if ahead else None))
    questions = [question for one in evaluators.values() for question in one.questions]
    assert len(questions) == len(set(map(repr, questions))), "a question was fetched twice"
    return verdict, rounds, questions


def _policies(*entries: Json, **spec: Any) -> PolicySet:
    return read_policies([policy_with(entries, **spec)], CATALOGUE)


def _denied(verdict: Verdict) -> list[str]:
    return sorted({found.check for found in verdict.denials})


def _transition(rule: AskedRule, question: Question) -> RuleAnswer:
    """A label may not change once it is set."""
    now, old = question.request["object"], question.request["oldObject"]
    if old is None or now["metadata"].get("labels") == old["metadata"].get("labels"):
        return ()
    return (Violation("the label changes", "metadata.labels"),)


def test_a_rule_about_a_transition_denies_it() -> None:
    policies = _policies(rego_entry())
    before, after = pod(metadata={"labels": {"a": "1"}}), pod(metadata={"labels": {"a": "2"}})
    for decided in (_at_once, _collected, _ahead):
        assert _denied(decided(policies, _transition, _review(after, before))) == ["rego-registry"]
        assert decided(policies, _transition, _review(before, before)).allowed


def _image(rule: AskedRule, question: Question) -> RuleAnswer:
    found = question.request["object"]["spec"]["containers"]
    return tuple(
        Violation(f"image {one['image']}", f"spec.containers[{at}].image", one["image"])
        for at, one in enumerate(found)
        if one["image"].startswith("evil")
    )


def test_what_was_there_before_is_not_introduced() -> None:
    policies = _policies(rego_entry())
    bad, labelled = pod(container(image="evil/a")), pod(container(image="evil/a"), metadata={"labels": {"x": "y"}})
    for decided in (_at_once, _collected, _ahead):
        assert _denied(decided(policies, _image, _review(bad))) == ["rego-registry"]
        assert decided(policies, _image, _review(labelled, bad)).allowed
        assert not decided(policies, _image, _review(pod(container(image="evil/b")), bad)).allowed


def _stored(image: str) -> Json:
    spec = {"replicas": 1, "template": {"metadata": {}, "spec": pod(container(image=image))["spec"]}}
    meta = {"name": "web", "namespace": "shop", "uid": "u1"}
    return {"apiVersion": "apps/v1", "kind": DEPLOYMENT.name, "metadata": meta, "spec": spec, "status": {"replicas": 1}}


def test_a_pod_of_a_template_that_runs_is_spared() -> None:
    policies = _policies(rego_entry())
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "u1", "controller": True}
    made = pod(container(image="evil/a"), metadata={"name": "web-1", "ownerReferences": [reference]})
    owner = Resource(_stored("evil/a"), CLUSTER)
    for decided in (_at_once, _collected, _ahead):
        assert _denied(decided(policies, _image, _review(made))) == ["rego-registry"]
        verdict = decided(policies, _image, _review(made), owners=[owner])
        assert verdict.allowed, verdict.denials
        assert set(verdict.spared) == {"existing"}


_ANSWER = st.one_of(
    st.just(RuleFailure("boom")),
    st.lists(
        st.builds(Violation, st.sampled_from(["x", "y"]), st.sampled_from(["", "spec.hostPID"]), st.sampled_from("ab")),
        max_size=3,
    ).map(tuple),
)
_MODES = st.sampled_from(["deny", "warn", "audit"])


@settings(deadline=None, max_examples=60)
@given(
    answers=st.dictionaries(
        st.tuples(st.sampled_from(["rego-registry", "cel-no-latest"]), st.sampled_from(["old", "new"])), _ANSWER
    ),
    modes=st.tuples(_MODES, _MODES),
    update=st.booleans(),
    on_fault=st.sampled_from(["deny", "allow"]),
)
def test_however_answers_come_the_verdict_is_the_same(
    answers: Mapping[tuple[str, str], RuleAnswer], modes: tuple[str, str], update: bool, on_fault: str
) -> None:
    def given_answer(rule: AskedRule, question: Question) -> RuleAnswer:
        label = question.request["object"]["metadata"]["labels"]["which"]
        return answers.get((rule.rule.id, label), ())

    policies = _policies(rego_entry(mode=modes[0]), cel_entry(mode=modes[1]), onFault=on_fault)
    new, old = pod(metadata={"labels": {"which": "new"}}), pod(metadata={"labels": {"which": "old"}})
    review = _review(new, old if update else None)
    one, other, ahead = (decided(policies, given_answer, review) for decided in (_at_once, _collected, _ahead))
    assert ahead == other
    assert one == other
    failing = {name for (name, which), answer in answers.items() if which == "new" and isinstance(answer, RuleFailure)}
    told = {fault.check for fault in (*one.faults, *one.fault_denials)}
    assert {name for name in told if name.startswith(("rego-", "cel-"))} == failing
    denying = {name for name, mode in zip(("rego-registry", "cel-no-latest"), modes, strict=True) if mode == "deny"}
    assert bool(one.fault_denials) == (on_fault == "deny" and bool(failing & denying))


@settings(deadline=None, max_examples=40)
@given(
    hits=st.lists(st.sampled_from(["rego-registry", "cel-no-latest"]), unique=True),
    waived=st.lists(st.sampled_from(["rego-registry", "cel-no-latest"]), unique=True, min_size=1),
)
def test_a_waiver_only_ever_takes_denials_away(hits: list[str], waived: list[str]) -> None:
    def given_answer(rule: AskedRule, question: Question) -> RuleAnswer:
        return (Violation("x"),) if rule.rule.id in hits else ()

    policies = _policies(rego_entry(), cel_entry())
    spec = {"checks": waived, "namespaces": ["shop"], "owner": "o", "reason": "r", "expires": "2027-01-01T00:00:00Z"}
    raw = {"apiVersion": "iocaudit.io/v1alpha1", "kind": "IocWaiver", "metadata": {"name": "w"}, "spec": spec}
    waivers = Waivers([read_waiver(raw, policies.catalogue, stored=False, now=NOW)], longest=None)
    for decided in (_at_once, _collected, _ahead):
        plain, spared = (
            decided(policies, given_answer, _review(pod())),
            decided(policies, given_answer, _review(pod()), waivers),
        )
        assert _denied(plain) == sorted(hits)
        assert _denied(spared) == sorted(set(hits) - set(waived))
        assert {one.found.check for one in spared.waived} == set(hits) & set(waived)


@settings(deadline=None, max_examples=40)
@given(st.permutations([("a", 3, "deny"), ("b", 3, "warn"), ("c", 1, "deny"), ("d", 0, "audit")]))
def test_the_order_of_policies_decides_nothing(order: list[tuple[str, int, str]]) -> None:
    def given_answer(rule: AskedRule, question: Question) -> RuleAnswer:
        return (Violation(rule.rule.where),)

    raws = [policy_with([rego_entry(mode=mode)], name, priority=at) for name, at, mode in order]
    policies = read_policies(raws, CATALOGUE)
    (found,) = _at_once(policies, given_answer, _review(pod())).denials
    assert found.hit.message == "AuditPolicy a, spec.rules[0]"
    assert set(policies.lost_rules) == {"b", "c", "d"}


def test_without_rules_nothing_is_asked() -> None:
    answers = CollectedAnswers({})
    auditor = Auditor(CATALOGUE, read_policies((), CATALOGUE), World()).asking(answers)
    decide(_review(pod()), auditor, Deadline.within(60))
    assert not answers.waiting
    assert POD in {kind for check in auditor.catalogue for kind in check.looks_at}


_KINDS: dict[str, Json] = {"Pod": pod(), "Deployment": _deployment(), "CronJob": cron_job(pod()["spec"])}
_KINDS["Service"] = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "shop"}}
_KINDS["AuditPolicy"] = policy_with([rego_entry("other")], name="other")
_ENTRY = st.builds(
    lambda make, number, given: make(f"r{number}", **given),
    st.sampled_from([rego_entry, cel_entry]),
    st.integers(0, 99),
    st.fixed_dictionaries(
        {"kinds": st.sets(st.sampled_from(["Pod", "Deployment", "Service"]), min_size=1).map(sorted)},
        optional={
            "operations": st.sampled_from([["CREATE"], ["UPDATE"], ["CREATE", "UPDATE"]]),
            "podTemplates": st.booleans(),
            "needs": st.sampled_from([["Service"], ["Namespace"]]),
            "parameters": st.just({"a": [1]}),
        },
    ),
)


@settings(deadline=None)
@given(
    entries=st.lists(_ENTRY, min_size=1, max_size=4, unique_by=lambda one: one["name"]),
    kind=st.sampled_from([*_KINDS]),
    before=st.sampled_from(["nothing", "the same", "another"]),
    spec=st.sampled_from([{}, {"match": {"kinds": ["Pod"]}}, {"match": {"operations": ["UPDATE"]}}]),
)
def test_what_is_asked_ahead_is_what_would_be_asked(
    entries: list[Json], kind: str, before: str, spec: dict[str, Any]
) -> None:
    policies = _policies(*entries, **spec)
    now = _KINDS[kind]
    other = {**now, "metadata": {**now["metadata"], "labels": {"was": "there"}}}
    review = _review(now, {"nothing": None, "the same": now, "another": other}[before])
    verdict, rounds, questions = _in_rounds(policies, _nothing, review, ahead=False)
    ahead, fewer_rounds, same_questions = _in_rounds(policies, _nothing, review, ahead=True)
    assert ahead == verdict
    assert set(map(repr, same_questions)) <= set(map(repr, questions))
    assert rounds == (2 if questions else 1)
    # What was there before is asked about once there is something to compare.
    assert fewer_rounds == 1 or before == "another"
