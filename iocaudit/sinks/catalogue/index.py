"""The indexes: all checks, by IoC, by severity, by control."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

from iocaudit.core.check import Check
from iocaudit.core.kinds import PODS
from iocaudit.core.severity import IoC, Severity
from iocaudit.engine.catalogue import Catalogue
from iocaudit.knowledge.controls import (
    CIS,
    CIS_EDITIONS,
    CIS_KUBERNETES,
    FRAMEWORKS,
    NSA,
    Control,
    Framework,
    controls_of,
)
from iocaudit.sinks.blocks.blocks import Block, Grid, Heading, Items, Line, Paragraph, Span, code, joined, prose
from iocaudit.sinks.catalogue.page import HOLD_PODS

GROUPS = {
    "images": "where images come from and how they are named",
    "network": "network policies, ways into the cluster and limits on them",
    "pods": "what pods and containers may do, on the node above all",
    "rbac": "who may do what",
    "resources": "what workloads may use up",
    "secrets": "credentials where they do not belong",
    "self": "holes in the auditor's own guard",
    "session": "people in running pods",
    "volumes": "files of the node in pods",
}
"""What each group is about."""


def in_order(checks: Iterable[Check]) -> list[Check]:
    """By group, then by id."""
    return sorted(checks, key=lambda check: (check.group, check.id))


def by_group(catalogue: Catalogue) -> Iterator[Block]:
    yield Heading(1, prose("Checks"))
    yield Paragraph(
        prose(
            f"{len(catalogue)} checks, each with a page of its own. Profile strict adds the ones marked so; the others "
            "run unless a policy says otherwise. `iocaudit explain CHECK` prints the same in a terminal."
        )
    )
    yield Items(
        tuple(
            (Span(title, "plain", file),)
            for title, file in (
                ("By indicator of compromise", "by-ioc.md"),
                ("By severity", "by-severity.md"),
                ("By control: Pod Security Standards, CIS, ATT&CK, Microsoft, OWASP, NSA and CISA", "by-control.md"),
            )
        )
    )
    for group, checks in groupby(in_order(catalogue), key=lambda check: check.group):
        yield Heading(2, (Span(group, "plain"),))
        if group in GROUPS:
            yield Paragraph(prose(GROUPS[group][0].upper() + GROUPS[group][1:] + "."))
        yield table(checks)
    yield Heading(2, prose(HOLD_PODS))
    yield Paragraph(
        prose("What a check on pods looks at: pods, and the templates of pods where these kinds have them.")
    )
    yield Items(tuple(code(str(kind)) for kind in PODS))


def by_ioc(catalogue: Catalogue) -> Iterator[Block]:
    yield Heading(1, prose("Checks by indicator of compromise"))
    for ioc in IoC:
        yield from of_ioc(ioc, catalogue)


def of_ioc(ioc: IoC, catalogue: Catalogue) -> Iterator[Block]:
    """What an indicator is, and its checks."""
    yield Heading(2, prose(f"IoC {int(ioc)}"))
    yield Paragraph(prose(ioc.title[0].upper() + ioc.title[1:] + "."))
    checks = [check for check in in_order(catalogue) if ioc in check.iocs]
    if checks:
        yield table(checks)
    else:
        yield Paragraph(prose("No check of configuration speaks of it: it shows at run time."))


def all_iocs(catalogue: Catalogue) -> Iterator[Block]:
    """The ten indicators on one screen: what each is, and how many checks speak of it."""
    yield Grid(
        ("IoC", "what it is", "checks"),
        tuple(
            (prose(str(int(ioc))), prose(ioc.title), prose(str(sum(ioc in check.iocs for check in catalogue))))
            for ioc in IoC
        ),
    )
    yield Paragraph(prose("`iocaudit explain --ioc NUMBER` lists the checks of one."))


def by_severity(catalogue: Catalogue) -> Iterator[Block]:
    yield Heading(1, prose("Checks by severity"))
    yield Paragraph(
        prose(
            "Where no policy names a check, the preset in force and the severity of the hit decide: warn, the default, "
            "warns about critical and high hits, guard denies critical hits that hand over a node or the cluster, "
            "lockdown denies all critical ones. The page of a check says which presets deny its hits. A check whose "
            "single hits may be worse than itself is marked."
        )
    )
    for severity in reversed(Severity):
        checks = [check for check in in_order(catalogue) if check.severity is severity]
        yield Heading(2, prose(severity.label))
        yield table(checks) if checks else Paragraph(prose("None."))


def by_control(catalogue: Catalogue) -> Iterator[Block]:
    yield Heading(1, prose("Checks by control"))
    yield Paragraph(
        prose(
            "Which control a check speaks to is a judgement where the control is wider than the check. A control that "
            "is not listed has no check."
        )
    )
    for framework in FRAMEWORKS:
        found = _checks_by_control(catalogue, framework)
        yield Heading(2, (Span(framework.title, "plain"),))
        if framework is NSA:
            yield Paragraph(prose("The guide has no identifiers; its sections are named."))
        for edition in CIS_EDITIONS if framework is CIS else (None,):
            if edition is not None:
                yield Heading(3, prose(f"{edition} (Kubernetes {CIS_KUBERNETES[edition]})"))
            rows = [(control, checks) for control, checks in found if control.edition == edition]
            yield Grid(
                ("control", "", "checks"),
                tuple(
                    ((Span(control.id, "plain", control.link),), prose(control.title), _links(checks))
                    for control, checks in rows
                ),
            )


def _checks_by_control(catalogue: Catalogue, framework: Framework) -> list[tuple[Control, list[Check]]]:
    found: dict[Control, list[Check]] = {}
    for check in catalogue:
        for control in controls_of(check.controls):
            if control.framework is framework:
                found.setdefault(control, []).append(check)
    return sorted(found.items(), key=lambda item: _natural(item[0].id))


def _natural(control: str) -> tuple[tuple[int, str], ...]:
    """5.2.9 before 5.2.10."""
    return tuple((int(part), "") if part.isdigit() else (0, part) for part in control.split("."))


def table(checks: Iterable[Check]) -> Grid:
    """A line a check, for a page in the folder above the checks' own."""
    return Grid(("check", "severity", "IoC", "flags"), tuple(_row(check) for check in checks))


def _row(check: Check) -> tuple[Line, ...]:
    worst = f" (up to {check.worst.label})" if check.worst > check.severity else ""
    strict = " (strict)" if check.profile == "strict" else ""
    return (
        code(check.id, f"checks/{check.id}.md"),
        prose(check.severity.label + worst),
        prose(", ".join(str(int(ioc)) for ioc in check.iocs)),
        prose(check.title + strict),
    )


def _links(checks: Iterable[Check]) -> Line:
    return joined([code(check.id, f"checks/{check.id}.md") for check in checks])


def counts(catalogue: Catalogue, folder: str) -> Grid:
    """How many checks each group has, by severity; the groups link into the index in ``folder``."""
    rows: list[tuple[Line, ...]] = []
    for group, checks in groupby(in_order(catalogue), key=lambda check: check.group):
        found = list(checks)
        rows.append(
            (
                (Span(group, "plain", f"{folder}/index.md#{group}"),),
                prose(GROUPS.get(group, "")),
                *(prose(str(sum(c.severity is s for c in found) or "")) for s in reversed(Severity)),
            )
        )
    return Grid(("group", "about", *(severity.label for severity in reversed(Severity))), tuple(rows))
