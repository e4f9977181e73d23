"""The pages of the indicators: what sees each at run time, from the declarations alone."""

from __future__ import annotations

from collections.abc import Iterator

from iocaudit.signals.indicators.declaration import Detection, Indicator
from iocaudit.signals.signal import SignalSource
from iocaudit.sinks.blocks.blocks import Block, Grid, Heading, Items, Line, Paragraph, Source, Span, code, joined, prose

_SOURCES = {
    SignalSource.AUDIT: "the audit log",
    SignalSource.FALCO: "Falco",
    SignalSource.ALERTMANAGER: "Alertmanager",
}
_ATTACK = "https://attack.mitre.org/techniques/{}/"


def index(indicators: tuple[Indicator, ...]) -> Iterator[Block]:
    """All detections in one table for each indicator."""
    yield Heading(1, prose("Indicators at run time"))
    yield Paragraph(
        prose(
            "What `iocaudit detect` sees in recorded signals, by indicator of compromise. A detection is a pure "
            "function "
            "of one signal, or of one signal and what is remembered of its account; a sequence needs several different "
            "steps of one account within a window. The severity is the usual one: a page says when it is another. "
            "Objects in audit events are judged by the [checks](index.md) as well. How the detections compare with the "
            "rules of others: [detection coverage](detection-coverage.md)."
        )
    )
    for one in indicators:
        yield Heading(2, (Span(_title(one), "plain", f"indicators/{one.slug}.md"),))
        yield Paragraph(prose(one.summary))
        rows = tuple(
            (
                code(detection.id, f"indicators/{one.slug}.md#{detection.id}"),
                prose(detection.severity.label),
                prose(_SOURCES[detection.feeds]),
                prose(detection.title + (" (sequence)" if detection.is_sequence else "")),
            )
            for detection in _sorted(one)
        )
        yield Grid(("detection", "severity", "from", "sees"), rows)


def page(indicator: Indicator) -> Iterator[Block]:
    """One indicator with all its detections."""
    yield Heading(1, prose(_title(indicator)))
    yield Paragraph(prose(indicator.summary))
    yield Paragraph(prose(f"What nothing here sees: {indicator.blind[0].lower()}{indicator.blind[1:]}"))
    for detection in _sorted(indicator):
        yield from _detection(detection)


def _detection(detection: Detection) -> Iterator[Block]:
    doc = detection.doc
    yield Heading(2, prose(detection.id))
    yield Paragraph(prose(f"{doc.title}."))
    for paragraph in doc.why.split("\n\n"):
        yield Paragraph(prose(" ".join(paragraph.split())))
    facts: list[tuple[str, Line]] = [
        ("severity", prose(detection.severity.label)),
        ("from", prose(_SOURCES[detection.feeds])),
        ("ATT&CK", (Span(detection.technique, "plain", _ATTACK.format(detection.technique.replace(".", "/"))),)),
    ]
    if detection.on:
        facts.append(("requests for", joined([code(one) for one in sorted(detection.on)])))
    if detection.window is not None:
        minutes = int(detection.window.total_seconds() // 60)
        kind = "several steps of one account" if detection.is_sequence else "what one account does"
        facts.append(
            ("looks at", prose(f"{kind} within {minutes} minutes" if minutes != 1 else f"{kind} within a minute"))
        )
    if detection.related:
        facts.append(("weaknesses behind it", joined([code(one, f"../checks/{one}.md") for one in detection.related])))
    yield Items(tuple((Span(f"{name}: ", "plain"), *line) for name, line in facts))
    if doc.profile:
        yield Paragraph(prose("With the `spec` of an [ActivityProfile](../profiles.md), enforced in namespace `shop`:"))
        yield Source(doc.profile)
    yield Paragraph(prose("Fires:"))
    yield Source(doc.fires)
    yield Paragraph(prose("Stays quiet:"))
    yield Source(doc.quiet)
    if doc.sources:
        yield Paragraph(prose(f"Sources: {doc.sources}"))


def _sorted(indicator: Indicator) -> list[Detection]:
    return sorted(indicator.detections, key=lambda one: (list(SignalSource).index(one.feeds), one.id))


def _title(indicator: Indicator) -> str:
    return f"Indicator {int(indicator.ioc)}: {indicator.ioc.title}"
