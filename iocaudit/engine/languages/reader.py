"""The rules of an AuditPolicy (``spec.rules``) as they are written: read, with every mistake named at its field."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import fields
from functools import partial
from typing import Any, NamedTuple

from iocaudit.core.check import Check
from iocaudit.core.kinds import CONNECTIONS, KINDS, SECRET, Kind
from iocaudit.core.kinds.ours import OURS
from iocaudit.core.request import Operation
from iocaudit.core.severity import IoC, Severity
from iocaudit.engine.fields import Fields, nearest
from iocaudit.engine.languages.as_checks import check_of
from iocaudit.engine.languages.rule import CelCondition, CelSource, CelValidation, Language, RegoSource, Rule
from iocaudit.engine.languages.rule_fields import owner_of
from iocaudit.engine.policy_kinds import KIND_GLOB, meant, names_of, selected
from iocaudit.engine.presets import Mode
from iocaudit.knowledge.clipping import clip

MOST_TEXT = 512 * 1024
"""Characters of all rules of a policy: an object of a cluster may have 1.5 MiB as it is stored."""
OPERATIONS = (Operation.CREATE, Operation.UPDATE)
"""Those for which a rule can be asked: what goes brings nothing in."""
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_KIND = re.compile(r"[A-Z][A-Za-z0-9]*(\.[a-z0-9.-]+)?")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_CONDITION = re.compile(r"([A-Za-z0-9.-]+/)?[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?")
_UNREAD = frozenset(str(kind) for kind in (*CONNECTIONS, *OURS))
_SEVERITIES = tuple(severity.label for severity in sorted(Severity, reverse=True))


class DeclaredRule(NamedTuple):
    """A rule that a policy declares, and the check that it is. Two are equal where they say the same."""

    number: int
    """Its index in ``spec.rules``."""
    rule: Rule
    check: Check
    mode: Mode | None = None
    """What is done with its hits; None where the preset in force decides."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DeclaredRule) and self.mode == other.mode and said_by(self.rule) == said_by(other.rule)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(self.rule.id)


def said_by(rule: Rule) -> tuple[Any, ...]:
    """All that a rule says, to compare."""
    return tuple(getattr(rule, one.name) for one in fields(rule))


def judgeable() -> tuple[Kind, ...]:
    """The kinds that rules may be for in a cluster: all that an auditor reads there."""
    left_out = {*CONNECTIONS, *OURS, SECRET}
    return tuple(kind for kind in dict.fromkeys(KINDS.values()) if kind not in left_out)


def read_rules(spec: Fields, policy: str, *, in_file: bool) -> list[DeclaredRule]:
    """The rules that a policy declares; what is wrong with them is noted. In a file a rule may be for any kind."""
    found: list[DeclaredRule] = []
    taken: dict[str, int] = {}
    size = 0
    for index, entry in enumerate(spec.maps("rules")):
        mode = entry.choice("mode", Mode, false=Mode.OFF)
        rule = _rule(entry, f"{owner_of(policy)}spec.rules[{index}]", in_file=in_file)
        if rule is None:
            continue
        if rule.id in taken:
            entry.wrong(f"rules[{taken[rule.id]}] has the same name and language", "name")
            continue
        taken[rule.id] = index
        size += _size(entry.raw)
        found.append(DeclaredRule(index, rule, check_of(rule, named=True), mode))
    if size > MOST_TEXT:
        spec.wrong(f"hold {size} characters together, and may hold {MOST_TEXT}: make two policies of them", "rules")
    return found


def _size(value: object) -> int:
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return sum(map(_size, value.values()))
    return sum(map(_size, value)) if isinstance(value, list) else 0


def _rule(entry: Fields, where: str, *, in_file: bool) -> Rule | None:
    name = entry.text("name", required=True)
    if name and not _NAME.fullmatch(name):
        entry.wrong(f"{clip(repr(name))} is not lower-case words and digits joined by '-'", "name")
    language, source = _source(entry)
    severity = entry.word("severity", _SEVERITIES)
    kinds = _kinds(entry, in_file=in_file)
    needs = _needs(entry)
    operations = entry.words("operations", OPERATIONS)
    if entry.raw.get("operations") == []:
        entry.wrong("is empty: leave the field out, or name CREATE or UPDATE", "operations")
    parameters = entry.value("parameters")
    if parameters is not None and not isinstance(parameters, dict):
        entry.wrong("must be a map", "parameters")
    if language is None or source is None or not name:
        return None
    return Rule(
        id=f"{language}-{name}",
        language=language,
        source=source,
        kinds=kinds,
        severity=Severity.HIGH if severity is None else Severity.parse(severity),
        where=where,
        title=entry.text("title"),
        description=entry.text("description"),
        fix=entry.text("fix"),
        iocs=_iocs(entry),
        pod_templates=entry.flag("podTemplates") if "podTemplates" in entry.raw else True,
        operations=tuple(one for one in OPERATIONS if one in operations) or OPERATIONS,
        needs=needs,
        parameters=parameters if isinstance(parameters, dict) else {},
    )


def _source(entry: Fields) -> tuple[Language | None, RegoSource | CelSource | None]:
    given = [language for language in Language if language in entry.raw]
    if len(given) != 1:
        entry.wrong("holds both rego and cel: make two rules of it" if given else "needs either rego or cel")
        return None, None
    if given[0] is Language.REGO:
        rego = entry.map("rego")
        return Language.REGO, RegoSource(rego.text("module", required=True), rego.strings("libraries") or ())
    return Language.CEL, _cel(entry.map("cel"))


def _cel(cel: Fields) -> CelSource:
    validations = [
        CelValidation(one.text("expression", required=True), one.text("message"), one.text("messageExpression"))
        for one in cel.maps("validations")
    ]
    if not validations:
        cel.wrong("give at least one expression that is true of a good object", "validations")
    return CelSource(
        tuple(validations),
        _conditions(cel, "variables", _VARIABLE, "the name of a variable, as in CEL"),
        _conditions(cel, "matchConditions", _CONDITION, "a qualified name"),
    )


def _conditions(cel: Fields, field: str, grammar: re.Pattern[str], wanted: str) -> tuple[CelCondition, ...]:
    found: list[CelCondition] = []
    for one in cel.maps(field):
        name = one.text("name", required=True)
        if name and not grammar.fullmatch(name):
            one.wrong(f"{clip(repr(name))} is not {wanted}", "name")
        if any(other.name == name for other in found):
            one.wrong(f"another of the {field} is called {clip(repr(name))}", "name")
        found.append(CelCondition(name, one.text("expression", required=True)))
    return tuple(found)


def _iocs(entry: Fields) -> tuple[IoC, ...]:
    found = []
    for index, value in enumerate(entry.values("iocs")):
        if isinstance(value, bool) or not isinstance(value, int) or value not in list(IoC):
            entry.wrong(f"{clip(repr(value))} is not a number from 1 to {len(IoC)}", "iocs", index)
        else:
            found.append(IoC(value))
    return tuple(dict.fromkeys(found))


def _kinds(entry: Fields, *, in_file: bool) -> tuple[Kind, ...]:
    """The kinds that a rule is for: it has to say which, as one that is meant for Pods fails on anything else."""
    known = judgeable()
    if "kinds" not in entry.raw:
        entry.wrong("is required: the kinds whose objects it judges, such as Pod or Deployment.apps", "kinds")
    patterns = entry.patterns("kinds", KIND_GLOB, "a Kind or a Kind.group, or a glob of them") or ()
    if entry.raw.get("kinds") == []:
        entry.wrong("is empty: name the kinds whose objects it judges", "kinds")
    found: dict[Kind, None] = {}
    for index, pattern in enumerate(patterns):
        exact = [kind for kind in known if pattern in (kind.name, str(kind))]
        chosen = exact or ([] if _KIND.fullmatch(pattern) else _globbed(pattern, known))
        if not chosen and in_file and _is_any(pattern, known):
            chosen = [_any_kind(pattern)]
        if not chosen and KIND_GLOB.fullmatch(pattern):
            _refuse(entry, pattern, known, "kinds", index)
        found |= dict.fromkeys(chosen)
    return tuple(found)


def _globbed(pattern: str, known: Iterable[Kind]) -> list[Kind]:
    """The kinds that a glob names: here Pod does not stand for what holds templates, as podTemplates says that."""
    from fnmatch import fnmatchcase

    return [kind for kind in selected(pattern, known) if any(fnmatchcase(one, pattern) for one in names_of([kind]))]


def _needs(entry: Fields) -> tuple[Kind, ...]:
    """The kinds that a rule looks up: those that we know, and by ``Kind.group`` any other, be it served or not."""
    known = judgeable()
    found: dict[Kind, None] = {}
    for index, name in enumerate(entry.strings("needs") or ()):
        chosen = [kind for kind in known if name in (kind.name, str(kind))]
        if not chosen and "." in name and name not in _UNREAD and _is_any(name, known):
            chosen = [_any_kind(name)]
        if not chosen:
            _refuse(entry, name, known, "needs", index)
        found |= dict.fromkeys(chosen)
    return tuple(found)


def _refuse(entry: Fields, given: str, known: Iterable[Kind], field: str, index: int) -> None:
    names = names_of(known)
    listed = f"; those it reads are {', '.join(sorted({kind.name for kind in known}))}"
    slip = meant(given, known)
    hint = (lambda: f" (did you mean {slip}?)") if slip else partial(nearest, given, names, otherwise=listed)
    why = "Secrets are never read" if given.partition(".")[0] == SECRET.name else "an auditor reads no objects of it"
    entry.wrong(f"{clip(repr(given))}: {why}", field, index, hint=hint)


def _is_any(name: str, known: Iterable[Kind]) -> bool:
    """Whether a name may be that of a kind of others, and is not a slip of one that is known."""
    return bool(_KIND.fullmatch(name)) and name.partition(".")[0] != SECRET.name and not meant(name, known)


def _any_kind(name: str) -> Kind:
    """A kind that is known by its name alone."""
    kind, _, group = name.partition(".")
    return Kind(group, "", kind, f"{kind.lower()}s")


def note_broken(spec: Fields, declared: Iterable[DeclaredRule], broken: Mapping[str, str]) -> None:
    """Note at its text why a rule cannot be compiled."""
    for one in declared:
        if one.rule.id in broken:
            where: tuple[str | int, ...] = ("rules", one.number, one.rule.language.value)
            spec.wrong(broken[one.rule.id], *where, *(("module",) if one.rule.language is Language.REGO else ()))
