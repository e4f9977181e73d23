"""CelEvaluator on the real program."""

import asyncio
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from iocaudit.core.shape import Json
from iocaudit.engine.deadline import NO_DEADLINE, Deadline
from iocaudit.engine.languages.answer import RuleFailure, Violation
from iocaudit.engine.languages.cel.evaluator import CelEvaluator
from iocaudit.engine.languages.evaluator import EngineError, EngineMissingError
from iocaudit.engine.languages.rule import CelCondition, CelSource, CelValidation, Language, Rule
from iocaudit.engine.languages.service import ProbePace
from iocaudit.engine.languages.sources import Engine, sources_digest
from iocaudit.supervision.backoff import Backoff
from tests.support.bounded import within
from tests.support.cel_rules import cel_program, cel_rule, pod, question, request_for, rule_of
from tests.support.children import stand_still

CHEAP = pod(containers=[{"name": "app", "image": "nginx"}])
MANY = pod(containers=[{"name": f"c{number}", "image": "nginx"} for number in range(40)])
COSTLY = cel_rule(
    "costly",
    "object.spec.containers.all(a, object.spec.containers.all(b, object.spec.containers.all(c, "
    "object.spec.containers.all(d, a.name + b.name + c.name + d.name != ''))))",
)

NO_X = "expression 'object.x == 1' resulted in error: no such key: x"
REQUEST = (
    "request.userInfo.username == 'ann'",
    "request.operation == 'CREATE'",
    "'a' in request.userInfo.extra['scopes']",
    "request.resource.resource == 'pods'",
)
LIBRARIES = (
    "quantity('1Gi').isGreaterThan(quantity('1G'))",
    "semver('1.2.3').major() == 1",
    "ip('10.0.0.1').family() == 4",
    "cidr('10.0.0.0/8').containsIP('10.0.0.1')",
    "url('https://a/b').getHost() == 'a'",
    "'a1'.find('[0-9]') == '1'",
    "[1, 2].sum() == 3",
    "sets.contains([1], [1])",
    "!format.dns1123Label().validate('a').hasValue()",
    "{'a': 1}.all(k, v, v == 1)",
    "object.?spec.?nope.orValue(7) == 7",
)
NO_IDENTIFIER = 'variables[0].name: "in" is not an identifier of CEL'
QUICK = ProbePace(every=0.1, within=1.0, most_missed=2)
TWICE = CelSource((CelValidation("true"),), (CelCondition("a", "1"), CelCondition("a", "'x'")))


@pytest.fixture(scope="module")
def evaluator() -> Iterator[CelEvaluator]:
    made = CelEvaluator(cel_program)
    yield made
    made.close()


@pytest.fixture
def own() -> Iterator[CelEvaluator]:
    """One that a test may harm."""
    made = CelEvaluator(cel_program, pace=QUICK, backoff=Backoff(0.05, 0.2))
    yield made
    made.close()


def asked(evaluator: CelEvaluator, rule: Rule, request: Json, *, seconds: float = 10.0, **more: Json) -> object:
    evaluator.load([rule])
    return evaluator.ask(question([rule], request, **more), Deadline.within(seconds))[rule.id]


def pid_of(evaluator: CelEvaluator) -> int:
    service = evaluator.keeper.service
    assert service is not None
    return service.child.process.pid


def until_answered(evaluator: CelEvaluator, rule: Rule) -> object:
    until = time.monotonic() + 60
    while True:
        answer = evaluator.ask(question([rule], request_for(CHEAP)), Deadline.within(5))[rule.id]
        if not isinstance(answer, RuleFailure) or time.monotonic() > until:
            return answer
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("rule", "answer"),
    [
        (cel_rule("holds", "object.spec.containers.all(c, c.image != '')"), ()),
        (cel_rule("expression", "object.x == 1"), RuleFailure(f"validations[0]: {NO_X}")),
        (cel_rule("default", " 1 == 2 "), (Violation("failed expression: 1 == 2"),)),
        (cel_rule("message", CelValidation("false", " it is bad ")), (Violation("it is bad"),)),
        (cel_rule("said", CelValidation("false", "m", "'no ' + object.metadata.name")), (Violation("no web"),)),
        (cel_rule("unsaid", CelValidation("false", "m", "string(object.spec.nope)")), (Violation("m"),)),
        (cel_rule("lines", CelValidation("false", "m", "'two\\nlines'")), (Violation("m"),)),
        (
            cel_rule("two", "false", "true", "1 > 2"),
            (Violation("failed expression: false"), Violation("failed expression: 1 > 2")),
        ),
        (
            cel_rule("mixed", "false", "object.x == 1"),
            (Violation("failed expression: false"), Violation(f"cannot be evaluated: validations[1]: {NO_X}")),
        ),
        (cel_rule("variables", "variables.b == 3", variables={"a": "1", "b": "variables.a + 2"}), ()),
        (cel_rule("lazy", "true || variables.a", variables={"a": "object.nope"}), ()),
        (cel_rule("unmatched", "false", when={"never": "false", "broken": "object.x == 1"}), ()),
        (cel_rule("unclear", "false", when={"broken": "object.x == 1"}), RuleFailure(NO_X)),
        (cel_rule("old", "oldObject == null"), ()),
        (cel_rule("params", "params.most == 3 && type(params.most) == int && params.share == 0.5"), ()),
        (cel_rule("asked", " && ".join(REQUEST)), ()),
        (cel_rule("space", "namespaceObject.metadata.labels['team'] == 'x'"), ()),
        (cel_rule("libraries", " && ".join(LIBRARIES)), ()),
    ],
    ids=lambda value: value.id if isinstance(value, Rule) else "",
)
def test_a_rule_is_what_a_validatingadmissionpolicy_is(evaluator: CelEvaluator, rule: Rule, answer: object) -> None:
    assert evaluator.check([rule]) == {}
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": {"team": "x"}}}
    assert asked(evaluator, rule, request_for(CHEAP), parameters={"most": 3, "share": 0.5}, namespace=space) == answer


def test_what_is_absent_is_null(evaluator: CelEvaluator) -> None:
    rule = cel_rule("absent", "params == null && namespaceObject == null && oldObject == null")
    assert asked(evaluator, rule, request_for(CHEAP)) == ()


def test_a_namespace_has_no_namespace(evaluator: CelEvaluator) -> None:
    """The API server binds none, although a request for a Namespace names it as its namespace."""
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}
    kind = {"group": "", "version": "v1", "kind": "Namespace"}
    request = request_for(space, kind=kind, requestKind=kind)
    assert asked(evaluator, cel_rule("none", "namespaceObject == null"), request, namespace=space) == ()


def test_an_update_and_a_delete_have_their_objects(evaluator: CelEvaluator) -> None:
    rule = cel_rule("objects", "request.operation == 'DELETE' ? object == null : oldObject.metadata.name == 'web'")
    assert asked(evaluator, rule, request_for(CHEAP, CHEAP)) == ()
    gone = {**request_for(CHEAP, CHEAP, operation="DELETE"), "object": None}
    assert asked(evaluator, rule, gone) == ()


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (
            cel_rule("a", "true", "object.a &&\n foo"),
            "validations[1].expression:2:2: undeclared reference to 'foo' (in container '')",
        ),
        (cel_rule("a", "'text'"), "validations[0].expression: must evaluate to bool but got string"),
        (cel_rule("a", "1 +"), "validations[0].expression:1:4: Syntax error: mismatched input '<EOF>'"),
        (cel_rule("a", "'a'.matches('[')"), "validations[0].expression:1:13: invalid matches argument"),
        (cel_rule("a", " "), "validations[0].expression: is empty"),
        (rule_of("cel-a", Language.CEL, CelSource(())), "validations: at least one is needed"),
        (cel_rule("a", CelValidation("true", "two\nlines")), "validations[0].message: a message is one line"),
        (
            cel_rule("a", CelValidation("true", "m", "1")),
            "validations[0].messageExpression: must evaluate to string but got int",
        ),
        (cel_rule("a", "variables.b", variables={"a": "true"}), "validations[0].expression:1:10: undefined field 'b'"),
        (
            cel_rule("a", "true", variables={"a": "variables.b", "b": "1"}),
            "variables[0].expression:1:10: undefined field 'b'",
        ),
        (cel_rule("a", "true", variables={"in": "1"}), NO_IDENTIFIER),
        (rule_of("cel-a", Language.CEL, TWICE), 'variables[1].name: "a" is there twice'),
        (cel_rule("a", "true", when={"a b": "true"}), "matchConditions[0].name: name part must consist of"),
        (
            cel_rule("a", "true", when={"a": "variables.b"}, variables={"b": "true"}),
            "matchConditions[0].expression:1:1: undeclared reference to 'variables'",
        ),
        (
            cel_rule("a", "true", when={str(number): "true" for number in range(65)}),
            "matchConditions: has 65 items, at most 64 are taken",
        ),
        (
            cel_rule("a", "authorizer.path('/x').check('get').allowed()"),
            "validations[0].expression: authorizer asks the API server",
        ),
        (
            cel_rule("a", "authorizer.requestResource.check('get').allowed()"),
            "validations[0].expression: authorizer asks the API server",
        ),
    ],
)
def test_what_the_api_server_does_not_store_is_refused_with_its_place(
    evaluator: CelEvaluator, rule: Rule, said: str
) -> None:
    broken = evaluator.check([rule, cel_rule("good", "true")])
    assert set(broken) == {"cel-a"}
    assert broken["cel-a"].startswith(said)
    answer = asked(evaluator, rule, request_for(CHEAP))
    assert isinstance(answer, RuleFailure)
    assert answer.reason.startswith("the rule does not compile: ")


def test_the_word_authorizer_alone_is_not_the_authorizer(evaluator: CelEvaluator) -> None:
    assert evaluator.check([cel_rule("word", "object.metadata.name != 'authorizer'")]) == {}


def test_only_what_is_loaded_answers(evaluator: CelEvaluator) -> None:
    """A rule of the same name with other text is another rule."""
    one, other = cel_rule("same", "true"), cel_rule("same", "false")
    evaluator.load([one])
    answers = [evaluator.ask(question([rule], request_for(CHEAP)), NO_DEADLINE)["cel-same"] for rule in (one, other)]
    assert answers == [(), RuleFailure("the rule is not loaded")]
    evaluator.load([])
    assert evaluator.ask(question([one], request_for(CHEAP)), NO_DEADLINE)["cel-same"] == answers[1]


def test_what_costs_too_much_is_a_failure(evaluator: CelEvaluator) -> None:
    answer = asked(evaluator, COSTLY, request_for(MANY))
    assert isinstance(answer, RuleFailure)
    assert answer.reason.endswith("resulted in error: operation cancelled: actual cost limit exceeded")


def test_the_budget_is_that_of_one_policy(evaluator: CelEvaluator) -> None:
    """Each expression stays below its own limit, and 300 of them above that of all; another rule has its own budget."""
    large = pod(containers=[{"name": f"c{number}", "image": "n"} for number in range(3)], x=["a" * 2000] * 50)
    expression = "object.spec.x.all(a, string(object.spec.x[0]) + string(object.spec.x[1]) + string(a) != {})"
    many = cel_rule("many", *(expression.format(f"'{number}'") for number in range(300)))
    few = cel_rule("few", *(expression.format(f"'{number}'") for number in range(20)))
    evaluator.load([many, few])
    answers = evaluator.ask(question([many, few], request_for(large)), NO_DEADLINE)
    assert answers["cel-few"] == ()
    assert answers["cel-many"] == RuleFailure(
        "validation failed due to running out of cost budget, no further validation rules will be run"
    )


def test_a_deadline_ends_its_own_question_alone(evaluator: CelEvaluator) -> None:
    quick = cel_rule("quick", "true")
    evaluator.load([COSTLY, quick])
    with within(1.0):
        late = Deadline.within(0.03)
        assert isinstance(evaluator.ask(question([COSTLY], request_for(MANY)), late)[COSTLY.id], RuleFailure)
    assert evaluator.ask(question([quick], request_for(CHEAP)), Deadline.within(10))[quick.id] == ()
    over = evaluator.ask(question([quick], request_for(CHEAP)), Deadline(1.0, lambda: 2.0))
    assert over[quick.id] == RuleFailure("the deadline was over before it was asked")


def test_an_event_loop_asks_many_at_once(evaluator: CelEvaluator) -> None:
    rules = [cel_rule(f"r{number}", f"object.metadata.name != 'n{number}'") for number in range(5)]
    evaluator.load([*rules, COSTLY])

    async def ask(number: int) -> object:
        asked = pod(containers=[])
        asked["metadata"]["name"] = f"n{number % 5}"
        return await evaluator.ask_soon(question(rules, request_for(asked)), Deadline.within(20))

    async def all_of_them() -> tuple[list[object], object]:
        late = asyncio.ensure_future(evaluator.ask_soon(question([COSTLY], request_for(MANY)), Deadline.within(0.03)))
        answers = await asyncio.gather(*map(ask, range(60)))
        return answers, (await late)[COSTLY.id]

    for _ in range(2):  # a loop has its own connection
        answers, late = asyncio.run(all_of_them())
        assert isinstance(late, RuleFailure)
        for number, answer in enumerate(answers):
            bad = f"cel-r{number % 5}"
            expected = {rule.id: () for rule in rules} | {
                bad: (Violation(f"failed expression: object.metadata.name != 'n{number % 5}'"),)
            }
            assert answer == expected


def test_threads_ask_at_once(evaluator: CelEvaluator) -> None:
    rule = cel_rule("threads", "object.metadata.name == string(params.name)")
    evaluator.load([rule])
    wrong: list[object] = []

    def ask(number: int) -> None:
        asked = pod()
        asked["metadata"]["name"] = str(number)
        for _ in range(20):
            answer = evaluator.ask(question([rule], request_for(asked), {"name": str(number)}), Deadline.within(20))
            wrong.extend(one for one in answer.values() if one != ())

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert wrong == []


@pytest.mark.parametrize(
    "request_",
    [
        {**request_for(CHEAP), "object": [1]},
        {**request_for(CHEAP), "userInfo": {"groups": 3}},
        {**request_for(CHEAP), "object": {"a": object()}},
        {**request_for(CHEAP), "object": {"a": 2**70}},
    ],
    ids=["list", "groups", "object", "number"],
)
def test_a_question_that_cannot_be_read_is_a_failure(evaluator: CelEvaluator, request_: Json) -> None:
    rule = cel_rule("any", "true")
    evaluator.load([rule])
    for _ in range(2):
        assert isinstance(evaluator.ask(question([rule], request_), Deadline.within(5))[rule.id], RuleFailure)
    assert evaluator.ask(question([rule], request_for(CHEAP)), Deadline.within(5))[rule.id] == ()


def test_one_that_was_killed_is_started_again_with_its_rules(own: CelEvaluator) -> None:
    rule = cel_rule("again", "false")
    assert asked(own, rule, request_for(CHEAP)) == (Violation("failed expression: false"),)
    before = pid_of(own)
    os.kill(before, signal.SIGKILL)
    assert until_answered(own, rule) == (Violation("failed expression: false"),)
    assert pid_of(own) != before


def test_one_that_does_not_answer_is_replaced(own: CelEvaluator) -> None:
    rule = cel_rule("again", "true")
    assert asked(own, rule, request_for(CHEAP)) == ()
    before = pid_of(own)
    stand_still(before)
    answer = own.ask(question([rule], request_for(CHEAP)), Deadline.within(0.1))[rule.id]
    assert isinstance(answer, RuleFailure)
    assert until_answered(own, rule) == ()
    assert pid_of(own) != before


def test_a_loop_is_answered_again_by_the_next_process(own: CelEvaluator) -> None:
    rule = cel_rule("again", "true")
    own.load([rule])
    asked = question([rule], request_for(CHEAP))

    async def through_the_end() -> None:
        answered = {rule.id: ()}
        assert await own.ask_soon(asked, Deadline.within(60)) == answered
        before = pid_of(own)
        os.kill(before, signal.SIGKILL)
        until = time.monotonic() + 60
        # The one that is killed may be asked once more, before it has gone.
        while (found := await own.ask_soon(asked, Deadline.within(60))) != answered or pid_of(own) == before:
            assert time.monotonic() < until, found
            await asyncio.sleep(0.01)

    asyncio.run(through_the_end())


def test_one_that_takes_too_much_memory_ends_alone_and_is_started_again() -> None:
    rule, hungry = cel_rule("again", "true"), pod(containers=[], x=["y" * 1000] * 30_000)
    small = CelEvaluator(cel_program, memory_bytes=32 << 20, pace=QUICK, backoff=Backoff(0.05, 0.2))
    try:
        assert asked(small, rule, request_for(CHEAP)) == ()
        answer = small.ask(question([rule], request_for(hungry, hungry)), Deadline.within(20))[rule.id]
        assert isinstance(answer, RuleFailure)
        assert until_answered(small, rule) == ()
    finally:
        small.close()


def test_it_ends_with_what_it_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    evaluator = CelEvaluator(cel_program)
    evaluator.load([cel_rule("any", "true")])
    service = evaluator.keeper.service
    assert service is not None
    process = service.child.process
    (folder,) = tmp_path.iterdir()
    assert folder.stat().st_mode & 0o777 == 0o700
    assert Path(f"/proc/{process.pid}/environ").read_bytes().split(b"=")[0] == b"GOMEMLIMIT"
    assert Path(f"/proc/{process.pid}/environ").read_bytes().count(b"=") == 1
    evaluator.close()
    assert process.poll() is not None
    assert list(tmp_path.iterdir()) == []
    rule = cel_rule("any", "true")
    answer = evaluator.ask(question([rule], request_for(CHEAP)), NO_DEADLINE)[rule.id]
    assert answer == RuleFailure("iocaudit-cel was closed")
    with pytest.raises(EngineError, match="was closed"):
        evaluator.load([rule])


def test_a_missing_program_is_said_with_the_command_that_installs_it() -> None:
    def absent() -> Path:
        raise EngineMissingError("install it")

    evaluator = CelEvaluator(absent)
    rule = cel_rule("any", "true")
    for act in (evaluator.check, evaluator.load):
        with pytest.raises(EngineMissingError, match="install it"):
            act([rule])
    assert isinstance(evaluator.ask(question([rule], request_for(CHEAP)), NO_DEADLINE)[rule.id], RuleFailure)
    evaluator.load([])
    assert evaluator.check([]) == {}
    evaluator.close()


@pytest.mark.parametrize(
    "text", ["#!/bin/sh\necho broken >&2\nexit 3\n", "#!/bin/sh\necho hello\nexec sleep 9\n", "nonsense"]
)
def test_a_program_that_does_not_start_is_an_error(tmp_path: Path, text: str) -> None:
    program = tmp_path / "iocaudit-cel"
    program.write_text(text)
    program.chmod(0o755)
    evaluator = CelEvaluator(lambda: program)
    with pytest.raises(EngineError, match=r"broken|something else|did not start: .*Exec format"):
        evaluator.load([cel_rule("any", "true")])
    evaluator.close()


def test_the_program_says_what_it_is() -> None:
    said = subprocess.run([cel_program(), "version"], capture_output=True, text=True, check=True, env={}).stdout
    assert said == f"iocaudit-cel 0.36.3 sources {sources_digest(Engine.CEL)}\n"


def test_a_folder_that_others_may_enter_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    done = subprocess.run(
        [cel_program(), "serve", "--socket", str(tmp_path / "s")], capture_output=True, text=True, stdin=subprocess.PIPE
    )
    assert done.returncode == 1
    assert "has to be 0700" in done.stderr


def never_interrupted(depth: int) -> str:
    """Loops in which the error of an interrupted one is passed over by that around it: the limit of cost ends them."""
    expression = "true"
    for number in range(depth):
        expression = f"[1, 2].all(x{number}, {expression})"
    return expression


def test_a_rule_that_does_not_end_when_it_is_given_up_costs_its_neighbours_nothing() -> None:
    endless, good = cel_rule("endless", *[never_interrupted(40)] * 32), cel_rule("good", "false")
    evaluator = CelEvaluator(cel_program)
    try:
        evaluator.load([endless, good])
        reasons, answered = [], 0
        for _ in range(30):
            answers = evaluator.ask(question([endless, good], request_for(CHEAP)), Deadline.within(2))
            failure = answers[endless.id]
            assert isinstance(failure, RuleFailure)
            reasons.append(failure.reason)
            answered += not isinstance(answers[good.id], RuleFailure)
            if "given up" in failure.reason and answered > 2:
                break
    finally:
        evaluator.close()
    assert answered > 2, reasons
    assert "given up" in reasons[-1], reasons
