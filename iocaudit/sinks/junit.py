"""JUnit XML, as CI servers read it: one test case a check and object that has findings, faults or was skipped."""

from xml.etree import ElementTree

from iocaudit.core.report import Report
from iocaudit.sinks.escape import xml_text
from iocaudit.sinks.summary import ReadingSummary


def render(report: Report, reading: ReadingSummary) -> str:
    """A ``testsuites`` document; hits are failures, faults and unreadable documents are errors."""
    suite = ElementTree.Element("testsuite", name="iocaudit")
    for found in report.found:
        case = _case(suite, found.check, str(found.subject), found.origin.file, found.origin.line)
        failure = ElementTree.SubElement(case, "failure", type=found.severity.label, message=xml_text(found.message))
        failure.text = xml_text(found.fix)
    for fault in report.faults:
        case = _case(suite, fault.check, str(fault.subject), fault.origin.file if fault.origin else None, None)
        ElementTree.SubElement(case, "error", type="fault", message=xml_text(fault.error))
    for error in reading.errors:
        case = _case(suite, "readable", error.file, error.file, error.line)
        ElementTree.SubElement(case, "error", type="unreadable", message=xml_text(str(error)))
    for skipped in report.skipped:
        origin = skipped.origin
        case = _case(suite, skipped.check or "audit", str(skipped.subject or ""), origin.file if origin else None, None)
        ElementTree.SubElement(case, "skipped", message=xml_text(skipped.reason))
    for waived in report.waived:
        found = waived.found
        case = _case(suite, found.check, str(found.subject), found.origin.file, found.origin.line)
        why = f"waived by {waived.waiver} until {waived.expires}: {waived.reason}"
        ElementTree.SubElement(case, "skipped", message=xml_text(why))
    failures, errors = len(report.found), len(report.faults) + len(reading.errors)
    tests = len(suite)
    if not tests:
        _case(suite, "audit", f"{report.audited} objects", None, None)
        tests = 1
    counts = {
        "tests": str(tests),
        "failures": str(failures),
        "errors": str(errors),
        "skipped": str(len(report.skipped) + len(report.waived)),
    }
    suite.attrib.update(counts)
    if reading.notes:
        ElementTree.SubElement(suite, "system-out").text = xml_text("\n".join(reading.notes))
    root = ElementTree.Element("testsuites", {"name": "iocaudit", **counts})
    root.append(suite)
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _case(suite: ElementTree.Element, check: str, name: str, file: str | None, line: int | None) -> ElementTree.Element:
    case = ElementTree.SubElement(suite, "testcase", classname=xml_text(check), name=xml_text(name))
    if file:
        case.set("file", xml_text(file))
    if line:
        case.set("line", str(line))
    return case
