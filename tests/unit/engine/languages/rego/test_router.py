from __future__ import annotations

import http.client
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from iocaudit.engine.deadline import NO_DEADLINE, Deadline
from iocaudit.engine.languages.rego import router
from iocaudit.engine.languages.rego.evaluator import RegoEvaluator
from iocaudit.engine.languages.rego.preparer import Preparer
from iocaudit.engine.languages.rego.service import OpaKeeper
from iocaudit.engine.languages.rego.setup import embedded
from tests.support.rego import creation, messages_of, pod_with, question_of, rego_rule

SEEN = """\
package seen

deny contains json.marshal(value) if value := VALUE
"""


def seen(evaluator: RegoEvaluator, value: str, **fields: object) -> list[object]:
    """What a rule sees of a value."""
    rule = rego_rule(SEEN.replace("VALUE", value))
    evaluator.load([rule])
    answer = evaluator.ask(question_of(rule, **fields), Deadline.within(10))[rule.id]  # type: ignore[arg-type]
    return [json.loads(text) for text in messages_of(answer)]


def test_the_name_of_the_module_is_that_of_its_text() -> None:
    assert f"package iocaudit.router.{router.NAME}\n" in router.MODULE


def test_a_rule_sees_a_request_in_both_forms(evaluator: RegoEvaluator) -> None:
    body, user = pod_with("nginx"), {"username": "ann", "groups": ["dev"]}
    request = creation(body, userInfo=user)
    assert seen(evaluator, "input.request", request=request) == [request]
    assert seen(evaluator, "input.review", request=request) == [request]
    assert seen(evaluator, "input.object", request=request) == [body]
    assert seen(evaluator, "input.parameters", parameters={"a": [1, {"b": None}]}) == [{"a": [1, {"b": None}]}]


def test_what_a_delete_removes_is_the_object_of_a_review(evaluator: RegoEvaluator) -> None:
    body = pod_with("nginx")
    request = creation(body, operation="DELETE", object=None, oldObject=body)
    assert seen(evaluator, "input.review.object", request=request) == [body]
    assert seen(evaluator, "input.object", request=request) == [body]
    assert seen(evaluator, "input.request.object", request=request) == [None]


def test_an_update_has_both_objects(evaluator: RegoEvaluator) -> None:
    request = creation(pod_with("new"), operation="UPDATE", oldObject=pod_with("old"))
    assert seen(evaluator, "input.review.oldObject", request=request) == [pod_with("old")]
    assert seen(evaluator, "input.object", request=request) == [pod_with("new")]


def test_the_namespace_is_there_where_it_is_known(evaluator: RegoEvaluator) -> None:
    space = {"metadata": {"name": "shop", "labels": {"a": "b"}}}
    assert seen(evaluator, "input.review.namespaceObject", namespace=space) == [space]
    assert seen(evaluator, "input.review._unstable.namespace", namespace=space) == [space]
    assert seen(evaluator, "input.review.namespaceObject") == []


def test_data_inventory_is_what_the_question_holds(evaluator: RegoEvaluator) -> None:
    inventory = {"cluster": {"v1": {"Namespace": {"shop": {"kind": "Namespace"}}}}, "namespace": {}}
    assert seen(evaluator, "data.inventory", inventory=inventory) == [inventory]
    assert seen(evaluator, "data.inventory.cluster.v1.Namespace.shop", inventory=inventory) == [{"kind": "Namespace"}]
    assert seen(evaluator, "data.inventory.cluster") == []


ECHO = rego_rule(
    "package echo\n\ndeny contains json.marshal(input) if true\n\n"
    'violation contains {"msg": "seen", "evidence": input} if input.parameters != 7\n\n'
    "violation contains 1.50 if input.review.object\n",
    name="echo",
)
QUIET = rego_rule("package quiet\n\ndeny contains input.request.missing\n", name="quiet")
CONFLICT = rego_rule(
    'package conflict\n\nf(x) := 1 if x\n\nf(x) := 2 if x != "a"\n\ndeny contains "x" if f(input.parameters) == 1\n',
    name="conflict",
)
ENDLESS = rego_rule(
    'package endless\n\ndeny contains "x" if {\n\tsome i in numbers.range(1, 9000)\n'
    "\tsome j in numbers.range(1, 9000)\n\tsome k in numbers.range(1, 9000)\n\ti * j * k == -1\n}\n",
    name="endless",
)


class AskedTwice:
    """Questions as they are put to a child: to our own code, and to the module of which that is another form."""

    def __init__(self, keeper: OpaKeeper, evaluator: RegoEvaluator) -> None:
        evaluator.load([ECHO, QUIET, CONFLICT, ENDLESS])
        current = evaluator._current
        assert current is not None
        self.roots = [rule.root for rule in current.rules.values()]
        self.revision = current.revision
        service = keeper.ensure(NO_DEADLINE)
        self._address, self._pid = service.address, service.child.process.pid

    def answers(self, text: bytes) -> tuple[int, object, bool]:
        """Status and JSON of the answer to a text, which is the same either way; and whether it took the short way."""
        (status, said, directly), (whole_status, whole, not_directly) = (
            self._post(text, end) for end in ("", "?pretty")
        )
        assert (status, said) == (whole_status, whole)
        assert not not_directly
        return status, said, directly

    @property
    def cpu(self) -> float:
        """Seconds of CPU that the child has taken."""
        fields = Path(f"/proc/{self._pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def sent(self, text: bytes, end: str = "") -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection(self._address.url.removeprefix("http://"), timeout=120)
        headers = {"Authorization": f"Bearer {self._address.ask_token}", "Content-Type": "application/json"}
        connection.request("POST", f"/v1/data/{router.PACKAGE.replace('.', '/')}/answer{end}", text, headers)
        return connection

    def _post(self, text: bytes, end: str) -> tuple[int, object, bool]:
        connection = self.sent(text, end)
        answer = connection.getresponse()
        body = json.loads(answer.read(), parse_float=str, parse_int=str)
        connection.close()
        return answer.status, body, answer.getheader("Iocaudit-Answered-Directly") == "true"

    def question(self, **fields: object) -> dict[str, Any]:
        asked = [{"parameters": {}, "rules": {"0": self.roots[0], "1": self.roots[1]}}]
        return {"revision": self.revision, "asked": asked, "request": creation(pod_with("nginx")), **fields}

    def put(self, question: object) -> tuple[int, object, bool]:
        return self.answers(json.dumps({"input": question}).encode())


@pytest.fixture(scope="module")
def twice(opa_program: Path, preparer: Preparer) -> Iterator[AskedTwice]:
    keeper = OpaKeeper(opa_program)
    evaluator = embedded(keeper, preparer)
    yield AskedTwice(keeper, evaluator)
    evaluator.close()


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3), max_leaves=12
)
BOUNDED = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def test_our_code_knows_the_module_that_it_stands_for(twice: AskedTwice) -> None:
    status, said, directly = twice.put(twice.question())
    assert (status, directly) == (200, True)
    assert isinstance(said, dict)
    assert set(said["result"]["answers"]) == {"0", "1"}


@BOUNDED
@given(data=st.data())
def test_our_code_answers_as_the_module_does(twice: AskedTwice, data: st.DataObject) -> None:
    roots = st.sampled_from([*twice.roots[:3], "r" + "0" * 40, "sets.loaded", 'x"]'])
    indexes = st.sampled_from(["0", "1", "a b"])
    groups = st.fixed_dictionaries({"rules": st.dictionaries(indexes, roots, max_size=2), "parameters": VALUES})
    odd = st.dictionaries(st.sampled_from(["rules", "parameters"]), VALUES) | VALUES
    request = creation(pod_with("nginx"), object=data.draw(VALUES), oldObject=data.draw(VALUES))
    request["operation"] = data.draw(st.sampled_from(["CREATE", "UPDATE", "DELETE", None]))
    request |= data.draw(st.dictionaries(st.sampled_from(["namespaceObject", "_unstable", "x"]), VALUES, max_size=1))
    question: dict[str, Any] = {
        "asked": data.draw(st.lists(groups, max_size=2) | st.lists(odd, max_size=1)),
        "request": request,
    }
    question["revision"] = data.draw(st.sampled_from([twice.revision, twice.revision, None, "other"]) | VALUES)
    question |= data.draw(
        st.dictionaries(st.sampled_from(["namespace", "inventory", "request", "y"]), VALUES, max_size=1)
    )
    twice.put(question)


@BOUNDED
@given(value=VALUES, ascii_only=st.booleans())
def test_a_rule_is_handed_every_value_as_it_is(twice: AskedTwice, value: object, ascii_only: bool) -> None:
    question = twice.question(request=creation(pod_with("nginx"), object={"a": value}), namespace={"b": value})
    status, _, directly = twice.answers(json.dumps({"input": question}, ensure_ascii=ascii_only).encode("utf-8"))
    assert (status, directly) == (200, True)


@pytest.mark.parametrize(
    "text",
    [
        rb'"\ud800"', rb'"\u00e9\/\b"', b'"\xff"', b'"\x01"', b"[1,]", b'{"a": 1, "a": 2}', b"01", b"1.0e400", b"-0",
        b"1E2", b"-", b"nul", b'"', b"[" * 600 + b"]" * 600,
        b"[" * 300 + b"]" * 300, b'{"a" 1}', b"{1: 2}", b'"a" "b"', b"",
    ],
)  # fmt: skip
def test_text_that_is_read_otherwise_is_left_to_opa(twice: AskedTwice, text: bytes) -> None:
    question = json.dumps({"input": twice.question(request=creation(pod_with("nginx"), object="HERE"))}).encode()
    twice.answers(question.replace(b'"HERE"', text))


def test_an_error_is_told_in_the_words_of_opa(twice: AskedTwice) -> None:
    question = twice.question(asked=[{"parameters": True, "rules": {"0": twice.roots[2]}}])
    status, said, directly = twice.put(question)
    assert (status, directly) == (500, False)
    assert "conflict" in str(said)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="only Linux says how much CPU a process took")
def test_an_evaluation_ends_when_who_asks_has_left(twice: AskedTwice) -> None:
    question = twice.question(asked=[{"parameters": {}, "rules": {"0": twice.roots[3]}}])
    before = twice.cpu
    connection = twice.sent(json.dumps({"input": question}).encode())
    wait_until(lambda: twice.cpu > before + 0.3)
    connection.close()

    def is_idle() -> bool:
        taken = twice.cpu
        time.sleep(0.5)
        return twice.cpu - taken < 0.05

    # It would go on for days.
    wait_until(is_idle)


def wait_until(reached: Callable[[], bool]) -> None:
    until = time.monotonic() + 120
    while not reached():
        assert time.monotonic() < until
        time.sleep(0.05)
