"""AuditPolicies as they are written, in a cluster or in a file: read, or refused with every mistake in them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from iocaudit.core.check import PROFILES, Check
from iocaudit.core.errors import PolicyError
from iocaudit.core.kinds import Kind
from iocaudit.core.namespaces import NAME_LABEL
from iocaudit.core.request import Operation
from iocaudit.core.severity import Severity
from iocaudit.core.shape import mapping
from iocaudit.engine.bounds import FieldBounds, bounds_of_labels, note_excess
from iocaudit.engine.catalogue import Catalogue
from iocaudit.engine.fields import (
    FieldProblems,
    Fields,
    KnownFields,
    PathWriter,
    begin,
    label_selector,
    nearest,
)
from iocaudit.engine.languages.rule_fields import (
    RULE_BOUNDS,
    RULE_FIELDS,
    RULE_GROUPS,
    RULE_PREFIXES,
    near_check,
    no_check,
    owner_of,
)
from iocaudit.engine.policy import CheckRule, Policy
from iocaudit.engine.policy_kinds import KIND_GLOB, is_wide, names_of, selected
from iocaudit.engine.policy_set import PolicySet
from iocaudit.engine.presets import Mode, Preset
from iocaudit.engine.rollout import (
    LONGEST,
    WHOLE,
    Rollout,
    fingerprint_of,
    parse_after,
    parse_share,
    progress_in,
    relevant,
)
from iocaudit.engine.setting import OnExisting, OnFault, OnIncomplete, SameImage
from iocaudit.engine.subjects import ExemptSubject, SubjectKind, SubjectPattern
from iocaudit.knowledge.clipping import clip

if TYPE_CHECKING:
    from jsonschema import ValidationError

    from iocaudit.engine.languages.asking import Compile
    from iocaudit.engine.languages.reader import DeclaredRule

_SUBJECT = frozenset({"kind", "name", "namespace"})
FIELDS: KnownFields = {
    "": frozenset({"apiVersion", "kind", "metadata", "spec", "status"}),
    "spec": frozenset(
        {
            "checks",
            "exemptSubjects",
            "existing",
            "images",
            "match",
            "onFault",
            "onIncomplete",
            "preset",
            "priority",
            "rollout",
            "rules",
        }
    ),
    **RULE_FIELDS,
    "spec.match": frozenset(
        {"clusterScoped", "excludeNamespaces", "excludeSubjects", "kinds", "namespaces", "namespaceSelector"}
        | {"operations", "subjects"}
    ),
    **label_selector("spec.match.namespaceSelector"),
    "spec.checks[]": frozenset({"groups", "ids", "mode", "parameters", "profiles", "severity"}),
    "spec.rollout": frozenset({"after", "first", "from", "protect", "to"}),
    "spec.match.subjects[]": _SUBJECT,
    "spec.match.excludeSubjects[]": _SUBJECT,
    "spec.exemptSubjects[]": _SUBJECT,
}
"""What an AuditPolicy may hold, as its CRD has it."""
_OF_SUBJECTS = {"": 64, "[].name": 253, "[].namespace": 63}
BOUNDS: FieldBounds = {
    "spec.match.namespaces": 256,
    "spec.match.namespaces[]": 63,
    "spec.match.excludeNamespaces": 256,
    "spec.match.excludeNamespaces[]": 63,
    **bounds_of_labels("spec.match.namespaceSelector"),
    "spec.match.kinds": 64,
    "spec.match.kinds[]": 253,
    "spec.match.operations": 3,
    **{f"spec.match.subjects{below}": most for below, most in _OF_SUBJECTS.items()},
    **{f"spec.match.excludeSubjects{below}": most for below, most in _OF_SUBJECTS.items()},
    "spec.checks": 128,
    "spec.checks[].ids": 128,
    "spec.checks[].ids[]": 63,
    "spec.checks[].groups": 32,
    "spec.checks[].groups[]": 63,
    "spec.checks[].profiles": 2,
    "spec.checks[].parameters": 32,
    **{f"spec.exemptSubjects{below}": most for below, most in _OF_SUBJECTS.items()},
    **RULE_BOUNDS,
    "spec.rollout.after": 9,
    "spec.rollout.first": 4,
    "spec.rollout.protect": 64,
    "spec.rollout.protect[]": 63,
}
"""How much of each an AuditPolicy may hold, as its CRD has it."""
_SEVERITIES = tuple(severity.label for severity in sorted(Severity, reverse=True))
_HIGHEST_PRIORITY = 1_000_000
_STARTS, _ENDS = (Mode.AUDIT.value, Mode.WARN.value), (Mode.WARN.value, Mode.DENY.value)
_MOST_PROTECTED = 64
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_NAMESPACE = re.compile(r"[a-z0-9*?\[\]!-]+")
_PARTS = re.compile(r"[:/]")
_GLOB = "the name of a namespace or a glob"
_PLACES = frozenset({"clusterScoped", "excludeNamespaces", "namespaces", "namespaceSelector"})
"""What says where a policy applies: without any of them it is everywhere."""
_KINDS_LISTED = "; the page of each check names those that it looks at"
_EMPTY = "is empty, so the policy would apply to nothing: leave the field out, or name something"


def read_policy(
    raw: Mapping[str, Any],
    catalogue: Catalogue,
    place: PathWriter | None = None,
    *,
    live: bool = False,
    any_rule: bool = False,
    compile_rules: Compile | None = None,
) -> Policy:
    """Read an AuditPolicy; raises PolicyError naming the policy and, one a line, each field and what is wrong with it.

    ``place`` says where in a file the fields stand; without it the policy is one of a cluster. A check that the
    catalogue does not know is refused there too: what was to deny would look as if it did. A rollout counts as
    complete, unless the policy is a ``live`` one, whose status says how far it is. There, and with
    ``any_rule``, rules may be named that are not known. ``compile_rules`` says of the rules that the policy declares
    which are broken: they are refused as well.
    """
    name, problems = begin("AuditPolicy", raw, place)
    note_excess(raw, BOUNDS, problems)
    spec = Fields(raw, FIELDS, problems).map("spec", required=True)
    declared = _declared(spec, name, place, problems, compile_rules)
    catalogue = catalogue.also(one.check for one in declared)
    match = spec.map("match")
    selector, keys = match.selector("namespaceSelector")
    kinds = _kinds(match, catalogue)
    cluster_scoped = match.flag("clusterScoped") or not _PLACES & match.raw.keys()
    if kinds is not None and not cluster_scoped:
        _refuse_wide(match, catalogue)
    entries = spec.maps("checks")
    preset = spec.choice("preset", Preset)
    if not entries and not {"preset", "rules"} & spec.raw.keys():
        spec.wrong("name at least one check, group or profile, declare a rule, or give a preset", "checks")
    rules = _own_rules(name, declared)
    rules += (_rule(index, entry, catalogue, any_rule=live or any_rule) for index, entry in enumerate(entries))
    policy = Policy(
        name=name,
        priority=spec.integer("priority", -_HIGHEST_PRIORITY, _HIGHEST_PRIORITY) or 0,
        namespaces=match.patterns("namespaces", _NAMESPACE, _GLOB),
        excluded=match.patterns("excludeNamespaces", _NAMESPACE, _GLOB) or (),
        selector=selector,
        cluster_scoped=cluster_scoped,
        rules=tuple(rules),
        on_fault=spec.choice("onFault", OnFault) or OnFault.DENY,
        on_incomplete=spec.choice("onIncomplete", OnIncomplete) or OnIncomplete.WARN,
        existing=spec.choice("existing", OnExisting) or OnExisting.WARN,
        exempt=tuple(filter(None, map(_exempt, spec.maps("exemptSubjects")))),
        selects_by_label=bool(keys - {NAME_LABEL}),
        images=spec.choice("images", SameImage) or SameImage.REPOSITORY,
        preset=preset,
        rollout=_rollout(spec) if "rollout" in spec.raw else None,
        kinds=kinds,
        operations=_operations(match, catalogue),
        subjects=_subjects(match, "subjects"),
        excluded_subjects=_subjects(match, "excludeSubjects") or (),
        declared=tuple(declared),
    )
    problems.conclude(PolicyError)
    if live and policy.rollout is not None:
        found = progress_in(raw.get("status"), policy.rollout.fingerprint)
        policy = policy._replace(progress=relevant(found, policy.name))
    return policy


def read_policies(
    raws: Iterable[Mapping[str, Any]],
    catalogue: Catalogue,
    *,
    profile: str = "default",
    preset: Preset = Preset.WARN,
) -> PolicySet:
    """A PolicySet of all of these; raises PolicyError on the first unusable one."""
    every = list(raws)
    known = with_rules(every, catalogue)
    return PolicySet(catalogue, tuple(read_policy(raw, known) for raw in every), profile, preset)


def with_rules(raws: Iterable[Mapping[str, Any]], catalogue: Catalogue) -> Catalogue:
    """The checks that policies may name which are read together: each may name the rules that another declares."""
    found: dict[str, Check] = {}
    for raw in raws:
        spec = mapping(raw.get("spec"))
        if "rules" not in spec:
            continue
        from iocaudit.engine.languages.reader import read_rules  # late: few policies have any

        name, problems = begin("AuditPolicy", raw, None)  # what is wrong is told where the policy itself is read
        for one in read_rules(Fields(raw, FIELDS, problems).map("spec"), name, in_file=True):
            found.setdefault(one.check.id, one.check)
    return catalogue.also(found.values())


def _declared(
    spec: Fields, name: str, place: PathWriter | None, problems: FieldProblems, compile_rules: Compile | None
) -> Sequence[DeclaredRule]:
    """The rules that the policy brings along; compiled only where nothing else is wrong with them."""
    if "rules" not in spec.raw:
        return ()
    from iocaudit.engine.languages.reader import note_broken, read_rules  # late: few policies have any

    before = problems.count
    found = read_rules(spec, name, in_file=place is not None)
    if compile_rules is not None and problems.count == before:
        note_broken(spec, found, compile_rules([one.rule for one in found]))
    return found


def _own_rules(name: str, declared: Iterable[DeclaredRule]) -> list[CheckRule]:
    """What the policy says of the rules that it declares."""
    none = frozenset[str]()
    return [
        CheckRule(one.number, frozenset({one.rule.id}), none, none, one.mode, None, {}, owner_of(name))
        for one in declared
    ]


def _rule(index: int, entry: Fields, catalogue: Catalogue, *, any_rule: bool) -> CheckRule:
    ids = entry.strings("ids") or ()
    for place, name in enumerate(ids):
        if catalogue.whole.find(name) is None and not (any_rule and name.startswith(RULE_PREFIXES)):
            entry.wrong(no_check(name), "ids", place, hint=partial(near_check, name, catalogue.whole.names))
    severity = entry.word("severity", _SEVERITIES)
    rule = CheckRule(
        index,
        frozenset(ids),
        groups=entry.words("groups", catalogue.whole.groups | RULE_GROUPS),
        profiles=entry.words("profiles", PROFILES),
        mode=entry.choice("mode", Mode, false=Mode.OFF),
        severity=None if severity is None else Severity.parse(severity),
        params=_parameters(entry, ids, catalogue),
    )
    if not (rule.ids or rule.groups or rule.profiles):
        entry.wrong("names no check: give ids, groups or profiles")
    return rule


def _rollout(spec: Fields) -> Rollout:
    entry = spec.map("rollout")
    start = Mode(entry.word("from", _STARTS) or Mode.WARN)
    end = Mode(entry.word("to", _ENDS) or Mode.DENY)
    if start.weight >= end.weight:
        entry.wrong(f"must be stricter than from, which is {start}", "to")
    after, first = entry.text("after", required=True), entry.text("first")
    time = parse_after(after) if after else None
    if after and time is None:
        entry.wrong(f"{clip(repr(after))} is not a time such as 12h or 7d, of at most {LONGEST.days} days", "after")
    share = parse_share(first) if first else None
    if first and share is None:
        entry.wrong(f"{clip(repr(first))} is not a share from 1% to 100%", "first")
    protect = entry.patterns("protect", _NAME, "the name of a namespace") or ()
    if len(protect) > _MOST_PROTECTED:
        entry.wrong(f"must name at most {_MOST_PROTECTED} namespaces", "protect")
    return Rollout(start, end, time or LONGEST, share or WHOLE, protect, fingerprint_of(spec.raw))


def _exempt(entry: Fields) -> ExemptSubject | None:
    subject = _subject(entry)
    return None if subject is None else ExemptSubject(*subject)


def _subject(entry: Fields) -> tuple[SubjectKind, str, str] | None:
    kind = entry.choice("kind", SubjectKind, required=True)
    name, namespace = entry.text("name", required=True), entry.text("namespace")
    if kind is None:
        return None
    if (kind is SubjectKind.SERVICE_ACCOUNT) != bool(namespace):
        entry.wrong("a ServiceAccount has a namespace, a User or Group has none", "namespace")
    return (kind, name, namespace)


def _subjects(match: Fields, name: str) -> tuple[SubjectPattern, ...] | None:
    """Whose requests a list names; None where there is none."""
    if name not in match.raw:
        return None
    found = []
    for entry in match.maps(name):
        subject = _subject(entry)
        for field in ("name", "namespace"):
            if "[" in entry.text(field) or "]" in entry.text(field):
                entry.wrong("holds a bracket, which is not part of a glob here: write ? in its place", field)
            elif subject is not None and subject[0] is SubjectKind.SERVICE_ACCOUNT and _PARTS.search(entry.text(field)):
                entry.wrong("no ServiceAccount and no namespace has such a name: write name and namespace apart", field)
        if subject is not None:
            found.append(SubjectPattern(*subject))
    if not found and match.raw.get(name) == []:
        match.wrong(_EMPTY if name == "subjects" else "is empty: leave the field out, or name a subject", name)
    return tuple(found)


def _kinds(match: Fields, catalogue: Catalogue) -> tuple[str, ...] | None:
    """The kinds that it is for; None for all. One that no check looks at would narrow it to nothing."""
    known = _looked_at(catalogue)
    spelled = partial(_spelled, known=known)
    found = match.patterns("kinds", KIND_GLOB, "a Kind or a Kind.group, or a glob of them", hint=spelled)
    for index, pattern in enumerate(found or ()):
        if KIND_GLOB.fullmatch(pattern) and not selected(pattern, known):
            hint = partial(_spelled, pattern, known, otherwise=_KINDS_LISTED)
            match.wrong(f"no check looks at objects of kind {clip(repr(pattern))}", "kinds", index, hint=hint)
    if match.raw.get("kinds") == []:
        match.wrong(_EMPTY, "kinds")
    return found


def _spelled(given: str, known: Iterable[Kind], *, otherwise: str = "") -> str:
    """The kind that is meant by the name of its resource, or by a kind in the wrong case."""
    name, _, group = given.lower().partition(".")
    for kind in known:
        if name in (kind.plural, kind.name.lower()) and group in ("", kind.group):
            return f" (did you mean {f'{kind.name}.{group}' if group else kind.name}?)"
    return nearest(given, names_of(known), otherwise=otherwise)


def _refuse_wide(match: Fields, catalogue: Catalogue) -> None:
    """Kinds of cluster scope alone, where cluster scope is left out: that would hold for nothing."""
    known = _looked_at(catalogue)
    for index, pattern in enumerate(match.raw["kinds"] if isinstance(match.raw["kinds"], list) else ()):
        kinds = selected(pattern, known) if isinstance(pattern, str) else []
        if kinds and all(map(is_wide, kinds)):
            match.wrong(f"{clip(pattern)} is of cluster scope: set clusterScoped: true as well", "kinds", index)


def _looked_at(catalogue: Catalogue) -> list[Kind]:
    return list(dict.fromkeys(kind for check in catalogue.whole for kind in check.looks_at))


def _operations(match: Fields, catalogue: Catalogue) -> frozenset[Operation] | None:
    """The operations that it is for; None for all. No check looks at DELETE: what goes brings nothing in."""
    if "operations" not in match.raw:
        return None
    known = frozenset[Operation]().union(*(check.operations for check in catalogue.whole))
    found = match.words("operations", known)
    if match.raw.get("operations") == []:
        match.wrong(_EMPTY, "operations")
    return frozenset(Operation(name) for name in found & known)


def _parameters(entry: Fields, ids: Iterable[str], catalogue: Catalogue) -> Mapping[str, Any]:
    value = mapping(entry.raw.get("parameters"))
    checks = [catalogue.whole.find(name) for name in ids]
    known = {parameter.name: parameter for check in checks if check is not None for parameter in check.parameters}
    if any(check is not None and check.asks for check in checks) or _names_rules(ids):
        return value  # what a rule makes of its parameters, it alone knows
    if not known and value:
        if None not in checks:
            entry.wrong("these checks take no parameters; name a check by id to set its parameters", "parameters")
        return value
    parameters = entry.map_of("parameters", known)
    for key, given in parameters.raw.items():
        if key in known and (error := _schema_error(given, known[key].schema)) is not None:
            parameters.wrong(error.message, key, *error.absolute_path)
    return parameters.raw


def _names_rules(ids: Iterable[str]) -> bool:
    return any(name.startswith(RULE_PREFIXES) for name in ids)


def _schema_error(value: object, schema: Mapping[str, Any]) -> ValidationError | None:
    """What a full JSON schema validator says of a value; None where it fits."""
    import jsonschema  # late: only policies with parameters need it

    return next(iter(jsonschema.Draft202012Validator(dict(schema)).iter_errors(value)), None)
