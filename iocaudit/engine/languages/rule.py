"""A rule in a language of its own, as it was written: what an Evaluator takes, and what becomes a Check."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from iocaudit.core.kinds import Kind
from iocaudit.core.request import Operation
from iocaudit.core.severity import IoC, Severity


class Language(StrEnum):
    """What a rule is written in; its value begins the id of the rule (``rego-image-registry``)."""

    REGO = "rego"
    CEL = "cel"


@dataclass(frozen=True)
class RegoSource:
    """A module of Rego, and the modules that it may import, as they were written (v0 or v1)."""

    module: str
    libraries: tuple[str, ...] = ()


@dataclass(frozen=True)
class CelCondition:
    """A named CEL expression: a match condition, or a variable."""

    name: str
    expression: str


@dataclass(frozen=True)
class CelValidation:
    """An expression that is true of a good object, and what is said of a bad one."""

    expression: str
    message: str = ""
    message_expression: str = ""


@dataclass(frozen=True)
class CelSource:
    """The part of a ValidatingAdmissionPolicy that is CEL."""

    validations: tuple[CelValidation, ...]
    variables: tuple[CelCondition, ...] = ()
    match_conditions: tuple[CelCondition, ...] = ()


@dataclass(frozen=True, eq=False)
class Rule:
    """One rule. Its id is the name under which findings, waivers and policies speak of it.

    ``kinds`` are those whose objects it judges. With ``pod_templates`` a rule for Pods judges the pod of each template
    as well, as the Pod that will be made of it. ``parameters`` is what the rule is handed where no policy sets others.
    ``needs`` are kinds that it looks up; ``operations`` those of requests for which it is asked. ``where`` says where
    it is written, for messages: ``AuditPolicy registries, spec.rules[0]``, or a file.
    """

    id: str
    language: Language
    source: RegoSource | CelSource
    kinds: tuple[Kind, ...]
    severity: Severity
    where: str
    title: str = ""
    description: str = ""
    fix: str = ""
    iocs: tuple[IoC, ...] = ()
    pod_templates: bool = True
    operations: tuple[Operation, ...] = (Operation.CREATE, Operation.UPDATE)
    needs: tuple[Kind, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
