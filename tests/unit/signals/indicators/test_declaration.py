"""A function becomes a detection only where its declaration is whole."""

import pytest

from iocaudit.core.errors import CatalogueError
from iocaudit.core.severity import IoC, Severity
from iocaudit.signals.audit_event import AuditEvent
from iocaudit.signals.indicators.declaration import DetectionDoc, Indicator, Observation

DOC = """It happens.

Because of this.

Fires:

    verb: get

Quiet:

    verb: list

Sources: A page; another.
"""


def test_documentation_is_taken_apart() -> None:
    doc = DetectionDoc(DOC)
    assert (doc.title, doc.why, doc.sources) == ("It happens", "Because of this.", "A page; another.")
    assert (doc.fires, doc.quiet) == ("verb: get\n", "verb: list\n")


@pytest.mark.parametrize(
    ("id", "text", "said"),
    [("Bad id", DOC, "lower-case words"), ("good-id", "It happens.", "Fires: and Quiet:")],
)
def test_a_broken_declaration_is_refused(id: str, text: str, said: str) -> None:
    def judge(event: AuditEvent) -> Observation | None:
        return None

    judge.__doc__ = text
    indicator = Indicator(IoC.DNS_ANOMALY, "x", "x", "x")
    with pytest.raises(CatalogueError, match=said):
        indicator.detects(id, severity=Severity.LOW, technique="T1")(judge)
    assert indicator.detections == []


def test_what_it_takes_has_to_fit() -> None:
    def judge(event: AuditEvent, steps: object) -> Observation | None:
        return None

    judge.__doc__ = DOC
    with pytest.raises(CatalogueError, match="it must take event"):
        Indicator(IoC.DNS_ANOMALY, "x", "x", "x").detects("an-id", severity=Severity.LOW, technique="T1")(judge)
