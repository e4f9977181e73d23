"""How our detections compare with the rules of others for the audit log: by subject, as data.

Each rule of Falco's k8saudit set, and of the public Kubernetes rules of Elastic and Sigma, has a counterpart (a
detection or a check) or a reason why there is none. No text of theirs is taken, only the names of their rules.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from iocaudit.engine.catalogue import Catalogue
from iocaudit.signals.indicators.catalogue import all_indicators
from iocaudit.sinks.blocks.blocks import Block, Grid, Heading, Line, Paragraph, code, joined, prose

_DATA = Path(__file__).with_name("coverage.toml")


class RuleCounterpart(NamedTuple):
    """A rule of others with what answers to it here: ``ours`` are ids, ``note`` a reason or a remark."""

    set: str
    rule: str
    ours: tuple[str, ...]
    note: str


def counterparts() -> list[RuleCounterpart]:
    """All of them, in the order of the data."""
    found = []
    for name, rules in tomllib.loads(_DATA.read_text("utf-8")).items():
        for rule, entry in rules.items():
            ours, note = (entry, "") if isinstance(entry, list) else (entry.get("ours", []), entry["note"])
            found.append(RuleCounterpart(name, rule, tuple(ours), note))
    return found


def page(catalogue: Catalogue) -> Iterator[Block]:
    """The text of docs/detection-coverage.md."""
    places = {
        detection.id: f"indicators/{one.slug}.md#{detection.id}"
        for one in all_indicators()
        for detection in one.detections
    } | {check.id: f"checks/{check.id}.md" for check in catalogue}
    yield Heading(1, prose("Detection coverage"))
    yield Paragraph(
        prose(
            "The rules of others for the audit log of the API server, compared by subject: what answers to each here, "
            "or why nothing does. Only names of rules are taken from them."
        )
    )
    rules = counterparts()
    for name in dict.fromkeys(one.set for one in rules):
        yield Heading(2, prose(name))
        rows = []
        for one in rules:
            if one.set == name:
                ours: Line = joined([code(each, places[each]) for each in one.ours]) if one.ours else prose("none")
                rows.append((prose(one.rule), ours, prose(one.note)))
        yield Grid(("rule", "here", "remark"), tuple(rows))
