import pytest
from hypothesis import given
from hypothesis import strategies as st

from iocaudit.engine.languages.cel.source import cel_of, digest, document
from iocaudit.engine.languages.evaluator import EngineError
from iocaudit.engine.languages.rule import CelCondition, CelSource, CelValidation, Language, RegoSource
from tests.support.cel_rules import cel_rule, rule_of

TEXT = st.text('ab"\\\n é\ud800', max_size=4)
CONDITIONS = st.lists(st.builds(CelCondition, TEXT, TEXT), max_size=2).map(tuple)
SOURCES = st.builds(
    CelSource, st.lists(st.builds(CelValidation, TEXT, TEXT, TEXT), max_size=2).map(tuple), CONDITIONS, CONDITIONS
)


@given(SOURCES, SOURCES)
def test_digests_are_equal_for_equal_text_alone(one: CelSource, other: CelSource) -> None:
    assert (digest(one) == digest(other)) == (one == other)


def test_the_fields_have_the_names_of_a_validatingadmissionpolicy() -> None:
    source = CelSource(
        (CelValidation("a", "b", "c"),), variables=(CelCondition("d", "e"),), match_conditions=(CelCondition("f", "g"),)
    )
    assert document(source) == {
        "matchConditions": [{"name": "f", "expression": "g"}],
        "variables": [{"name": "d", "expression": "e"}],
        "validations": [{"expression": "a", "message": "b", "messageExpression": "c"}],
    }


def test_a_rule_in_another_language_is_refused() -> None:
    assert cel_of(cel_rule("a", "true")).validations == (CelValidation("true"),)
    with pytest.raises(EngineError, match="rego-a is not written in CEL"):
        cel_of(rule_of("rego-a", Language.REGO, RegoSource("package a")))
