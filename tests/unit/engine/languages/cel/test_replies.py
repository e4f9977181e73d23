import pytest

from iocaudit.core.shape import Json
from iocaudit.engine.languages.answer import RuleAnswer, RuleFailure, Violation
from iocaudit.engine.languages.cel.replies import read_answer, read_answers, read_broken
from iocaudit.engine.languages.evaluator import EngineError


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        ({}, ()),
        ({"violations": [{"validation": 0, "message": "bad"}]}, (Violation("bad"),)),
        ({"failure": "no"}, RuleFailure("no")),
        ({"errors": [{"validation": 2, "message": "no such key"}]}, RuleFailure("validations[2]: no such key")),
        (
            {"errors": [{"validation": 0, "message": "no such key"}, {"validation": 1, "message": "other"}]},
            RuleFailure("validations[0]: no such key (and 1 more)"),
        ),
        (
            {"violations": [{"validation": 0, "message": "bad"}], "errors": [{"validation": 1, "message": "no key"}]},
            (Violation("bad"), Violation("cannot be evaluated: validations[1]: no key")),
        ),
    ],
)
def test_answers(reply: Json, answer: RuleAnswer) -> None:
    assert read_answer(reply) == answer


@pytest.mark.parametrize(
    "reply",
    [{}, {"answers": None}, {"answers": [{}]}, {"answers": [{}, {}, {}]}, {"answers": [{}, None]}, {"failure": "no"}],
)
def test_a_reply_that_does_not_answer_each_rule_is_not_an_answer(reply: Json) -> None:
    with pytest.raises(EngineError):
        read_answers(reply, ["cel-a", "cel-b"])


def test_answers_go_to_the_rules_in_their_order() -> None:
    reply = {"answers": [{}, {"failure": "no"}]}
    assert read_answers(reply, ["cel-a", "cel-b"]) == {"cel-a": (), "cel-b": RuleFailure("no")}


def test_what_is_broken_names_field_line_and_column() -> None:
    reply = {
        "broken": {
            "cel-a": [
                {"field": "validations[0].expression", "line": 2, "column": 5, "message": "undeclared"},
                {"field": "variables[0].name", "line": 0, "column": 0, "message": "is empty"},
                {"field": "variables[1].expression", "line": -1, "column": 0, "message": "nested too deeply"},
            ]
        }
    }
    said = (
        "validations[0].expression:2:5: undeclared; variables[0].name: is empty; "
        "variables[1].expression: nested too deeply"
    )
    assert read_broken(reply) == {"cel-a": said}
    assert read_broken({}) == {}
    with pytest.raises(EngineError, match="it failed"):
        read_broken({"failure": "it failed"})
