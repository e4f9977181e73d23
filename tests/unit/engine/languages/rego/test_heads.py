"""Heads in neither syntax are told by their line; those that OPA takes never are."""

from __future__ import annotations

import pytest

from iocaudit.engine.languages.rego.heads import misread_head
from tests.support.rego import REGISTRY_V0, REGISTRY_V1


@pytest.mark.parametrize(
    ("head", "said"),
    [
        ("deny contains msg {", "`if` is missing before the body: `deny contains msg if { … }`"),
        ('violation contains {"msg": m} {', "`if` is missing before the body: `violation contains msg if { … }`"),
        ("deny {", "deny has to be a set of messages: `deny contains msg if { … }`"),
        ("  deny if {", "deny has to be a set of messages: `deny contains msg if { … }`"),
        ("deny{ true }", "deny has to be a set of messages: `deny contains msg if { … }`"),
    ],
)
def test_one_that_is_in_neither_syntax(head: str, said: str) -> None:
    found = misread_head(f"package x\n\n{head}\n  true\n}}\n")
    assert found is not None
    assert (found.line, found.message) == (3, said)


@pytest.mark.parametrize(
    "text",
    [
        REGISTRY_V0,
        REGISTRY_V1,
        'package x\ndeny contains {"msg": "a"} if {\n',
        'package x\nviolation[{"msg": m}] {\n',
        "",
    ],
)
def test_any_other(text: str) -> None:
    assert misread_head(text) is None
