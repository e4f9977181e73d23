"""Rules in CEL, questions for them, and the program that answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from iocaudit.core.kinds import POD
from iocaudit.core.severity import Severity
from iocaudit.core.shape import Json
from iocaudit.engine.languages.question import AskedRule, Question
from iocaudit.engine.languages.rule import CelCondition, CelSource, CelValidation, Language, RegoSource, Rule
from iocaudit.engine.languages.sources import Engine
from tests.support.engines import engine_program


def cel_program() -> Path:
    """iocaudit-cel, as users have it."""
    return engine_program(Engine.CEL)


def rule_of(name: str, language: Language, source: CelSource | RegoSource) -> Rule:
    """A rule for Pods."""
    return Rule(name, language, source, (POD,), Severity.HIGH, f"test {name}")


def cel_rule(
    name: str,
    *validations: str | CelValidation,
    variables: Mapping[str, str] | None = None,
    when: Mapping[str, str] | None = None,
) -> Rule:
    """A rule in CEL: expressions, variables and match conditions by name."""
    source = CelSource(
        tuple(CelValidation(one) if isinstance(one, str) else one for one in validations),
        tuple(CelCondition(*one) for one in (variables or {}).items()),
        tuple(CelCondition(*one) for one in (when or {}).items()),
    )
    return rule_of(f"cel-{name}", Language.CEL, source)


def pod(**spec: Any) -> Json:
    """A Pod with these fields in its spec."""
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": "shop"}, "spec": spec}


def request_for(
    judged: Json, old: Json | None = None, *, namespace: str = "shop", operation: str | None = None, **more: Any
) -> Json:
    """An AdmissionRequest for a Pod."""
    kind = {"group": "", "version": "v1", "kind": "Pod"}
    resource = {"group": "", "version": "v1", "resource": "pods"}
    return {
        "uid": "",
        "kind": kind,
        "resource": resource,
        "requestKind": kind,
        "requestResource": resource,
        "name": judged["metadata"]["name"],
        "namespace": namespace,
        "operation": operation or ("UPDATE" if old is not None else "CREATE"),
        "userInfo": {"username": "ann", "groups": ["dev"], "extra": {"scopes": ["a"]}},
        "object": judged,
        "oldObject": old,
        "dryRun": False,
        "options": None,
        **more,
    }


def question(
    rules: Sequence[Rule], request: Json, parameters: Json | None = None, namespace: Json | None = None
) -> Question:
    """A question with the same parameters for each rule."""
    return Question(tuple(AskedRule(one, parameters or {}) for one in rules), request, namespace)
