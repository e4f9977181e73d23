"""AuditPolicies as they are written, in a cluster or in a file: read, or refused with every mistake in them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from iocaudit.core.check import PROFILES
from iocaudit.core.errors import PolicyError
from iocaudit.core.namespaces import NAME_LABEL
from iocaudit.core.severity import Severity
from iocaudit.core.shape import mapping
from iocaudit.core.wording import clip
from iocaudit.engine.catalogue import Catalogue
from iocaudit.engine.fields import LIST, Fields, Known, Place, begin, label_selector, nearest
from iocaudit.engine.policy import (
    ExemptSubject,
    Existing,
    Mode,
    OnFault,
    OnIncomplete,
    Policy,
    PolicySet,
    Preset,
    Rule,
    SameImage,
    SubjectKind,
)

if TYPE_CHECKING:
    from jsonschema import ValidationError

FIELDS: Known = {
    "": frozenset({"apiVersion", "kind", "metadata", "spec", "status"}),
    "spec": frozenset(
        {"checks", "exemptSubjects", "existing", "images", "match", "onFault", "onIncomplete", "preset", "priority"}
    ),
    "spec.match": frozenset({"clusterScoped", "excludeNamespaces", "namespaces", "namespaceSelector"}),
    **label_selector("spec.match.namespaceSelector"),
    "spec.checks[]": frozenset({"groups", "ids", "mode", "parameters", "profiles", "severity"}),
    "spec.exemptSubjects[]": frozenset({"kind", "name", "namespace"}),
}
"""What an AuditPolicy may hold, as its CRD has it."""
_SEVERITIES = tuple(severity.label for severity in sorted(Severity, reverse=True))
_HIGHEST_PRIORITY = 1_000_000
_NAMESPACE = re.compile(r"[a-z0-9*?\[\]!-]+")
_GLOB = "the name of a namespace or a glob"


def read_policy(raw: Mapping[str, Any], catalogue: Catalogue, place: Place | None = None) -> Policy:
    """Read an AuditPolicy; raises PolicyError naming the policy and, one a line, each field and what is wrong with it.

    ``place`` says where in a file the fields stand; without it the policy is one of a cluster. A check that the
    catalogue does not know is refused there too: what was to deny would look as if it did.
    """
    name, problems = begin("AuditPolicy", raw, place)
    spec = Fields(raw, FIELDS, problems).map("spec", required=True)
    match = spec.map("match")
    selector, keys = match.selector("namespaceSelector")
    entries = spec.maps("checks")
    preset = spec.choice("preset", Preset)
    if not entries and "preset" not in spec.raw:
        spec.wrong("name at least one check, group or profile, or give a preset", "checks")
    rules = [_rule(index, entry, catalogue) for index, entry in enumerate(entries)]
    policy = Policy(
        name=name,
        priority=spec.integer("priority", -_HIGHEST_PRIORITY, _HIGHEST_PRIORITY) or 0,
        namespaces=match.patterns("namespaces", _NAMESPACE, _GLOB),
        excluded=match.patterns("excludeNamespaces", _NAMESPACE, _GLOB) or (),
        selector=selector,
        cluster_scoped=match.flag("clusterScoped") or not match.raw,
        rules=tuple(rules),
        on_fault=spec.choice("onFault", OnFault) or OnFault.DENY,
        on_incomplete=spec.choice("onIncomplete", OnIncomplete) or OnIncomplete.WARN,
        existing=spec.choice("existing", Existing) or Existing.WARN,
        exempt=tuple(filter(None, map(_exempt, spec.maps("exemptSubjects")))),
        selects_by_label=bool(keys - {NAME_LABEL}),
        images=spec.choice("images", SameImage) or SameImage.REPOSITORY,
        preset=preset,
    )
    problems.conclude(PolicyError)
    return policy


def read_policies(
    raws: Iterable[Mapping[str, Any]],
    catalogue: Catalogue,
    *,
    profile: str = "default",
    preset: Preset = Preset.WARN,
) -> PolicySet:
    """A PolicySet of all of these; raises PolicyError on the first unusable one."""
    return PolicySet(catalogue, tuple(read_policy(raw, catalogue) for raw in raws), profile, preset)


def _rule(index: int, entry: Fields, catalogue: Catalogue) -> Rule:
    ids = entry.strings("ids") or ()
    for place, name in enumerate(ids):
        if catalogue.whole.find(name) is None:
            hint = partial(nearest, name, catalogue.whole.names, otherwise=LIST)
            entry.wrong(f"there is no check {clip(repr(name))}", "ids", place, hint=hint)
    severity = entry.word("severity", _SEVERITIES)
    rule = Rule(
        index,
        frozenset(ids),
        groups=entry.words("groups", catalogue.whole.groups),
        profiles=entry.words("profiles", PROFILES),
        mode=entry.choice("mode", Mode, false=Mode.OFF),
        severity=None if severity is None else Severity.parse(severity),
        params=_parameters(entry, ids, catalogue),
    )
    if not (rule.ids or rule.groups or rule.profiles):
        entry.wrong("names no check: give ids, groups or profiles")
    return rule


def _exempt(entry: Fields) -> ExemptSubject | None:
    kind = entry.choice("kind", SubjectKind, required=True)
    name, namespace = entry.text("name", required=True), entry.text("namespace")
    if kind is None:
        return None
    if (kind is SubjectKind.SERVICE_ACCOUNT) != bool(namespace):
        entry.wrong("a ServiceAccount has a namespace, a User or Group has none", "namespace")
    return ExemptSubject(kind, name, namespace)


def _parameters(entry: Fields, ids: Iterable[str], catalogue: Catalogue) -> Mapping[str, Any]:
    value = mapping(entry.raw.get("parameters"))
    checks = [catalogue.whole.find(name) for name in ids]
    known = {parameter.name: parameter for check in checks if check is not None for parameter in check.parameters}
    if not known and value:
        if None not in checks:
            entry.wrong("these checks take no parameters; name a check by id to set its parameters", "parameters")
        return value
    parameters = entry.map_of("parameters", known)
    for key, given in parameters.raw.items():
        if key in known and (error := _schema_error(given, known[key].schema)) is not None:
            parameters.wrong(error.message, key, *error.absolute_path)
    return parameters.raw


def _schema_error(value: object, schema: Mapping[str, Any]) -> ValidationError | None:
    """What a full JSON schema validator says of a value; None where it fits."""
    import jsonschema  # late: only policies with parameters need it

    return next(iter(jsonschema.Draft202012Validator(dict(schema)).iter_errors(value)), None)
