"""The page of one check, from its declaration alone."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any

from iocaudit.core.check import NAMED, Check, Parameter
from iocaudit.core.check_doc import CheckDoc
from iocaudit.core.kinds import PODS, Kind
from iocaudit.core.kinds.ours import API_VERSION
from iocaudit.core.links import check_url
from iocaudit.core.place import Place
from iocaudit.core.severity import IoC
from iocaudit.engine.catalogue import Catalogue
from iocaudit.engine.languages.as_checks import rule_of
from iocaudit.engine.languages.rule import CelSource, Rule
from iocaudit.engine.presets import denying
from iocaudit.knowledge.controls import controls_of
from iocaudit.sinks.blocks.blocks import Block, Grid, Heading, Line, Paragraph, Source, Span, code, joined, prose

HOLD_PODS = "Kinds that hold pods"
HOLD_PODS_ANCHOR = "kinds-that-hold-pods"
_ANY_PODS = frozenset(PODS)

_PLACES = {
    Place.SAME: "at the same place",
    Place.CONTAINERS: "of the same containers",
    Place.VOLUME: "of the same volume",
    Place.POD: "of the same pod",
    Place.NAMESPACE: "of what is in the Namespace",
}
"""Where hits of other checks have to be for one of this check's to imply them."""


def page(check: Check, catalogue: Catalogue) -> Iterator[Block]:
    """What it flags and why, its examples, its fix, how it is set, and what it is related to."""
    doc = check.doc
    yield Heading(1, code(check.id))
    yield Paragraph((Span(doc.title + ".", "plain"),) if check.asks else prose(doc.title + "."))
    yield Grid(("", ""), tuple((prose(name), line) for name, line in _facts(check, catalogue)))
    if check.asks:
        yield from _page_of_rule(check)
        return
    yield Heading(2, prose("Why"))
    for paragraph in doc.why.split("\n\n"):
        yield Paragraph(prose(paragraph))
    if doc.policy:
        yield Heading(2, prose("Examples"))
        yield Paragraph(prose("Both examples are judged under these parameters:"))
        yield Source(doc.policy)
    yield Heading(2, prose("Bad"))
    yield Source(doc.bad)
    yield Heading(2, prose("Good"))
    yield Source(doc.good)
    yield Heading(2, prose("Fix"))
    yield Paragraph(prose(doc.fix))
    yield Heading(2, prose("In a policy"))
    yield Source(policy_example(check))
    if check.parameters:
        yield Heading(2, prose("Parameters"))
        yield Grid(("parameter", "what it is", "default", "schema"), tuple(_parameter(one) for one in check.parameters))
    yield Heading(2, prose("Controls"))
    yield Grid(("framework", "control", ""), tuple(_control_rows(check)))
    yield Heading(2, prose("Sources"))
    yield Paragraph(prose(doc.sources))
    yield from _related(check, catalogue)


def _page_of_rule(check: Check) -> Iterator[Block]:
    """What a rule in a language of its own says: there are no examples, but the text that judges."""
    doc = check.doc
    for name, text in (("Why", doc.why), ("Fix", doc.fix)):
        if text:
            yield Heading(2, prose(name))
            for paragraph in text.split("\n\n"):
                yield Paragraph((Span(paragraph, "plain"),))
    yield Heading(2, prose("In a policy"))
    yield Source(policy_example(check))
    if check.parameters:
        yield Heading(2, prose("Parameters"))
        rows = ((code(one.name), code(compact(one.default))) for one in check.parameters)
        yield Grid(("parameter", "default"), tuple(rows))
    if (rule := rule_of(check)) is not None:
        for heading, text in texts_of(rule):
            yield Heading(2, prose(heading))
            yield Source(text)
    yield Heading(2, prose("Sources"))
    yield Paragraph((Span(doc.sources, "plain"),))


def texts_of(rule: Rule) -> Iterator[tuple[str, str]]:
    """The text of a rule, in parts, each with what it is."""
    source = rule.source
    if not isinstance(source, CelSource):
        yield "Module", source.module
        for number, text in enumerate(source.libraries, 1):
            yield f"Library {number}", text
        return
    for title, conditions in (("Match conditions", source.match_conditions), ("Variables", source.variables)):
        if conditions:
            yield title, "\n".join(f"{one.name}: {one.expression}" for one in conditions)
    yield "Validations", "\n".join(one.expression for one in source.validations)


def published(check: Check) -> Block:
    """Where the same is to be read on the web."""
    return Paragraph((Span(check_url(check.id), "plain"),))


def _facts(check: Check, catalogue: Catalogue) -> Iterator[tuple[str, Line]]:
    worst = f"; a single hit may be {check.worst.label}" if check.worst > check.severity else ""
    yield "severity", prose(check.severity.label + worst)
    if presets := denying(check):
        yield "denied", (*prose("critical hits, under "), *joined([code(preset) for preset in presets], " and "))
    yield "IoC", joined([ioc_line(ioc) for ioc in check.iocs], "; ") if check.iocs else prose("none is named")
    yield "group", code(check.group) if check.asks else code(check.group, f"../index.md#{check.group}")
    yield "profile", code(check.profile)
    yield "runs", prose(where_it_runs(check))
    yield "looks at", kinds_line(check.looks_at)
    for name, kinds in (
        ("looks up, and is skipped without", check.needs),
        ("looks up, and is skipped in part without", check.uses),
        ("looks up in audits, not at admission", check.in_audits),
        ("looks up in files, never in a cluster", check.in_files),
    ):
        if kinds:
            yield name, kinds_line(kinds)
    for place, words in _PLACES.items():
        if implied := [name for name in sorted(check.implied) if check.implied[name] is place]:
            yield f"tells with it, {words}", _ids(implied)
    if by := [other.id for other in catalogue if check.id in other.implied]:
        yield "may be told with", _ids(by)
    if check.aliases:
        yield "earlier ids", joined([code(alias) for alias in check.aliases])


def ioc_line(ioc: IoC) -> Line:
    return (Span(f"{int(ioc)}: {ioc.title}", "plain", f"../by-ioc.md#ioc-{int(ioc)}"),)


def where_it_runs(check: Check) -> str:
    """In which of scan, operator and webhook, and there on which operations."""
    operations = " and ".join(sorted(check.operations))
    if check.profile == NAMED:
        return f"where a policy names it, as the one does that declares it (on {operations})"
    if check.admission_only:
        return f"in the webhook only, on {operations}"
    if check.audit_only:
        return "in scan and operator, never at admission"
    return f"in scan, operator and webhook (on {operations})"


def kinds_line(kinds: Iterable[Kind]) -> Line:
    """The kinds by name; every kind that holds pods as one."""
    names = list(dict.fromkeys(kinds))
    found: list[Line] = []
    if set(names) >= _ANY_PODS:
        found.append((Span("pods in every kind that holds them", "plain", f"../index.md#{HOLD_PODS_ANCHOR}"),))
        names = [kind for kind in names if kind not in _ANY_PODS]
    return joined([*found, *(code(str(kind)) for kind in names)])


def _parameter(parameter: Parameter) -> tuple[Line, ...]:
    if parameter.required:
        without = (
            f", unless {' or '.join(f'`{other}`' for other in parameter.unless)} is set" if parameter.unless else ""
        )
        default = prose(f"none: without it the check is not configured{without}")
    else:
        default = code(compact(parameter.default))
        if parameter.strict is not None:
            default = (*default, Span(", under profile strict ", "plain"), *code(compact(parameter.strict)))
    return (
        code(parameter.name),
        prose(parameter.description.rstrip(".")),
        default,
        code(compact(dict(parameter.schema))),
    )


def compact(value: Any) -> str:
    """A value as JSON on one line."""
    return json.dumps(value, ensure_ascii=False, sort_keys=isinstance(value, Mapping))


def _control_rows(check: Check) -> Iterator[tuple[Line, ...]]:
    controls = list(controls_of(check.controls))
    for (framework, control, title), editions in groupby(controls, key=lambda c: (c.framework, c.id, c.title)):
        named = [one.edition for one in editions if one.edition]
        yield (
            (Span(framework.title + (f" {', '.join(named)}" if named else ""), "plain"),),
            (Span(control, "plain", framework.link(control)),),
            prose(title),
        )


def _related(check: Check, catalogue: Catalogue) -> Iterator[Block]:
    by_ioc, by_group = related(check, catalogue)
    yield Heading(2, prose("Related checks"))
    rows: list[tuple[Line, ...]] = []
    for ioc, others in by_ioc.items():
        if others:
            rows.append((prose(f"IoC {int(ioc)}"), _links(others)))
    if by_group:
        rows.append((prose(f"group `{check.group}`"), _links(by_group)))
    if rows:
        yield Grid(("", ""), tuple(rows))
    else:
        yield Paragraph(prose("None."))


def related(check: Check, catalogue: Catalogue) -> tuple[dict[IoC, list[Check]], list[Check]]:
    """The other checks of each of its IoCs, and the further ones of its group."""
    others = [other for other in catalogue if other is not check]
    by_ioc = {ioc: [other for other in others if ioc in other.iocs] for ioc in check.iocs}
    seen = {other for some in by_ioc.values() for other in some}
    return by_ioc, [other for other in others if other.group == check.group and other not in seen]


def _links(checks: Iterable[Check]) -> Line:
    return _ids(check.id for check in checks)


def _ids(ids: Iterable[str]) -> Line:
    return joined([code(one, f"{one}.md") for one in ids])


def policy_example(check: Check) -> str:
    """An AuditPolicy that sets the check, with its parameters as in the examples or by default."""
    import yaml  # late: PyYAML takes its time, and only a page needs it

    entry: dict[str, Any] = {"ids": [check.id], "mode": "audit" if check.audit_only else "deny"}
    if parameters := example_parameters(check, check.doc):
        entry["parameters"] = parameters
    policy = {
        "apiVersion": API_VERSION,
        "kind": "AuditPolicy",
        "metadata": {"name": "shop"},
        "spec": {
            "priority": 100,
            "match": {"namespaces": ["shop"]} if _is_in_namespaces(check) else {"clusterScoped": True},
            "checks": [entry],
        },
    }
    return yaml.safe_dump(policy, sort_keys=False, allow_unicode=True, width=100)


def example_parameters(check: Check, doc: CheckDoc) -> dict[str, Any]:
    """Those of its examples; else its own with their defaults."""
    import yaml

    if doc.policy:
        found: dict[str, Any] = yaml.safe_load(doc.policy)
        return found
    return {
        one.name: one.default
        for one in check.parameters
        if not one.required and one.name != "exemptImages" and one.default is not None
    }


def _is_in_namespaces(check: Check) -> bool:
    return any(kind.namespaced for kind in check.looks_at)
