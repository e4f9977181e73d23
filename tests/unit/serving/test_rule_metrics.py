"""What rules cost, and how what evaluates them fares."""

from __future__ import annotations

import time

from iocaudit.engine.languages.ending import EndCause
from iocaudit.engine.languages.rule import Language
from iocaudit.serving.metrics import new_registry
from iocaudit.serving.rule_metrics import RuleMetrics


def test_every_outcome_is_there_from_the_start_and_counted() -> None:
    registry = new_registry("test")
    metrics = RuleMetrics(registry)
    name = "iocaudit_rule_evaluations_total"
    assert registry.get_sample_value(name, {"language": "cel", "outcome": "failed"}) == 0
    metrics.evaluated(Language.REGO, {"passed": 18, "violated": 2, "failed": 0}, 0.004)
    metrics.evaluated(Language.REGO, {"passed": 0, "violated": 0, "failed": 20}, 2.0)
    assert registry.get_sample_value(name, {"language": "rego", "outcome": "passed"}) == 18
    assert registry.get_sample_value(name, {"language": "rego", "outcome": "failed"}) == 20
    assert registry.get_sample_value("iocaudit_rule_question_seconds_count", {"language": "rego"}) == 2


def test_a_language_whose_rules_cannot_be_loaded_is_not_ready() -> None:
    registry = new_registry("test")
    metrics = RuleMetrics(registry)
    labels = {"language": "rego"}
    ready = "iocaudit_rule_engine_ready"
    assert registry.get_sample_value(ready, labels) is None, "nothing is evaluated, and nothing is wrong"
    metrics.loaded(Language.REGO, 3, "OPA is away")
    assert registry.get_sample_value(ready, labels) == 0
    metrics.loaded(Language.REGO, 3, None)
    assert (registry.get_sample_value(ready, labels), registry.get_sample_value("iocaudit_rules", labels)) == (1, 3)
    loaded_at = registry.get_sample_value("iocaudit_rules_loaded_timestamp_seconds", labels)
    assert loaded_at is not None
    assert abs(loaded_at - time.time()) < 60


def test_what_fails_and_what_is_refused_is_asked_when_it_is_shown() -> None:
    registry = new_registry("test")
    failing, refused = ["rego-a"], list[object]()
    RuleMetrics(registry).follow(lambda: failing, lambda: refused)
    assert registry.get_sample_value("iocaudit_rules_failing") == 1
    refused += [1, 2]
    assert registry.get_sample_value("iocaudit_rule_modules_refused") == 2


def test_a_program_that_ends_is_counted_and_its_rules_are_not_ready_until_it_runs_again() -> None:
    registry = new_registry("test")
    metrics = RuleMetrics(registry)
    labels = {"language": "cel"}
    restarts, ready = "iocaudit_rule_engine_restarts_total", "iocaudit_rule_engine_ready"
    for cause in EndCause:
        assert registry.get_sample_value(restarts, {**labels, "cause": cause.value}) == 0
    metrics.ended(Language.CEL, EndCause.START)
    metrics.started(Language.CEL)
    assert registry.get_sample_value(ready, labels) is None, "no rules are in force"
    assert registry.get_sample_value("iocaudit_rules_revision", labels) == 0
    metrics.loaded(Language.CEL, 2, None)
    metrics.loaded(Language.CEL, 3, "broken")
    metrics.loaded(Language.CEL, 3, None)
    assert registry.get_sample_value("iocaudit_rules_revision", labels) == 2
    metrics.ended(Language.CEL, EndCause.MEMORY)
    metrics.ended(Language.CEL, EndCause.MEMORY)
    assert registry.get_sample_value(ready, labels) == 0
    assert registry.get_sample_value(restarts, {**labels, "cause": "memory"}) == 2
    assert registry.get_sample_value(restarts, {**labels, "cause": "start"}) == 1
    metrics.started(Language.CEL)
    assert registry.get_sample_value(ready, labels) == 1
