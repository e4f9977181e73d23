"""Calico's expressions: what they mean, what is refused, and that no text is too much."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iocaudit.knowledge.network.calico_selector import LONGEST, Expression, SelectorStep, SelectorSyntaxError, parse
from iocaudit.knowledge.network.selectors import SelectorIndex
from tests.support.bounded import cpu_within


@pytest.mark.parametrize(
    ("text", "labels", "matches"),
    [
        ("a == 'b'", {"a": "b"}, True),
        ('a=="b"', {"a": "c"}, False),
        ("a == 'b'", {}, False),
        ("a != 'b'", {}, True),
        ("a != 'b'", {"a": "b"}, False),
        ("a in {'x', \"y\"}", {"a": "y"}, True),
        ("a in {'x',}", {"a": "x"}, True),
        ("a in {}", {"a": ""}, False),
        ("a not in {'x'}", {}, True),
        ("a notin{'x'}", {"a": "x"}, False),
        ("a not\tin {'x'}", {"a": "y"}, True),
        ("has(a)", {"a": ""}, True),
        ("has( a )", {}, False),
        ("a contains 'b'", {"a": "abc"}, True),
        ("a contains 'b'", {}, False),
        ("a startswith 'a'", {"a": "abc"}, True),
        ("a starts  with 'b'", {"a": "abc"}, False),
        ("a ends with 'c'", {"a": "abc"}, True),
        ("a endswith 'c'", {}, False),
        ("all()", {}, True),
        ("global( )", {}, True),
        ("", {}, True),
        (" \t", {"a": "b"}, True),
        ("!has(a)", {}, True),
        ("! !has(a)", {}, False),
        ("!a == 'b'", {"a": "b"}, False),
        # && binds tighter than ||, ! tighter than both.
        ("has(a) || has(b) && has(c)", {"a": ""}, True),
        ("(has(a) || has(b)) && has(c)", {"a": ""}, False),
        ("!has(a) && has(b)", {"b": ""}, True),
        ("!(has(a) && has(b))", {"a": ""}, True),
        ("has.it/x-1 == ''", {"has.it/x-1": ""}, True),
        ("in in {'in'}", {"in": "in"}, True),
        ("all == 'x'", {"all": "x"}, True),
        ("a == '\"'", {"a": '"'}, True),
    ],
)
def test_an_expression_means(text: str, labels: dict[str, str], matches: bool) -> None:
    assert parse(text).matches(labels) is matches


@pytest.mark.parametrize(
    "text",
    [
        "a",
        "a =",
        "a = 'b'",
        "a == b",
        "a == 'b",
        "== 'b'",
        "has (a)",
        "has(a",
        "has()",
        "all(x)",
        "all ()",
        "(a == 'b'",
        "a == 'b')",
        "a == 'b' &&",
        "&& a == 'b'",
        "a == 'b' & b == 'c'",
        "a == 'b' b == 'c'",
        "a in 'b'",
        "a in {'b'",
        "a in {'b' 'c'}",
        "a in {b}",
        "!",
        "()",
        "a starts 'b'",
        "a not 'b'",
        "a == 'b'\n",
        "a == 'b' ! has(c)",
        "é == 'b'",
        "a == 'b' # x",
        "x" * 513 + " == 'a'",
        "a == 'b'" + " " * LONGEST,
    ],
)
def test_what_is_no_expression_is_refused(text: str) -> None:
    with pytest.raises(SelectorSyntaxError, match=r"expected|at most"):
        parse(text)


@given(st.text(max_size=60) | st.text(alphabet="ab!&|(){}=' ,has\"in", max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        found = parse(text)
    except SelectorSyntaxError:
        return
    assert found.matches({"a": "b"}) in (True, False)


_KEYS = st.sampled_from(["a", "b", "c.d/e"])
_VALUES = st.sampled_from(["", "x", "y", "xy", '"'])
_LABELS = st.dictionaries(_KEYS, _VALUES)
_PREDICATES = (
    st.builds(
        lambda o, k, v: (SelectorStep(o, k, (v,)),),
        st.sampled_from(["==", "!=", "contains", "starts with", "ends with"]),
        _KEYS,
        _VALUES,
    )
    | st.builds(
        lambda o, k, v: (SelectorStep(o, k, tuple(sorted(v))),),
        st.sampled_from(["in", "not in"]),
        _KEYS,
        st.sets(_VALUES, max_size=3),
    )
    | st.builds(lambda k: (SelectorStep("has", k),), _KEYS)
    | st.sampled_from([(SelectorStep("all"),), (SelectorStep("global"),)])
)
_PROGRAMS = st.recursive(
    _PREDICATES,
    lambda inner: (
        st.builds(lambda a: (*a, SelectorStep("!")), inner)
        | st.builds(lambda a, b, o: (*a, *b, SelectorStep(o)), inner, inner, st.sampled_from(["&&", "||"]))
    ),
    max_leaves=8,
)


@given(_PROGRAMS)
def test_what_is_written_is_read_back(program: tuple[SelectorStep, ...]) -> None:
    expression = Expression(program)
    assert parse(str(expression)) == expression


@given(_PROGRAMS, _LABELS, _LABELS)
def test_matching_all_is_matching_whatever_else_there_is(
    program: tuple[SelectorStep, ...], known: dict[str, str], others: dict[str, str]
) -> None:
    expression = Expression(program)
    if expression.matches_all(known):
        assert expression.matches({**others, **known})


@given(st.lists(_PROGRAMS, max_size=6), _LABELS)
def test_an_index_finds_what_matches(programs: list[tuple[SelectorStep, ...]], labels: dict[str, str]) -> None:
    expressions = [Expression(program) for program in programs]
    index = SelectorIndex((expression, number) for number, expression in enumerate(expressions))
    assert sorted(index.matching(labels)) == [n for n, one in enumerate(expressions) if one.matches(labels)]


@pytest.mark.parametrize(
    "text",
    [
        "(" * LONGEST,
        "!" * (LONGEST - 5) + "all()",
        "(" * 500 + "has(a)" + ")" * 500,
        "has(" * 256,
        "a in {" + "'x'," * 250,
        "all()" + "||all()" * 140,
        "x" * LONGEST,
        "' " * 512,
        "not " * 256,
        "starts" + " " * 1000,
        "a starts" + " " * 1000,
    ],
)
def test_hostile_text_takes_no_time(text: str) -> None:
    with cpu_within(0.5), contextlib.suppress(SelectorSyntaxError):
        expression = parse(text)
        assert expression.matches({}) in (True, False)
        assert expression.matches_all({}) in (True, False)
        assert expression.anchors is None or isinstance(expression.anchors, tuple)
