"""What rules in languages of their own cost, and how the programs that evaluate them fare."""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from iocaudit.engine.languages.ending import EndCause
from iocaudit.engine.languages.rule import Language
from iocaudit.serving.metrics import LATENCY_BUCKETS

OUTCOMES = ("passed", "violated", "failed")


class RuleMetrics:
    """Labels are bounded: two languages, three outcomes, few causes. Each is shown as 0 from the start."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._evaluations = Counter(
            "iocaudit_rule_evaluations_total",
            "Rules that were asked about an object, by language and outcome (passed, violated, failed).",
            ["language", "outcome"],
            registry=registry,
        )
        self._seconds = Histogram(
            "iocaudit_rule_question_seconds",
            "Seconds from a question about one object to the answers of all its rules of a language.",
            ["language"],
            buckets=LATENCY_BUCKETS,
            registry=registry,
        )
        self._rules = Gauge("iocaudit_rules", "Rules in force by language.", ["language"], registry=registry)
        self._ready = Gauge(
            "iocaudit_rule_engine_ready",
            "1 while the rules of a language are loaded as they are in force, 0 while they could not be.",
            ["language"],
            registry=registry,
        )
        self._loaded_at = Gauge(
            "iocaudit_rules_loaded_timestamp_seconds",
            "Unix time at which the rules of a language were loaded last.",
            ["language"],
            registry=registry,
        )
        self._revision = Gauge(
            "iocaudit_rules_revision",
            "Number of the set of rules in force, counted by this process: it grows with each set that was loaded.",
            ["language"],
            registry=registry,
        )
        self._restarts = Counter(
            "iocaudit_rule_engine_restarts_total",
            "Times the program that evaluates a language ended or did not start, by cause; another start follows.",
            ["language", "cause"],
            registry=registry,
        )
        self._ended = {
            (language, cause): self._restarts.labels(language.value, cause.value)
            for language in Language
            for cause in EndCause
        }
        self._in_force: set[Language] = set()
        self._away: set[Language] = set()
        self._failing = Gauge(
            "iocaudit_rules_failing", "Rules that could not be evaluated when they were last asked.", registry=registry
        )
        self._refused = Gauge(
            "iocaudit_rule_modules_refused", "ConfigMaps, or keys of them, that cannot be used.", registry=registry
        )
        self._trouble: Callable[[], Container[Language]] = lambda: ()
        self._counted = {
            (language, outcome): self._evaluations.labels(language.value, outcome)
            for language in Language
            for outcome in OUTCOMES
        }
        self._timed = {language: self._seconds.labels(language.value) for language in Language}
        for language in Language:
            self._rules.labels(language.value).set(0)
            self._revision.labels(language.value).set(0)

    def evaluated(self, language: Language, outcomes: Mapping[str, int], seconds: float) -> None:
        """Count the outcomes of one question."""
        for outcome, count in outcomes.items():
            if count:
                self._counted[language, outcome].inc(count)
        self._timed[language].observe(seconds)

    def loaded(self, language: Language, rules: int, reason: str | None) -> None:
        """Take down how many rules there are, and whether they could be loaded."""
        self._rules.labels(language.value).set(rules)
        self._ready.labels(language.value).set_function(
            lambda: reason is None and language not in self._away and language not in self._trouble()
        )
        if reason is None:
            self._in_force.add(language)
            self._revision.labels(language.value).inc()
            self._loaded_at.labels(language.value).set(time.time())

    def ended(self, language: Language, cause: EndCause) -> None:
        """Count an end of the program that evaluates a language; its rules are not loaded now."""
        self._away.add(language)
        self._ended[language, cause].inc()

    def started(self, language: Language) -> None:
        """It runs again, with the rules in force loaded."""
        self._away.discard(language)
        if language in self._in_force:
            self._loaded_at.labels(language.value).set(time.time())

    def follow(
        self,
        failing: Callable[[], Iterable[str]],
        refused: Callable[[], Iterable[object]],
        trouble: Callable[[], Container[Language]] = lambda: (),
    ) -> None:
        """Show how many rules fail, how many modules are refused, and the languages in ``trouble``, whenever asked."""
        self._trouble = trouble
        self._failing.set_function(lambda: len(list(failing())))
        self._refused.set_function(lambda: len(list(refused())))
