"""Falco's conditions are read as Falco reads them: what it takes, what it refuses, and where."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devcluster.detections.condition import (
    Comparison,
    ConditionError,
    EventField,
    Junction,
    MacroName,
    read_condition,
    walk,
)

TTY = Comparison(EventField("proc.tty"), "!=", ("0",))


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("proc.tty != 0", TTY),
        ("proc.tty!=0", TTY),
        ("container", MacroName("container")),
        ("not(proc.tty != 0)", Junction("not", (TTY,))),
        ("not not proc.tty != 0", TTY),
        ("a or(b)", Junction("or", (MacroName("a"), MacroName("b")))),
        ("a and b or c", Junction("or", (Junction("and", (MacroName("a"), MacroName("b"))), MacroName("c")))),
        ("evt.arg[flags] contains O_TRUNC", Comparison(EventField("evt.arg", "flags"), "contains", ("O_TRUNC",))),
        ("jevt.value[/stage] in (A, 'b c')", Comparison(EventField("jevt.value", "/stage"), "in", ("A", "b c"))),
        ("proc.name in (list_of_mine)", Comparison(EventField("proc.name"), "in", ("list_of_mine",))),
        ("proc.name in list_of_mine", Comparison(EventField("proc.name"), "in", ("list_of_mine",), named=True)),
        ("proc.name in ()", Comparison(EventField("proc.name"), "in")),
        ("ka.target.name exists", Comparison(EventField("ka.target.name"), "exists")),
        ("proc.vpid >= 0x1F", Comparison(EventField("proc.vpid"), ">=", ("0x1F",))),
        (
            "basename(tolower(proc.exe)) = a",
            Comparison(EventField("proc.exe", None, ("basename", "tolower")), "=", ("a",)),
        ),
        (
            "proc.name = val( proc.pname )",
            Comparison(EventField("proc.name"), "=", other=EventField("proc.pname", None, ("val",))),
        ),
        (r'proc.cmdline contains "say \"hi\""', Comparison(EventField("proc.cmdline"), "contains", ('say "hi"',))),
        ("fd.name startswith /etc/", Comparison(EventField("fd.name"), "startswith", ("/etc/",))),
    ],
)
def test_read(text: str, tree: object) -> None:
    assert read_condition(text) == tree


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "character 1: expected a condition"),
        ("proc.name", "character 10: expected an operator"),
        ("proc.name contains", "character 11: expected an operator"),
        ("proc.name containsx", "expected an operator"),
        ("proc.name in (a b)", "expected ',' or ')' in a list"),
        ("proc.name in (a,)", "expected a value"),
        ("proc.vpid > many", "expected a number"),
        ("a and", "character 6: expected a blank or '('"),
        ("a b", "expected 'or', 'and', or the end"),
        ("a or(b)and c", "character 8: expected 'or', 'and', or the end"),
        ("(a", "expected ')'"),
        ("proc.name = 'open", "expected a value"),
        (r"proc.name = '\"'", "expected an escape that Falco knows"),
        ("evt.arg[ = a", "expected an argument"),
        ("join(proc.name) = a", "expected"),
        ("proc.name contains oneof (a)", "expected 'or', 'and', or the end"),
        ("(" * 20 + "a" + ")" * 20, "at most 19 groups"),
        ("a\0", "expected 'or', 'and', or the end"),
    ],
)
def test_refused(text: str, said: str) -> None:
    with pytest.raises(ConditionError) as refused:
        read_condition(text)
    assert said in str(refused.value)


@given(st.text(alphabet="ab.()[]\"'\\ =!<>,0x nortadi", max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        tree = read_condition(text)
    except ConditionError:
        return
    assert list(walk(tree))


NAMES = st.from_regex(r"[a-z]{1,5}x[a-z0-9_]{0,3}", fullmatch=True)
CHECKS = st.builds(
    lambda field, operator, value: Comparison(EventField(f"proc.{field}"), operator, (value,)),
    NAMES,
    st.sampled_from(["=", "!=", "contains", "startswith", "in"]),
    NAMES,
)
TREES = st.recursive(
    CHECKS | st.builds(MacroName, NAMES),
    lambda inner: (
        st.builds(lambda parts: Junction("and", tuple(parts)), st.lists(inner, min_size=2, max_size=3))
        | st.builds(lambda parts: Junction("or", tuple(parts)), st.lists(inner, min_size=2, max_size=3))
    ),
    max_leaves=6,
)


def written(tree: object) -> str:
    if isinstance(tree, MacroName):
        return tree.name
    if isinstance(tree, Comparison):
        value = f"({tree.values[0]})" if tree.operator == "in" else tree.values[0]
        return f"{tree.field.name} {tree.operator} {value}"
    assert isinstance(tree, Junction)
    return f" {tree.operator} ".join(f"({written(part)})" for part in tree.parts)


@given(TREES)
def test_what_is_written_is_what_is_read(tree: object) -> None:
    assert read_condition(written(tree)) == tree
