"""What OPA takes without a word and a rule cannot mean: told by line and column, and never of what it may mean."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iocaudit.engine.languages.rego.mistakes import mistakes
from iocaudit.engine.languages.rego.modules import ModulesError, read_folder
from iocaudit.engine.languages.rego.preparer import Preparer
from iocaudit.engine.languages.rule import RegoSource
from iocaudit.engine.languages.sources import Engine
from tests.support.engines import engine_program
from tests.support.rego import REGISTRY_V0, REGISTRY_V1

SPEC = 'package x\n\ndeny contains "a" if {\n  input.spec.hostPID\n}\n'


@pytest.fixture(scope="module")
def preparer() -> Preparer:
    return Preparer(engine_program(Engine.OPA))


def told(*texts: str) -> list[str]:
    return [str(one) for one in mistakes(RegoSource(texts[0], texts[1:]))]


def test_a_field_of_the_input_that_is_never_there_is_told_where_it_is() -> None:
    (one,) = told(SPEC)
    assert one.startswith("line 4, column 3: input.spec is never there: a rule is handed input.request")
    (one,) = told(REGISTRY_V1, "package lib\n\nf := `\n` if { input.kind }\n")
    assert one.startswith("library 1, line 4, column 8: input.kind")


@pytest.mark.parametrize(
    "text",
    [
        REGISTRY_V0,
        REGISTRY_V1,
        'package x\n\ndeny contains "a" if { input.review.object.x; input.parameters.y; input.object.z }\n',
        'package x\n\n# input.spec\ndeny contains "input.spec" if { data.input.spec }\n',
        'package x\n\ndeny contains "a" if { f with input as input.request.object }\n\nf if { input.spec }\n',
    ],
)
def test_what_may_be_meant_is_not_told(text: str) -> None:
    assert told(text) == []


@given(st.text(max_size=200))
def test_no_text_breaks_it(text: str) -> None:
    told(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (SPEC, "a.rego:4:3: input.spec is never there"),
        (SPEC.replace(" if {", " {"), "a.rego:3:1: `if` is missing before the body: `deny contains msg if { … }`"),
        (SPEC.replace('contains "a" if', ""), "a.rego:3:1: deny has to be a set of messages: `deny contains msg if"),
        (SPEC.replace('contains "a" if {', "{\n  some c in input.x"), "a.rego:3:1: deny has to be a set of messages"),
        (SPEC.replace("deny", "allow"), "no file in it is a rule: one has `deny contains msg if { … }`"),
        (f"# METADATA\n# custom:\n#   kinds: [Pods]\n{REGISTRY_V1}", "a.rego:1: custom.kinds: 'Pods' is not a kind"),
        (f"# METADATA\n# custom:\n#   kinds: [Pods]\n{REGISTRY_V1}", "(did you mean Pod? else"),
        (f"# METADATA\n# custom:\n#   kinds: [Deploymnt]\n{REGISTRY_V1}", "did you mean Deployment?"),
    ],
)
def test_a_folder_with_one_is_refused(text: str, said: str, tmp_path: Path, preparer: Preparer) -> None:
    (tmp_path / "a.rego").write_text(text)
    with pytest.raises(ModulesError) as caught:
        read_folder(tmp_path, preparer)
    assert said in str(caught.value)


def test_kinds_of_others_are_taken(tmp_path: Path, preparer: Preparer) -> None:
    (tmp_path / "a.rego").write_text(f"# METADATA\n# custom:\n#   kinds: [Widget, Pods.example.com]\n{REGISTRY_V1}")
    (rule,) = read_folder(tmp_path, preparer)
    assert [str(kind) for kind in rule.kinds] == ["Widget", "Pods.example.com"]
