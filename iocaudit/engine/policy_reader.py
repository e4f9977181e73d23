"""AuditPolicies as they are written, in a cluster or in a file: read, or refused with the reason."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from iocaudit.core.errors import PolicyError
from iocaudit.core.namespaces import NAME_LABEL
from iocaudit.core.severity import Severity
from iocaudit.core.shape import items, mapping, mappings, strings, text
from iocaudit.engine.catalogue import Catalogue
from iocaudit.engine.policy import ExemptSubject, Mode, Policy, PolicySet, Rule


def read_policy(raw: Mapping[str, Any], catalogue: Catalogue) -> Policy:
    """Read an AuditPolicy; raises PolicyError naming the policy, the field and what is wrong with it."""
    name = text(mapping(raw.get("metadata")).get("name")) or "(unnamed)"

    def bad(where: str, reason: str) -> PolicyError:
        return PolicyError(f"AuditPolicy {name}: {where}: {reason}")

    spec = raw.get("spec")
    if not isinstance(spec, dict):
        raise bad("spec", "must be a map")
    match = mapping(spec.get("match"))
    selector = match.get("namespaceSelector")
    by_label = False
    if selector is not None:
        if not isinstance(selector, dict):
            raise bad("spec.match.namespaceSelector", "must be a label selector")
        keys = set(mapping(selector.get("matchLabels")))
        for index, expression in enumerate(mappings(selector.get("matchExpressions"))):
            keys.add(text(expression.get("key")))
            if expression.get("operator") not in ("In", "NotIn", "Exists", "DoesNotExist"):
                raise bad(
                    f"spec.match.namespaceSelector.matchExpressions[{index}].operator",
                    "must be In, NotIn, Exists or DoesNotExist",
                )
        by_label = bool(keys - {NAME_LABEL})
    rules, unknown = [], []
    for index, entry in enumerate(items(spec.get("checks"))):
        where = f"spec.checks[{index}]"
        if not isinstance(entry, dict):
            raise bad(where, "must be a map")
        ids = frozenset(strings(entry.get("ids")))
        unknown += sorted(i for i in ids if catalogue.whole.find(i) is None)
        rule = Rule(
            index,
            ids,
            frozenset(strings(entry.get("groups"))),
            frozenset(strings(entry.get("profiles"))),
            _choice(Mode, entry.get("mode"), bad, f"{where}.mode"),
            _severity(entry.get("severity"), bad, f"{where}.severity"),
            _params(entry.get("parameters"), ids, catalogue, bad, f"{where}.parameters"),
        )
        if not (rule.ids or rule.groups or rule.profiles):
            raise bad(where, "names no check: give ids, groups or profiles")
        rules.append(rule)
    return Policy(
        name=name,
        priority=_integer(spec.get("priority", 0), bad, "spec.priority"),
        namespaces=tuple(strings(match["namespaces"])) if "namespaces" in match else None,
        excluded=tuple(strings(match.get("excludeNamespaces"))),
        selector=selector,
        cluster_scoped=match.get("clusterScoped") is True or not match,
        rules=tuple(rules),
        on_fault=_word(spec.get("onFault", "deny"), ("deny", "allow"), bad, "spec.onFault"),
        on_incomplete=_word(spec.get("onIncomplete", "warn"), ("deny", "warn"), bad, "spec.onIncomplete"),
        existing=_word(spec.get("existing", "warn"), ("deny", "warn"), bad, "spec.existing"),
        exempt=tuple(
            ExemptSubject(text(s.get("kind")), text(s.get("name")), text(s.get("namespace")))
            for s in mappings(spec.get("exemptSubjects"))
        ),
        unknown_ids=tuple(unknown),
        selects_by_label=by_label,
    )


def _choice(enum: type[Mode], value: object, bad: Any, where: str) -> Mode | None:
    if value is None:
        return None
    try:
        return enum(str(value))
    except ValueError:
        raise bad(where, f"{value!r} is none of {', '.join(enum)}") from None


def _severity(value: object, bad: Any, where: str) -> Severity | None:
    if value is None:
        return None
    try:
        return Severity.parse(text(value))
    except ValueError as error:
        raise bad(where, str(error)) from None


def _integer(value: object, bad: Any, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise bad(where, "must be an integer")
    return value


def _word(value: object, choices: tuple[str, ...], bad: Any, where: str) -> str:
    if value not in choices:
        raise bad(where, f"{value!r} is none of {', '.join(choices)}")
    return str(value)


def _params(value: object, ids: frozenset[str], catalogue: Catalogue, bad: Any, where: str) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise bad(where, "must be a map")
    known = {p.name: p for i in ids if (check := catalogue.whole.find(i)) for p in check.parameters}
    if not known and value:
        if any(catalogue.whole.find(i) is None for i in ids):
            return value
        raise bad(where, "these checks take no parameters; name a check by id to set its parameters")
    for key, given in value.items():
        if key not in known:
            raise bad(f"{where}.{key}", f"unknown parameter (known: {', '.join(sorted(known)) or 'none'})")
        if reason := schema_error(given, known[key].schema):
            raise bad(f"{where}.{key}", reason)
    return value


def schema_error(value: object, schema: Mapping[str, Any]) -> str | None:
    """What a full JSON schema validator says of a value; None where it fits."""
    import jsonschema  # late: only policies with parameters need it

    error = next(iter(jsonschema.Draft202012Validator(dict(schema)).iter_errors(value)), None)
    if error is None:
        return None
    place = "".join(f"[{part!r}]" for part in error.absolute_path)
    return f"{place + ': ' if place else ''}{error.message}"


def read_policies(raws: Iterable[Mapping[str, Any]], catalogue: Catalogue, *, profile: str = "default") -> PolicySet:
    """A PolicySet of all of these; raises PolicyError on the first unusable one."""
    return PolicySet(catalogue, tuple(read_policy(raw, catalogue) for raw in raws), profile)
