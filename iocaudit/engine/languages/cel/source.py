"""A rule in CEL as iocaudit-cel takes it, and the digest that stands for it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from iocaudit.core.shape import Json
from iocaudit.engine.languages.evaluator import EngineError
from iocaudit.engine.languages.rule import CelCondition, CelSource, Rule


def cel_of(rule: Rule) -> CelSource:
    """The CEL of a rule. Raises EngineError for a rule in another language."""
    if not isinstance(rule.source, CelSource):
        raise EngineError(f"{rule.id} is not written in CEL")
    return rule.source


def document(source: CelSource) -> Json:
    """The source under the names of a ValidatingAdmissionPolicy's spec."""
    return {
        "matchConditions": _named(source.match_conditions),
        "variables": _named(source.variables),
        "validations": [
            {"expression": one.expression, "message": one.message, "messageExpression": one.message_expression}
            for one in source.validations
        ],
    }


def _named(conditions: Sequence[CelCondition]) -> list[Json]:
    return [{"name": one.name, "expression": one.expression} for one in conditions]


def digest(source: CelSource) -> str:
    """What stands for a source: equal for equal text alone."""
    text = json.dumps(document(source), sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()
