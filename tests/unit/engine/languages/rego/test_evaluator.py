"""The evaluator on the real program: shapes in both syntaxes, isolation, failures of one rule beside others."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from iocaudit.core.severity import Severity
from iocaudit.engine.deadline import NO_DEADLINE, Deadline
from iocaudit.engine.languages.answer import RuleAnswer, RuleFailure, Violation
from iocaudit.engine.languages.evaluator import EngineError
from iocaudit.engine.languages.question import Question
from iocaudit.engine.languages.rego.evaluator import RegoEvaluator
from iocaudit.engine.languages.rego.preparer import Preparer
from iocaudit.engine.languages.rego.servers import OpaAccess
from iocaudit.engine.languages.rego.service import OpaKeeper
from iocaudit.engine.languages.rego.setup import embedded
from iocaudit.engine.languages.rule import Rule
from tests.support.bounded import TooSlowError, within
from tests.support.rego import (
    REGISTRY_V0,
    REGISTRY_V1,
    answer_of,
    creation,
    messages_of,
    pod_with,
    question_of,
    reason_of,
    rego_rule,
)

GOOD = rego_rule(REGISTRY_V1, name="good")
SLOW = rego_rule(
    'package slow\n\ndeny contains "x" if {\n\tsome i in numbers.range(1, 9000)\n\tsome j in numbers.range(1, 9000)\n'
    "\ti * j == -1\n}\n",
    name="slow",
)
CONFLICT = rego_rule(
    "package conflict\n\nf(_) := 1\n\nf(x) := 2 if x > 0\n\n"
    'deny contains "x" if {\n\tcount(input.object.spec.containers) > f(1)\n}\n',
    name="conflict",
)
MISTYPED = rego_rule("package mistyped\n\ndeny contains 7 if true\n", name="mistyped")
BROKEN = rego_rule("package broken\n\ndeny contains x if x := foo(1)\n", name="broken")

Ask = Callable[[RegoEvaluator, Question, Deadline], Mapping[str, RuleAnswer]]


def at_once(evaluator: RegoEvaluator, question: Question, deadline: Deadline) -> Mapping[str, RuleAnswer]:
    return evaluator.ask(question, deadline)


def soon(evaluator: RegoEvaluator, question: Question, deadline: Deadline) -> Mapping[str, RuleAnswer]:
    async def asked() -> Mapping[str, RuleAnswer]:
        try:
            return await evaluator.ask_soon(question, deadline)
        finally:
            await asyncio.sleep(0)

    return asyncio.run(asked())


@pytest.fixture(params=[at_once, soon])
def ask(request: pytest.FixtureRequest) -> Ask:
    found: Ask = request.param
    return found


@pytest.mark.parametrize("module", [REGISTRY_V0, REGISTRY_V1], ids=["v0", "v1"])
def test_images_come_from_one_registry(evaluator: RegoEvaluator, ask: Ask, module: str) -> None:
    rule = rego_rule(module)
    evaluator.load([rule])
    for images, wanted in [
        (("hooli.com/web", "nginx"), ["image 'nginx' comes from untrusted registry"]),
        (("hooli.com/web",), []),
        (("hooli.com.evil/web", "hooli.com"), ["image 'hooli.com' comes from untrusted registry"]),
    ]:
        request = creation(pod_with(*images))
        found = messages_of(ask(evaluator, question_of(rule, request=request), Deadline.within(10))[rule.id])
        assert [one for one in found if "evil" not in one] == wanted


@pytest.mark.parametrize(
    ("module", "wanted"),
    [
        ('package a\n\ndeny contains "x"\n', (Violation("x"),)),
        ('package a\n\nimport rego.v1\n\ndeny contains "x" if true\n', (Violation("x"),)),
        ('package a\n\nimport future.keywords\n\ndeny contains "x" if { true }\n', (Violation("x"),)),
        ('package a\n\nimport future.keywords.contains\n\ndeny contains "x" { true }\n', (Violation("x"),)),
        ('package a\n\ndeny["x"] { true }\n', (Violation("x"),)),
        ('package a\n\ndeny["x"]\n', (Violation("x"),)),
        ('package a\n\nviolation[{"msg": "x", "details": {"a": 1}}] { true }\n', (Violation("x"),)),
        ('package a\n\nviolation contains {"msg": "x"} if input.parameters == {}\n', (Violation("x"),)),
        (
            'package a\n\ndeny contains {"msg": "x", "severity": "low", "path": "spec.containers[0].image"} if true\n',
            (Violation("x", 'spec.containers["c0"].image', "", Severity.LOW),),
        ),
        ('package a\n\ndeny contains "x"\n\nviolation contains {"msg": "y"}\n', (Violation("x"), Violation("y"))),
        ('package a\n\ndeny contains "x" if false\n', ()),
        ("package a\n\ndeny contains x if some x in []\n", ()),
    ],
)
def test_each_shape_in_each_syntax(evaluator: RegoEvaluator, module: str, wanted: tuple[Violation, ...]) -> None:
    rule = rego_rule(module)
    assert evaluator.check([rule]) == {}
    evaluator.load([rule])
    assert answer_of(evaluator, rule) == wanted


def test_rules_of_one_package_do_not_see_each_other(evaluator: RegoEvaluator) -> None:
    shared = 'package same\n\nlimit := LIMIT\n\nhelper(x) := x + limit\n\ndeny contains sprintf("%d", [helper(1)])\n'
    library = "package lib\n\nvalue := VALUE\n"
    rules = [
        *(rego_rule(shared.replace("LIMIT", str(n)), name=f"own{n}") for n in range(3)),
        *(
            rego_rule(
                'package same\n\ndeny contains sprintf("lib %d", [data.lib.value])\n',
                library.replace("VALUE", str(n)),
                name=f"lib{n}",
            )
            for n in range(3)
        ),
    ]
    evaluator.load(rules)
    answers = evaluator.ask(question_of(*rules), Deadline.within(10))
    assert [messages_of(answers[rule.id]) for rule in rules] == [["1"], ["2"], ["3"], ["lib 0"], ["lib 1"], ["lib 2"]]


def test_a_failing_rule_spoils_no_neighbour(evaluator: RegoEvaluator, ask: Ask) -> None:
    other = rego_rule(REGISTRY_V0, name="other")
    rules = [GOOD, CONFLICT, MISTYPED, BROKEN, other]
    evaluator.load(rules)
    request = creation(pod_with("nginx", "redis"))
    answers = ask(evaluator, question_of(*rules, request=request), Deadline.within(10))
    assert list(answers) == [rule.id for rule in rules]
    assert len(messages_of(answers[GOOD.id])) == len(messages_of(answers[other.id])) == 2
    assert reason_of(answers[CONFLICT.id]).startswith(
        "in the rule at line 5: function data.conflict.f produced conflicting values"
    )
    assert "iocaudit" not in reason_of(answers[CONFLICT.id])
    assert reason_of(answers[MISTYPED.id]).startswith("an element of deny is a number")
    assert reason_of(answers[BROKEN.id]) == "line 3, column 25: undefined function foo"


def test_a_slow_rule_costs_its_neighbours_one_answer(evaluator: RegoEvaluator, ask: Ask) -> None:
    rules = [GOOD, SLOW, MISTYPED]
    evaluator.load(rules)
    with within(3):
        for _ in range(2):
            answers = ask(evaluator, question_of(*rules), Deadline.within(0.7))
            assert "did not answer within" in reason_of(answers[SLOW.id])
    for name in (GOOD.id, MISTYPED.id):
        if isinstance(answer := answers[name], RuleFailure) and "did not answer within" in answer.reason:
            raise TooSlowError(f"{name} had what the slow one left of the time, and {answer.reason}")
    assert messages_of(answers[GOOD.id])
    assert reason_of(answers[MISTYPED.id]).startswith("an element of deny")


def test_nothing_waits_past_the_deadline_and_late_ones_do_not_pile_up(evaluator: RegoEvaluator) -> None:
    evaluator.load([SLOW, GOOD])

    def ask() -> None:
        reasons.append(reason_of(answer_of(evaluator, SLOW, 0.5)))

    reasons: list[str] = []
    threads = [threading.Thread(target=ask) for _ in range(8)]
    with within(2):
        for one in threads:
            one.start()
        for one in threads:
            one.join()
    assert len(reasons) == 8
    assert messages_of(answer_of(evaluator, GOOD, 5.0))


def test_a_deadline_that_is_over_and_one_that_is_none(evaluator: RegoEvaluator, ask: Ask) -> None:
    evaluator.load([GOOD])
    assert reason_of(ask(evaluator, question_of(GOOD), Deadline.within(-1))[GOOD.id])
    assert messages_of(ask(evaluator, question_of(GOOD), NO_DEADLINE)[GOOD.id])


def test_what_is_not_loaded_is_a_failure(opa_program: Path, preparer: Preparer, ask: Ask) -> None:
    evaluator = embedded(OpaKeeper(opa_program), preparer)
    try:
        assert "no rules in Rego are loaded" in reason_of(
            ask(evaluator, question_of(GOOD), Deadline.within(5))[GOOD.id]
        )
        evaluator.load([])
        assert reason_of(ask(evaluator, question_of(GOOD), Deadline.within(5))[GOOD.id]) == "the rule is not loaded"
    finally:
        evaluator.close()


def test_after_a_restart_everything_is_there_before_the_first_query(
    opa_program: Path, preparer: Preparer, ask: Ask
) -> None:
    keeper = OpaKeeper(opa_program)
    evaluator = embedded(keeper, preparer)
    try:
        evaluator.load([GOOD])
        for _ in range(2):
            service = keeper.service
            assert service is not None
            service.child.kill()
            assert messages_of(ask(evaluator, question_of(GOOD), Deadline.within(20))[GOOD.id])
        assert keeper.generation == 3
    finally:
        evaluator.close()


def test_what_was_taken_away_behind_our_back_is_loaded_again(evaluator: RegoEvaluator, ask: Ask) -> None:
    evaluator.load([GOOD])
    held = loaded_policies(evaluator)
    calls = evaluator._calls["load"]
    calls.put_all({}, sorted(held), 10)
    assert loaded_policies(evaluator) == set()
    assert messages_of(ask(evaluator, question_of(GOOD), Deadline.within(10))[GOOD.id])


def loaded_policies(evaluator: RegoEvaluator) -> set[str]:
    found: Any = evaluator._calls["load"].data("iocaudit/sets/loaded", 10) or {}
    sets = {f"iocaudit/own/sets/{revision}" for revision in found}
    return sets | {policy for one in found.values() for policy in one["policies"]}


def test_a_load_takes_away_what_is_not_used_any_more(opa_program: Path, preparer: Preparer) -> None:
    evaluator = embedded(OpaKeeper(opa_program), preparer)
    try:
        rules = [rego_rule(f'package a\n\ndeny contains "{n}"\n', name=f"n{n}") for n in range(5)]
        for n in range(4):
            evaluator.load(rules[n : n + 2])
            for rule in rules[n : n + 2]:
                assert messages_of(answer_of(evaluator, rule))
        names = loaded_policies(evaluator)
        assert len([name for name in names if "/sets/" in name]) == 2
        roots = {name.split("/")[3] for name in names if "/rules/" in name}
        assert len(roots) == 3
        assert reason_of(answer_of(evaluator, rules[0])) == "the rule is not loaded"
    finally:
        evaluator.close()


def test_questions_go_on_while_others_are_loaded(evaluator: RegoEvaluator) -> None:
    versions = [rego_rule(f'package a\n\ndeny contains "{n}"\n') for n in range(6)]
    evaluator.load([versions[0], GOOD])
    over = threading.Event()
    wrong: list[RuleAnswer] = []

    def ask() -> None:
        while not over.is_set():
            answer = answer_of(evaluator, GOOD)
            if isinstance(answer, RuleFailure) or len(answer) != 1:
                wrong.append(answer)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for one in threads:
        one.start()
    for version in versions[1:]:
        evaluator.load([version, GOOD])
        assert messages_of(answer_of(evaluator, version)) == [version.source.module.split('"')[1]]  # type: ignore[union-attr]
    over.set()
    for one in threads:
        one.join()
    assert wrong == []


def test_an_inventory_beyond_the_bound_is_not_sent(evaluator: RegoEvaluator) -> None:
    rule = rego_rule('package a\n\ndeny contains "x" if data.inventory.cluster\n')
    evaluator.load([rule])
    large = {"cluster": {"v1": {"ConfigMap": {"a": {"data": "x" * (9 << 20)}}}}}
    assert "may have 8388608" in reason_of(answer_of(evaluator, rule, inventory=large))
    assert messages_of(answer_of(evaluator, rule, inventory={"cluster": {"a": {}}})) == ["x"]


def test_a_question_that_is_not_json_is_a_failure(evaluator: RegoEvaluator, ask: Ask) -> None:
    evaluator.load([GOOD])
    for bad in (object(), {1, 2}):
        reason = reason_of(ask(evaluator, question_of(GOOD, parameters={"a": bad}), Deadline.within(5))[GOOD.id])
        assert "Traceback" not in reason


def test_an_answer_that_is_too_large_is_a_failure_of_its_rule(evaluator: RegoEvaluator, ask: Ask) -> None:
    large = rego_rule(
        'package a\n\ndeny contains sprintf("%d%s", [i, input.parameters.x]) if some i in numbers.range(1, 900)\n',
        name="large",
    )
    evaluator.load([large, GOOD])
    question = question_of(large, GOOD, parameters={"x": "x" * 30_000})
    answers = ask(evaluator, question, Deadline.within(20))
    assert "larger than" in reason_of(answers[large.id])
    assert messages_of(answers[GOOD.id])


# Modules put together from pieces: a head, conditions, helpers; the same in both syntaxes.
_CONDITIONS = st.sampled_from(
    [
        'c.image != "a"',
        'not startswith(c.image, "hooli.com/")',
        "count(input.request.object.spec.containers) > 1",
        "c.name == input.parameters.name",
        "helper(c)",
        "not helper(c)",
        "data.lib.wanted[c.name]",
        "not data.lib.wanted[c.name]",
        "wanted(c)",
        "data.inventory.cluster[_].Namespace[input.request.namespace]",
        "contains_any({c.name, c.image})",
        "[d | d := input.review.object.spec.containers[_]; d.name == c.name][0] == c",
        "{x: y | y := c[x]}.name == c.name",
        'object.get(c, "ports", "none") == "none"',
        "input.object.spec.containers[i] == c",
    ]
)
_HEADS = st.sampled_from(["c.name", '{"msg": c.image, "path": "spec.containers[0]"}', 'sprintf("%v", [c])'])


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(["deny", "violation"]),
    rules=st.lists(st.tuples(_HEADS, st.lists(_CONDITIONS, max_size=4)), min_size=1, max_size=3),
    images=st.lists(st.sampled_from(["a", "nginx", "hooli.com/a"]), max_size=3),
)
def test_a_rule_means_the_same_in_both_syntaxes(
    evaluator: RegoEvaluator, name: str, rules: list[tuple[str, list[str]]], images: list[str]
) -> None:
    library = ('package lib\n\nwanted["c0"] { true }\n', 'package lib\n\nwanted contains "c0" if true\n')
    helpers = (
        'helper(c) { c.image == "nginx" }\n\nwanted(c) { data.lib.wanted[c.name] }\n\n'
        'contains_any(s) { s[_] == "c1" }\n',
        'helper(c) if c.image == "nginx"\n\nwanted(c) if data.lib.wanted[c.name]\n\ncontains_any(s) if s[_] == "c1"\n',
    )
    texts = []
    for version, form in enumerate(("{}[{}] {{", "{} contains {} if {{")):
        text = f"package some.thing\n\n{helpers[version]}"
        for head, conditions in rules:
            body = "".join(f"\t{one}\n" for one in dict.fromkeys(conditions))
            text += f"\n{form.format(name, head)}\n\tc := input.request.object.spec.containers[_]\n{body}}}\n"
        texts.append(text)
    both = [rego_rule(text, library[version], name=f"v{version}") for version, text in enumerate(texts)]
    assert evaluator.check(both) == {}
    evaluator.load(both)
    found = evaluator.ask(
        question_of(
            *both,
            request=creation(pod_with(*images)),
            parameters={"name": "c1"},
            inventory={"cluster": {"v1": {"Namespace": {"shop": {}}}}},
        ),
        Deadline.within(20),
    )
    assert not isinstance(found[both[0].id], RuleFailure), found
    assert found[both[0].id] == found[both[1].id] == expected(rules, images)


def expected(rules: list[tuple[str, list[str]]], images: list[str]) -> tuple[Violation, ...]:
    """The violations as Python finds them: neither conversion nor renaming has a part in it."""
    holds: dict[str, Callable[[dict[str, str]], bool]] = {
        'c.image != "a"': lambda c: c["image"] != "a",
        'not startswith(c.image, "hooli.com/")': lambda c: not c["image"].startswith("hooli.com/"),
        "count(input.request.object.spec.containers) > 1": lambda c: len(images) > 1,
        "c.name == input.parameters.name": lambda c: c["name"] == "c1",
        "helper(c)": lambda c: c["image"] == "nginx",
        "not helper(c)": lambda c: c["image"] != "nginx",
        "data.lib.wanted[c.name]": lambda c: c["name"] == "c0",
        "not data.lib.wanted[c.name]": lambda c: c["name"] != "c0",
        "wanted(c)": lambda c: c["name"] == "c0",
        "contains_any({c.name, c.image})": lambda c: c["name"] == "c1",
    }
    found = set()
    for head, conditions in rules:
        for container in pod_with(*images)["spec"]["containers"]:
            if all(one not in holds or holds[one](container) for one in conditions):
                found.add(_violation(head, container))
    return tuple(sorted(found, key=lambda one: (bool(one.path), one.message)))


def _violation(head: str, container: dict[str, str]) -> Violation:
    if head == "c.name":
        return Violation(container["name"])
    if head.startswith("{"):
        return Violation(container["image"], 'spec.containers["c0"]')
    return Violation(f'{{"image": "{container["image"]}", "name": "{container["name"]}"}}')


def test_converted_texts_are_shown(evaluator: RegoEvaluator) -> None:
    rules: list[Rule] = [rego_rule(REGISTRY_V0, name="old"), GOOD]
    shown = evaluator.converted(rules)
    assert list(shown) == ["rego-old"]
    assert "deny contains msg if {" in shown["rego-old"][0]


class StuckServer:
    """An OPA that is about to be there, as long as a test likes."""

    name, owner, kept = "OPA", "own", 1

    def __init__(self) -> None:
        self.go_on, self._lock = threading.Event(), threading.Lock()
        self._at_work = 0
        self.most = 0

    def access(self, deadline: Deadline) -> OpaAccess:
        with self._lock:
            self._at_work += 1
            self.most = max(self.most, self._at_work)
        self.go_on.wait(60)
        with self._lock:
            self._at_work -= 1
        raise EngineError("OPA is away")

    def at_once(self) -> OpaAccess | None:
        return None

    def revision(self, digest: str) -> str:
        return digest

    def doubt(self) -> None: ...

    def close(self) -> None: ...


def test_those_who_wait_for_opa_hold_one_thread_together(preparer: Preparer) -> None:
    """Threads are few: with all of them held, reviews that ask no rule would wait as well."""
    server = StuckServer()
    evaluator = RegoEvaluator(server, preparer)

    async def asked() -> list[Mapping[str, RuleAnswer]]:
        late = [evaluator.ask_soon(question_of(GOOD), Deadline.within(0.1)) for _ in range(20)]
        patient = [evaluator.ask_soon(question_of(GOOD), Deadline.within(60)) for _ in range(20)]
        waiting = [asyncio.ensure_future(one) for one in patient]
        found = await asyncio.gather(*late)
        server.go_on.set()
        return [*found, *await asyncio.gather(*waiting)]

    answers = [reason_of(one[GOOD.id]) for one in asyncio.run(asked())]
    assert set(answers[:20]) == {"OPA was not ready in time"}
    assert set(answers[20:]) == {"OPA is away"}
    assert server.most == 1
