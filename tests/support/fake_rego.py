"""A FakeEvaluator that reads modules as well: a text is a rule for Pods unless it says otherwise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from iocaudit.engine.languages.rule import Language, RegoSource, Rule
from iocaudit.live.engines import EngineObserver, Engines
from tests.support.evaluator import FakeEvaluator
from tests.support.rules import rego


class FakeRego(FakeEvaluator):
    """What a test does with Rego where the language does not matter. ``unready`` is raised where it is used."""

    unready: Exception | None = None

    def check(self, rules: Sequence[Rule]) -> Mapping[str, str]:
        if self.unready is not None:
            raise self.unready
        broken = {rule.id: "line 1, column 1: broken" for rule in rules if "broken" in _text(rule)}
        return {**broken, **super().check(rules)}

    def load(self, rules: Sequence[Rule]) -> None:
        if self.unready is not None:
            raise self.unready
        super().load(rules)

    def read_modules(self, texts: Mapping[str, str], where: str) -> tuple[list[Rule], dict[str, str]]:
        """Keys with ``unreadable`` in their text cannot be read."""
        if self.unready is not None:
            raise self.unready
        rules = [
            rego(key.removesuffix(".rego"), source=RegoSource(text), where=f"{where}, data[{key!r}]")
            for key, text in sorted(texts.items())
            if "library" not in text and "unreadable" not in text
        ]
        return rules, {key: "line 1: unreadable" for key, text in texts.items() if "unreadable" in text}

    def converted(self, rules: Sequence[Rule]) -> Mapping[str, str]:
        """Texts with ``v0`` in them are of that syntax."""
        return {rule.id: f"v1 of {_text(rule)}" for rule in rules if "v0" in _text(rule)}


def _text(rule: Rule) -> str:
    assert isinstance(rule.source, RegoSource)
    return rule.source.module


def engines_with(evaluator: FakeEvaluator, observer: EngineObserver | None = None) -> Engines:
    """The engines of a process in which rules in Rego are answered by it."""
    return Engines({Language.REGO: lambda: evaluator}, observer)
