"""The Evaluator of Rego with a real OPA that is looked after, and with one that runs elsewhere."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest

from iocaudit.engine.deadline import Deadline
from iocaudit.engine.languages.answer import RuleFailure, Violation
from iocaudit.engine.languages.question import AskedRule, Question
from iocaudit.engine.languages.rule import Language, RegoSource, Rule
from iocaudit.engine.languages.sources import Engine
from iocaudit.live.engine_factories import factories
from iocaudit.live.engine_options import EngineOptions
from iocaudit.live.engines import Engines
from iocaudit.live.rego_engine import OPA_PART
from iocaudit.supervision.supervisor import Supervisor
from tests.support.children import children
from tests.support.engines import engine_program
from tests.support.rules import rego

MODULE = 'package x\n\ndeny contains msg if {\n  input.request.object.bad\n  msg := "it is bad"\n}\n'
V0 = 'package x\n\ndeny[msg] {\n  input.request.object.bad\n  msg := "it is bad"\n}\n'
LIBRARY = "package lib\n\nbad(object) if object.bad\n"
USER = 'package y\n\nimport data.lib\n\ndeny contains "it is bad" if lib.bad(input.request.object)\n'


@pytest.fixture
def supervisor() -> Iterator[Supervisor]:
    engine_program(Engine.OPA)
    found = Supervisor(look_every=0.05, cut_off=lambda _code: None)
    found.start()
    yield found
    found.close()


@pytest.fixture
def engines(supervisor: Supervisor) -> Iterator[Engines]:
    found = Engines(factories(EngineOptions(), supervisor.thread))
    yield found
    supervisor.stop()
    found.close()


def names(supervisor: Supervisor) -> list[str]:
    return [part.name for part in supervisor.parts]


def ask(engines: Engines, rule: Rule, **judged: Any) -> object:
    question = Question((AskedRule(rule, {}),), {"operation": "CREATE", "object": judged})
    return engines.evaluators[Language.REGO].ask(question, Deadline.within(5))[rule.id]


def test_what_is_asked_is_answered_and_its_opa_is_a_part_of_the_process(
    engines: Engines, supervisor: Supervisor
) -> None:
    assert names(supervisor) == []
    rule = rego("one", source=RegoSource(MODULE))
    broken = rego("two", source=RegoSource("package x\n\ndeny contains"))
    assert engines.compile([rule, broken]).keys() == {"rego-two"}
    assert "line" in engines.compile([broken])["rego-two"]
    engines.load([rule])
    assert engines.trouble == {}
    assert names(supervisor) == [OPA_PART]
    found = ask(engines, rule, bad=True)
    assert isinstance(found, tuple)
    assert [one.message for one in found if isinstance(one, Violation)] == ["it is bad"]
    assert ask(engines, rule) == ()


def test_an_opa_that_is_killed_is_started_and_loaded_again(engines: Engines) -> None:
    rule = rego("one", source=RegoSource(MODULE))
    engines.load([rule])
    (pid,) = children(os.getpid(), "iocaudit-opa")
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 20
    while isinstance(found := ask(engines, rule, bad=True), RuleFailure):
        assert time.monotonic() < deadline, found
        time.sleep(0.1)
    assert found, "an OPA without its rules says nothing, and that is never taken for an answer"


def test_modules_of_a_configmap_are_rules_and_libraries_of_them(engines: Engines) -> None:
    rules, broken = engines.read_modules({"user.rego": USER, "lib.rego": LIBRARY, "x.txt": ""}, "ConfigMap ours")
    assert [(rule.id, rule.where) for rule in rules] == [("rego-user", "ConfigMap ours, data['user.rego']")]
    assert broken.keys() == {"x.txt"}
    engines.load(rules)
    assert ask(engines, rules[0], bad=True)


def test_the_older_syntax_is_shown_as_it_is_evaluated(engines: Engines) -> None:
    old, new = rego("old", source=RegoSource(V0)), rego("new", source=RegoSource(MODULE))
    found = engines.converted([old, new])
    assert found.keys() == {"rego-old"}
    assert "deny contains msg if" in found["rego-old"]
