"""What makes the Evaluator of each language."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from iocaudit.core.resource import CLUSTER, Resource
from iocaudit.engine.deadline import Deadline
from iocaudit.engine.languages.answer import Violation
from iocaudit.engine.languages.question import AskedRule, Question
from iocaudit.engine.languages.rule import CelSource, CelValidation, Language, RegoSource, Rule
from iocaudit.engine.languages.sources import Engine
from iocaudit.live.engine_factories import CEL_PART, factories
from iocaudit.live.engine_options import EngineOptions, RegoMode
from iocaudit.live.engines import Engines
from iocaudit.live.rego_engine import OPA_PART
from iocaudit.serving.metrics import new_registry
from iocaudit.serving.rule_metrics import RuleMetrics
from iocaudit.supervision.supervisor import Supervisor
from tests.support.children import children
from tests.support.engines import engine_program
from tests.support.rules import cel, rego

SILENT = "package x\n\ndeny contains 1 if false\n"
PARTS = {Language.REGO: OPA_PART, Language.CEL: CEL_PART}


def engines(options: EngineOptions, begun: list[str]) -> Engines:
    def supervise(name: str, _run: Any) -> None:
        begun.append(name)

    return Engines(factories(options, supervise))


def test_nothing_begins_with_the_process() -> None:
    begun: list[str] = []
    found = engines(EngineOptions(), begun)
    assert found.evaluators.keys() == set(Language)
    found.load([])
    found.close()
    assert begun == []


def test_without_the_programs_rules_are_refused_with_the_command(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("IOCAUDIT_CACHE", str(tmp_path))
    begun: list[str] = []
    for options in (EngineOptions(), EngineOptions(RegoMode.REMOTE, "http://127.0.0.1:1")):
        said = engines(options, begun).compile([rego("one"), cel("two")])
        assert "iocaudit engines install opa" in said["rego-one"]
        assert "iocaudit engines install cel" in said["cel-two"]
    assert begun == []


def test_rules_in_cel_are_evaluated() -> None:
    engine_program(Engine.CEL)
    found = engines(EngineOptions(), [])
    rule = cel("named", source=CelSource((CelValidation("object.metadata.name != 'bad'", "a bad name"),)))
    try:
        assert found.compile([rule]) == {}
        found.load([rule])
        for name, messages in (("bad", ["a bad name"]), ("good", [])):
            judged = Resource({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}}, CLUSTER)
            request = {"operation": "CREATE", "object": judged.raw, "kind": {"version": "v1", "kind": "Pod"}}
            question = Question((AskedRule(rule, {}),), request)
            answer = found.evaluators[Language.CEL].ask(question, Deadline.within(10))[rule.id]
            assert isinstance(answer, tuple), answer
            assert [one.message for one in answer if isinstance(one, Violation)] == messages
    finally:
        found.close()


@pytest.mark.parametrize(
    "rule", [rego("one", source=RegoSource("package x\n\ndeny contains 1 if false\n")), cel("two")]
)
def test_a_program_is_a_part_of_the_process_and_its_ends_are_counted(rule: Rule) -> None:
    engine = {Language.REGO: Engine.OPA, Language.CEL: Engine.CEL}[rule.language]
    engine_program(engine)
    registry = new_registry("test")
    metrics = RuleMetrics(registry)
    supervisor = Supervisor(look_every=0.05)
    supervisor.start()
    found = Engines(factories(EngineOptions(), supervisor.thread, metrics), metrics)
    labels = {"language": rule.language.value}
    try:
        found.load([rule])
        assert found.trouble == {}
        assert [part.name for part in supervisor.parts] == [
            {Language.REGO: OPA_PART, Language.CEL: CEL_PART}[rule.language]
        ]
        (pid,) = children(os.getpid(), engine.program)
        os.kill(pid, signal.SIGKILL)
        end = time.monotonic() + 120
        killed = {**labels, "cause": "signal"}
        while (
            registry.get_sample_value("iocaudit_rule_engine_restarts_total", killed) != 1
            or registry.get_sample_value("iocaudit_rule_engine_ready", labels) != 1
        ):
            assert time.monotonic() < end
            time.sleep(0.05)
        assert children(os.getpid(), engine.program) not in ([], [pid])
    finally:
        supervisor.stop()
        found.close()
        supervisor.close()
