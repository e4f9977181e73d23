"""Rules in languages of their own, and audits that ask a FakeEvaluator about them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from iocaudit.core.kinds import POD
from iocaudit.core.severity import Severity
from iocaudit.engine.languages.rule import CelSource, CelValidation, Language, RegoSource, Rule


def rego(name: str, **given: Any) -> Rule:
    """A rule in Rego for Pods, of severity high."""
    return _rule(Language.REGO, name, given.pop("source", RegoSource("package x\ndeny contains m if false")), given)


def cel(name: str, **given: Any) -> Rule:
    """A rule in CEL for Pods, of severity high."""
    return _rule(Language.CEL, name, given.pop("source", CelSource((CelValidation("true"),))), given)


def _rule(language: Language, name: str, source: RegoSource | CelSource, given: dict[str, Any]) -> Rule:
    plain: dict[str, Any] = {"kinds": (POD,), "severity": Severity.HIGH, "where": f"file {name}"}
    return Rule(id=f"{language}-{name}", language=language, source=source, **{**plain, **given})


def policy_with(rules: Sequence[dict[str, Any]], name: str = "own", **spec: Any) -> dict[str, Any]:
    """An AuditPolicy that declares these rules."""
    return {
        "apiVersion": "iocaudit.io/v1alpha1",
        "kind": "AuditPolicy",
        "metadata": {"name": name},
        "spec": {**spec, "rules": list(rules)},
    }


def cel_entry(name: str = "no-latest", **given: Any) -> dict[str, Any]:
    """An entry of ``spec.rules`` in CEL, for Pods, that denies."""
    validations = [{"expression": "true", "message": "no"}]
    return {"name": name, "cel": {"validations": validations}, "kinds": ["Pod"], "mode": "deny", **given}


def rego_entry(name: str = "registry", **given: Any) -> dict[str, Any]:
    """The same in Rego."""
    return {"name": name, "rego": {"module": "package x"}, "kinds": ["Pod"], "mode": "deny", **given}
