"""A rule in a language of its own as a check of the catalogue, with its hits and its documentation."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any

from iocaudit.core import paths
from iocaudit.core.check import NAMED, Check, CheckDoc
from iocaudit.core.hit import Hit
from iocaudit.core.identity import bounded, fingerprint
from iocaudit.core.kinds import CONNECTIONS, DAEMON_SET, POD, PODS, SECRET, Kind
from iocaudit.core.parameters import Parameter
from iocaudit.core.request import Operation
from iocaudit.core.resource import Resource
from iocaudit.core.severity import Severity
from iocaudit.core.shape import Json, mapping
from iocaudit.engine.languages.answer import Violation
from iocaudit.engine.languages.rule import Language, RegoSource, Rule
from iocaudit.knowledge.clipping import clip
from iocaudit.knowledge.credentials.credential import evidence_of, redacted

MOST_VIOLATIONS = 500
"""How many hits of a rule on one object are told apart."""
_LONGEST_MESSAGE = 1000
_LONGEST_EVIDENCE = 500
_MANY = frozenset(PODS) - {DAEMON_SET}
_COMMENT = re.compile(r"^\s*#.*$", re.MULTILINE)


class RuleDoc(CheckDoc):
    """What a rule says of itself, in place of a docstring: its texts are not searched for sections."""

    def __init__(self, rule: Rule) -> None:
        super().__init__(self._text)
        self._rule = rule

    def _text(self) -> str:
        parts = (self.title, self.why, f"Fix: {self.fix}" if self.fix else "")
        return "\n\n".join(part for part in parts if part)

    @cached_property
    def title(self) -> str:
        return " ".join(self._rule.title.split()).rstrip(".") or f"rule {self._rule.id} is violated"

    @cached_property
    def why(self) -> str:
        return self._rule.description.strip()

    @cached_property
    def fix(self) -> str:
        return " ".join(self._rule.fix.split())

    @cached_property
    def sources(self) -> str:
        return self._rule.where

    @cached_property
    def _sections(self) -> dict[str, str]:
        return {}


class RuleJudge:
    """What is called for a check that is a rule: it makes hits of what the Evaluator said is wrong."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule

    def __call__(self, resource: Resource, answer: Iterable[Violation]) -> Iterator[Hit]:
        yield from hits_of(answer, resource.raw, Severity.CRITICAL)


def rule_of(check: Check) -> Rule | None:
    """The rule that a check is; None of a check that is a function."""
    judge = check.evaluate
    return judge.rule if isinstance(judge, RuleJudge) else None


def judgement_of(check: Check) -> tuple[Any, ...]:
    """What of a rule decides what it finds, to compare."""
    rule = rule_of(check)
    if rule is None:
        return ()
    return (rule.source, rule.kinds, rule.operations, rule.pod_templates, rule.needs, dict(rule.parameters))


def check_of(rule: Rule, *, named: bool = False) -> Check:
    """The check of a rule; ``named``: it runs only where a policy names it."""
    on_templates = rule.pod_templates and POD in rule.kinds and Operation.CREATE in rule.operations
    looks_at = dict.fromkeys((*rule.kinds, *PODS)) if on_templates else dict.fromkeys(rule.kinds)
    operations = tuple(dict.fromkeys((*rule.operations, Operation.UPDATE))) if on_templates else rule.operations
    return Check(
        RuleJudge(rule),
        ("resource", "answer"),
        RuleDoc(rule),
        rule.id,
        severity=rule.severity,
        worst=_worst(rule),
        iocs=rule.iocs,
        group=rule.language.value,
        looks_at=tuple(looks_at),
        needs=rule.needs,
        profile=NAMED if named else "default",
        parameters=tuple(Parameter(name, {}, "", default=value) for name, value in rule.parameters.items()),
        operations=operations,
        audit_only=not _MANY.isdisjoint(rule.needs),
        admission_only=Operation.CREATE not in rule.operations,
    )


def problems_of(rule: Rule) -> list[str]:
    """What about its kinds an auditor cannot do, each in words; whether it compiles, an Evaluator says."""
    found = []
    if SECRET in rule.needs:
        found.append("needs: Secrets are never read from a cluster")
    if not set(rule.kinds).isdisjoint(CONNECTIONS):
        found.append("kinds: a connection is not an object that stands")
    return found


def hits_of(violations: Iterable[Violation], judged: Json, worst: Severity) -> Iterator[Hit]:
    """What is wrong with a judged object as hits, their paths relative to it and by the names of list items.

    None is more severe than ``worst``. Of very many the last are one hit, which is another where they are others: so an
    UPDATE brings none of them in unseen. Raises PathSyntaxError.
    """
    found = list(violations)
    for one in found[:MOST_VIOLATIONS]:
        yield _hit(one, judged, worst)
    rest = found[MOST_VIOLATIONS:]
    for several in ([one for one in rest if one.severity is None], [one for one in rest if one.severity is not None]):
        if several:
            texts = [text for one in several for text in (one.message, one.path, one.evidence)]
            severity = max((one.severity for one in several if one.severity is not None), default=None)
            evidence = fingerprint("violations", *texts)
            yield _hit(Violation(f"has {len(several)} violations more", "", evidence, severity), judged, worst)


def _hit(found: Violation, judged: Json, worst: Severity) -> Hit:
    message = found.message.strip() or "is not what the rule wants"
    evidence = found.evidence or _nameless(message, mapping(judged.get("metadata")).get("name"))
    at = named_path(found.path, judged) if found.path else ""
    severity = min(found.severity, worst) if found.severity is not None else None
    # What is cut could be a credential that is not known by half of it.
    evidence = bounded(evidence_of(evidence), _LONGEST_EVIDENCE)
    fix = redacted(found.fix) if found.fix else None
    return Hit(at or _whole(judged), clip(message, _LONGEST_MESSAGE), evidence, severity, fix=fix)


def _whole(judged: Json) -> str:
    """The place of a hit whose rule names none."""
    return "spec" if judged.get("kind") == "Pod" or isinstance(judged.get("spec"), dict) else "metadata"


def _nameless(message: str, name: object) -> str:
    """A message without the name of its object: a pod and the template it is made from are called differently."""
    if not isinstance(name, str) or not name or name not in message:
        return message
    return re.sub(rf"(?<![\w.-]){re.escape(name)}(?![\w-]|\\.\w)", "{name}", message)


def named_path(path: str, judged: object) -> str:
    """A path with the items of lists by their names, so it survives reordering. Raises PathSyntaxError."""
    value: Any = judged
    found = ""
    for segment in paths.parse(path):
        match segment:
            case paths.Field(name):
                found = paths.field(found, name)
                value = value.get(name) if isinstance(value, dict) else None
            case paths.KeySegment(text):
                found += paths.key(text)
                value = _item(value, text)
            case int(index):
                value = value[index] if isinstance(value, list) and index < len(value) else None
                label = value.get("name") if isinstance(value, dict) else None
                found += paths.key(label) if isinstance(label, str) and label else f"[{index}]"
    return found


def _item(value: object, name: str) -> object:
    if isinstance(value, list):
        return next((one for one in value if isinstance(one, dict) and one.get("name") == name), None)
    return value.get(name) if isinstance(value, dict) else None


def _worst(rule: Rule) -> Severity:
    """The highest severity that a violation may carry: only a module that speaks of it can raise its own."""
    if rule.language is not Language.REGO or not isinstance(rule.source, RegoSource):
        return rule.severity
    text = "\n".join((rule.source.module, *rule.source.libraries))
    return Severity.CRITICAL if "severity" in _COMMENT.sub("", text) else rule.severity


def on_whole(rule: Rule, kind: Kind, operation: Operation | None) -> bool:
    """Whether a rule judges an object of a kind itself; ``operation`` None asks of what stands."""
    return kind in rule.kinds and (operation or Operation.CREATE) in rule.operations


def on_templates(rule: Rule, kind: Kind) -> bool:
    """Whether a rule judges the pods that are made of an object of a kind, as Pods that are created."""
    if kind is POD or not kind.pods or not rule.pod_templates:
        return False
    return POD in rule.kinds and Operation.CREATE in rule.operations
