"""An incident as a page: what was seen in its order, who and what, the weaknesses behind it, and what to do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from iocaudit.core.severity import IoC
from iocaudit.core.shape import Json, integer, mapping, mappings, strings, text
from iocaudit.core.wording import counted
from iocaudit.incidents.next_steps import next_steps
from iocaudit.sinks.blocks.blocks import Block, Grid, Heading, Items, Line, Paragraph, Span, code, prose

MOST_RECORDS = 1_000


def incident_page(name: str, incident: Json, records: Sequence[Json] = (), ways: Sequence[str] = ()) -> Iterator[Block]:
    """``incident`` is the content of an IocIncident; ``ways`` say how its accounts get to cluster-admin."""
    severity, state = text(incident.get("severity")), text(incident.get("state"))
    yield Heading(1, _plain(f"{name} ({severity}, {state})"))
    yield Grid(("", ""), tuple((_plain(key), value) for key, value in _facts(incident) if value[0].text))
    yield Heading(2, prose("what was seen"))
    yield _steps(incident)
    left_out = (integer(incident.get("stepCount")) or 0) - len(mappings(incident.get("steps")))
    if left_out > 0:
        yield Paragraph(_plain(f"{counted(left_out, 'more step')} of lower severity, or later, are not listed."))
    yield from _weaknesses(incident)
    if ways:
        yield Heading(2, prose("what its accounts can reach"))
        yield Items(tuple(map(_plain, ways)))
    yield from _evidence(incident, records)
    yield Heading(2, prose("what to do"))
    yield Grid(("WHY", "COMMAND"), tuple((_plain(one.why), code(one.command)) for one in next_steps(incident)))


def _plain(value: str) -> Line:
    return (Span(value, "plain"),)


def _facts(incident: Json) -> Iterator[tuple[str, Line]]:
    numbers = [one for one in incident.get("iocs") or () if one in set(IoC)]
    yield "indicators", _plain("; ".join(f"{one} {IoC(one).short}" for one in numbers))
    yield "accounts", _plain(", ".join(strings(incident.get("accounts"))))
    yield "targets", _plain(", ".join(strings(incident.get("targets"))))
    yield "signals", _plain(str(integer(incident.get("signals")) or 0))
    yield "from", _plain(text(incident.get("firstSignal")))
    yield "to", _plain(text(incident.get("lastSignal")))
    yield "reason", _plain(text(incident.get("reason")))
    yield "merged into", _plain(text(incident.get("mergedInto")))
    yield "usual beside it", _plain(", ".join(strings(incident.get("habits"))))


def _steps(incident: Json) -> Grid:
    rows = []
    for one in mappings(incident.get("steps")):
        count = integer(one.get("count")) or 0
        said = text(one.get("message")) + (f" ({count} times)" if count > 1 else "")
        severity, rule = _plain(text(one.get("severity"))), code(text(one.get("rule")))
        rows.append((_moment(one.get("first")), severity, rule, _plain(said)))
    return Grid(("TIME", "SEVERITY", "RULE", "WHAT"), tuple(rows))


def _moment(value: object) -> Line:
    """To the second."""
    return _plain(f"{text(value)[:19]}Z")


def _weaknesses(incident: Json) -> Iterator[Block]:
    found = mappings(incident.get("weaknesses"))
    related = strings(incident.get("relatedChecks"))
    if not found and not related:
        return
    yield Heading(2, prose("the weaknesses behind it"))
    if found:
        yield Grid(
            ("WEAKNESS", "SEVERITY", "TARGET", "STATE", "USED"),
            tuple(
                (
                    code(text(one.get("check"))),
                    _plain(text(one.get("severity"))),
                    _plain("/".join(part for part in (text(one.get("namespace")), text(one.get("target"))) if part)),
                    _plain(text(one.get("state"))),
                    _plain("yes" if one.get("used") is True else "stands open"),
                )
                for one in found
            ),
        )
        left_out = (integer(incident.get("weaknessCount")) or 0) - len(found)
        if left_out > 0:
            yield Paragraph(_plain(f"{counted(left_out, 'more finding')} not listed."))
    if related:
        yield Paragraph((Span("Read about them: ", "plain"), *code(f"iocaudit explain {' '.join(related)}")))


def _evidence(incident: Json, records: Sequence[Json]) -> Iterator[Block]:
    chain = mapping(incident.get("evidence"))
    if not chain and not records:
        return
    yield Heading(2, prose("evidence"))
    if chain:
        kept = counted(integer(chain.get("count")) or 0, "record")
        yield Paragraph(_plain(f"The receivers keep {kept}; the head of their chain is {text(chain.get('head'))}."))
    if records:
        rows = [
            (
                _moment(one.get("at")),
                _plain(text(one.get("source"))),
                _plain(text(one.get("account"))),
                _plain(text(one.get("target"))),
                _plain(text(one.get("message"))),
            )
            for one in records[:MOST_RECORDS]
        ]
        yield Grid(("TIME", "SOURCE", "ACCOUNT", "TARGET", "WHAT"), tuple(rows))
