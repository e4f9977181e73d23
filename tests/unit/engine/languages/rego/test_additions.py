"""Of two modules it is told whether the second only adds to what the first denies; where that is unclear, no."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iocaudit.engine.languages.rego.additions import only_adds
from tests.support.rego import REGISTRY_V0, REGISTRY_V1

MORE = 'deny contains "no" if {\n\tinput.request.object.spec.hostPID\n}\n'


@pytest.mark.parametrize(
    "after",
    [
        f"# METADATA\n# title: another\n{REGISTRY_V1}",
        REGISTRY_V1.replace("\t", "    ").replace("\n\n", "\n\n\n"),
        REGISTRY_V1.replace("\tmsg :=", "\t# why it's said\n\tmsg :="),
        f"{REGISTRY_V1}\n{MORE}",
        REGISTRY_V1.replace("deny contains msg", f"{MORE}\ndeny contains msg"),
        f'{REGISTRY_V1}\ndeny contains {{"msg": m, "path": "spec"}} if {{ m := "}} # no" }}',
        f'{REGISTRY_V1}\nviolation contains "x" if input.request.object.spec',
        f'{REGISTRY_V1}\ndeny contains "always"',
    ],
)
def test_what_only_adds(after: str) -> None:
    assert only_adds(REGISTRY_V1, after)


@pytest.mark.parametrize(
    "after",
    [
        "",
        "package kubernetes.admission",
        REGISTRY_V1.replace("not startswith", "startswith"),
        REGISTRY_V1.replace("hooli.com/", "hooli.com"),
        REGISTRY_V1.replace("image '%v' comes", "image  '%v' comes"),
        REGISTRY_V1.replace("\tmsg :=", "\tfalse\n\tmsg :="),
        REGISTRY_V1.replace("\tmsg :=", "\t#`\n\tfalse #`\n\tmsg :="),
        REGISTRY_V1.replace("deny", "allow"),
        REGISTRY_V1.replace("kubernetes", "other"),
        f"{REGISTRY_V1}\nstartswith(a, b) := true",
        f'{REGISTRY_V1}\ndeny contains "x" if {{ true }} startswith(a, b) if {{ true }}',
        f'{REGISTRY_V1}\ndeny contains "x" if {{ true }}; startswith(a, b) := true',
        f'{REGISTRY_V1}\ndeny contains "x" if {{ true }}\n  startswith(a, b) if {{ true }}',
        f'{REGISTRY_V1}\ndeny contains $"{{"x"}} #" if {{ true }}',
        f"{REGISTRY_V1}\nimport data.other",
        f"{REGISTRY_V1}\ndeny := set()",
    ],
)
def test_what_may_deny_less(after: str) -> None:
    assert not only_adds(REGISTRY_V1, after)


def test_where_denials_are_read_more_of_them_may_deny_less() -> None:
    reading = 'package x\n\nviolation contains "v" if { count(deny) == 0 }\n\ndeny contains "a" if { false }\n'
    assert only_adds(reading, reading)
    assert not only_adds(reading, f"{reading}\n{MORE}")


def test_both_syntaxes_are_cut() -> None:
    assert only_adds(REGISTRY_V0, f'{REGISTRY_V0}\ndeny["no"] {{\n  input.x\n}}\n')
    assert not only_adds(REGISTRY_V0, REGISTRY_V0.replace("not ", ""))


_PARTS = st.lists(st.sampled_from([MORE, "x := 1\n", 'y["}"] := {"a": [1]}\n', "# a\n", "`", '"', "{", ")", "\n", "é"]))


@given(_PARTS, _PARTS)
def test_no_text_breaks_it_and_each_adds_nothing_to_itself(some: list[str], others: list[str]) -> None:
    before, after = "".join(some), "".join(others)
    only_adds(before, after)
    assert only_adds(before, before)


@given(st.lists(st.sampled_from([MORE, "x := 1\n", "f(a) := a\n", 'z contains "é # {" if { true }\n']), min_size=1))
def test_nothing_can_be_taken_away(parts: list[str]) -> None:
    whole = "package x\n\n" + "\n".join(parts)
    for at in range(len(parts)):
        less = "package x\n\n" + "\n".join(parts[:at] + parts[at + 1 :])
        assert only_adds(whole, less) is False
