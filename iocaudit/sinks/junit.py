"""JUnit XML, as CI servers read it: one test case a hit, a fault, an unreadable document and what was skipped.

Servers tell cases apart by class name and name (GitLab drops all but one of the same), so no two cases have both
in common.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from xml.etree import ElementTree

from iocaudit.core.report import Report, ReportedHit
from iocaudit.core.resource import Origin
from iocaudit.core.severity import Severity
from iocaudit.core.wording import counted
from iocaudit.sinks.escape import xml_text
from iocaudit.sinks.implied import implies
from iocaudit.sinks.summary import ReadingSummary, gate


def render(report: Report, reading: ReadingSummary, fail_on: Severity | None = Severity.LOW) -> str:
    """A ``testsuites`` document: hits from ``fail_on`` on are failures (None: no hit is), faults and unreadable
    documents errors; what is below is a case that passed, with the hit as its output."""
    suite = JunitCases()
    parts = report.parts()
    for found in report.found:
        more = implies(found, parts.get(id(found), ()))
        case = suite.hit(found)
        if fail_on is not None and found.severity >= fail_on:
            suite.failures += 1
            failure = child(case, "failure", found.message, type=found.severity.label)
            failure.text = xml_text("\n".join(filter(None, (found.fix, more))))
        else:
            out = ElementTree.SubElement(case, "system-out")
            said = f"{found.severity.label}: {found.message}. {found.fix}".rstrip(". ") + "."
            out.text = xml_text("\n".join(filter(None, (said, more))))
    for fault in report.faults:
        child(suite.case(fault.check, str(fault.subject or "fault"), fault.origin), "error", fault.error, type="fault")
    for error in reading.errors:
        place = Origin("file", error.file, error.line)
        child(suite.case("readable", error.file, place), "error", str(error), type="unreadable")
    for skipped in report.skipped:
        name = str(skipped.subject or (skipped.origin.file if skipped.origin else "") or "audit")
        child(suite.case(skipped.check or "audit", name, skipped.origin), "skipped", skipped.reason)
    for waived in report.waived:
        why = f"waived by {waived.waiver} until {waived.expires}: {waived.reason}"
        child(suite.hit(waived.found), "skipped", why)
    for ignored in report.ignored:
        child(suite.hit(ignored.found), "skipped", f"ignored by an annotation: {ignored.reason}")
    if not len(suite.element):
        suite.case("audit", counted(report.audited, "object"), None)
    counts = {
        "tests": str(len(suite.element)),
        "failures": str(suite.failures),
        "errors": str(len(report.faults) + len(reading.errors)),
        "skipped": str(len(report.skipped) + len(report.waived) + len(report.ignored)),
    }
    return suite.document(counts, [*filter(None, [gate(report, reading)]), *reading.notes])


class JunitCases:
    """The cases, each with a name of its own."""

    def __init__(self) -> None:
        self.element = ElementTree.Element("testsuite", name="iocaudit")
        self.failures = 0
        self._taken: set[tuple[str, str]] = set()

    def hit(self, found: ReportedHit) -> ElementTree.Element:
        place = f" [{found.hit.place}]" if found.hit.place else ""
        return self.case(found.check, f"{found.subject}{place}", found.origin)

    def case(self, check: str, name: str, origin: Origin | None) -> ElementTree.Element:
        file, line = (origin.file, origin.line) if origin else (None, None)
        unique = self._unique(xml_text(check), xml_text(name), xml_text(file or ""))
        case = ElementTree.SubElement(self.element, "testcase", classname=xml_text(check), name=unique)
        if file:
            case.set("file", xml_text(file))
        if line:
            case.set("line", str(line))
        return case

    def document(self, counts: Mapping[str, str], notes: Sequence[str]) -> str:
        """The text of the whole, with what is to be said beside the cases."""
        self.element.attrib.update(counts)
        if notes:
            ElementTree.SubElement(self.element, "system-out").text = xml_text("\n".join(notes))
        root = ElementTree.Element("testsuites", {"name": "iocaudit", **counts})
        root.append(self.element)
        ElementTree.indent(root)
        return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"

    def _unique(self, check: str, name: str, file: str) -> str:
        """The name; with its file, then with a number where another case has it."""
        wanted = name if (check, name) not in self._taken or not file else f"{name} in {file}"
        found, number = wanted, 1
        while (check, found) in self._taken:
            number += 1
            found = f"{wanted} #{number}"
        self._taken.add((check, found))
        return found


def child(case: ElementTree.Element, tag: str, message: str, **attributes: str) -> ElementTree.Element:
    """An element of a case that says why it failed, or was skipped."""
    return ElementTree.SubElement(case, tag, {**attributes, "message": xml_text(message)})
