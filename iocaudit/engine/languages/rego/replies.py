"""What a rule of Rego answered, taken apart: a set of messages and objects becomes Violations, all else a failure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from iocaudit.core.errors import PathSyntaxError
from iocaudit.core.severity import Severity
from iocaudit.core.shape import Json
from iocaudit.engine.languages.answer import RuleAnswer, RuleFailure, Violation
from iocaudit.engine.languages.as_checks import MOST_VIOLATIONS, named_path
from iocaudit.knowledge.clipping import clip
from iocaudit.knowledge.credentials.credential import told_apart

NOTHING_FOUND: Final[tuple[Json, ...]] = tuple({name: {"set": True, "items": []}} for name in ("deny", "violation"))
"""What a rule of one set answers where nothing is wrong: nearly all answers are that."""
_LONGEST = 65_536
"""Characters of a message, or of evidence, that are looked through: what is longer is told apart by a digest."""
_LONGEST_PATH = 1000
_LONGEST_TEXT = 1000


def violations(sets: object, judged: object) -> RuleAnswer:
    """The answer of a rule from its sets, ``{"deny": {"set": true, "items": […]}}``, on the object ``judged``.

    What is mistyped is a failure where there is nothing else. Beside violations it stands among them: nobody can hide
    one by what cannot be read, or behind very many.
    """
    if not isinstance(sets, dict) or not sets:
        return RuleFailure("it answered something else than sets of violations")
    found: dict[Violation, None] = {}
    problems: list[str] = []
    for name, value in sorted(sets.items()):
        if not isinstance(value, dict) or value.get("set") is not True or not isinstance(value.get("items"), list):
            return RuleFailure(f"{name} is not a set")
        items = value["items"]
        for item in items[: MOST_VIOLATIONS - 1]:
            one = _violation(item, judged)
            if isinstance(one, str):
                problems.append(f"an element of {name} {one}")
            else:
                found[one] = None
        found |= dict.fromkeys(_rest(name, items[MOST_VIOLATIONS - 1 :]))
    if problems and not found:
        return RuleFailure(problems[0])
    return (*found, *(Violation(f"cannot be read: {problem}") for problem in dict.fromkeys(problems)))


def _violation(item: object, judged: object) -> Violation | str:
    """The violation, or what is wrong with it."""
    if isinstance(item, str):
        return _told(item) if item.strip() else "is an empty message"
    if not isinstance(item, dict):
        return f"is {_type_of(item)}: it has to be a message or an object with msg"
    message = item.get("msg", item.get("message"))
    if not isinstance(message, str) or not message.strip():
        return "is an object without msg" if message is None else "has a msg that is not text"
    severity = _severity(item.get("severity"))
    if severity is None and item.get("severity") is not None:
        return f"has severity {_shown(item['severity'])}: it has to be critical, high, medium or low"
    path = item.get("path", "")
    if not isinstance(path, str):
        return f"has a path that is {_type_of(path)}: it has to be text"
    fix = item.get("fix")
    if fix is not None and not isinstance(fix, str):
        return f"has a fix that is {_type_of(fix)}: it has to be text"
    evidence = item.get("evidence", "")
    shown = evidence if isinstance(evidence, str) else json.dumps(evidence, sort_keys=True, ensure_ascii=False)
    told = _told(message, shown)
    try:
        if len(path) > _LONGEST_PATH:
            raise PathSyntaxError(f"it has more than {_LONGEST_PATH} characters")
        path = named_path(path, judged)
    except PathSyntaxError as error:
        # It may be made of what the object says, and is bad all the same.
        message = f"{told.message} (at a path that is not one: {clip(str(error), _LONGEST_TEXT)})"
        told, path = told._replace(message=message, evidence=told.evidence or told.message), ""
    return told._replace(path=path, severity=severity, fix=clip(fix, _LONGEST_TEXT) if fix else None)


def _told(message: str, evidence: str = "") -> Violation:
    """A violation with texts of bounded length; two that were different stay different."""
    if len(message) > _LONGEST:
        evidence = evidence or told_apart(message)
        message = message[:_LONGEST]
    return Violation(message, evidence=told_apart(evidence) if len(evidence) > _LONGEST else evidence)


def _rest(name: str, items: Sequence[object]) -> Iterator[Violation]:
    """What stands for the last elements of very many: another one where they are others."""
    severities = [_severity(one.get("severity")) if isinstance(one, dict) else None for one in items]
    for is_named in (False, True):
        rest = [one for one, severity in zip(items, severities, strict=True) if (severity is not None) is is_named]
        if rest:
            worst = max((one for one in severities if one is not None), default=None) if is_named else None
            digest = told_apart(json.dumps(rest, sort_keys=True))
            yield Violation(f"{name} has {len(rest)} elements more", evidence=digest, severity=worst)


def _severity(label: object) -> Severity | None:
    try:
        return Severity.parse(label) if isinstance(label, str) else None
    except ValueError:
        return None


def _shown(value: object) -> str:
    return clip(json.dumps(value, ensure_ascii=False, sort_keys=True), _LONGEST_TEXT)


def _type_of(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "text"
    return "an object" if isinstance(value, dict) else "a list or a set"


def judged_object(request: Json) -> Mapping[str, Any] | None:
    """The object that a request is about: what a DELETE removes is its old one."""
    value = request.get("oldObject" if request.get("operation") == "DELETE" else "object")
    return value if isinstance(value, dict) else None
