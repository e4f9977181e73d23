"""One small report with everything an output can say, and the five outputs of it."""

from pathlib import Path

from iocaudit.core.report import Fault, Report, Skipped, WaivedHit
from iocaudit.core.resource import Ref
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.engine.causes import with_causes
from iocaudit.scanning.scan import ScanOptions, scan_files
from iocaudit.sinks import github, json_report, junit, sarif, table
from iocaudit.sinks.look import Look
from iocaudit.sinks.summary import ReadingSummary, UnreadableDocument

CATALOGUE = builtin_catalogue().select({"privileged-container", "privilege-escalation-allowed"})
MANIFEST = """\
apiVersion: v1
kind: Pod
metadata: {name: "a\\e[31m::error::x<b>|\\n::warning::y%0A", namespace: shop}
spec:
  containers:
    - name: "c\\e<b>|\\n::error::z"
      image: example.org/app:1
      securityContext: {privileged: true}
---
apiVersion: v1
kind: Pod
metadata: {name: [
"""


def sample(folder: Path, name: str | None = None) -> tuple[Report, ReadingSummary]:
    """The manifest as scanned, with a skipped and a fault; ``name`` replaces the name of every object."""
    file = folder / "hostile.yaml"
    file.write_text(MANIFEST)
    scan = scan_files([str(file)], CATALOGUE, ScanOptions(suggest="text"))
    found = [one._replace(origin=one.origin._replace(file="hostile.yaml")) for one in scan.report.found]
    errors = [UnreadableDocument("hostile.yaml", error.line, error.reason) for error in scan.errors]
    if name is not None:
        found = [one._replace(subject=one.subject._replace(name=name)) for one in found]
    ref = Ref("", "v1", "Pod", "shop", found[0].subject.name)
    origin = found[0].origin
    report = Report(
        found,
        [Skipped("privileged-container", ref, "not evaluated", origin)],
        [Fault("privileged-container", ref, "raised", origin)],
        audited=scan.report.audited,
        waived=[
            WaivedHit(found[0]._replace(suggestion=None), "legacy", name or "until v2 is out", "2027-01-31T00:00:00Z")
        ],
    )
    notes = ["waiver old: covers nothing that was audited"]
    report = with_causes(report, CATALOGUE)
    assert report.implied
    return report, ReadingSummary(files=scan.files, documents=scan.documents, errors=errors, notes=notes)


def outputs(report: Report, reading: ReadingSummary) -> dict[str, str]:
    """Each output by the name of its golden file."""
    return {
        "table.txt": table.render(report, reading),
        "table-80.txt": table.render(report, reading, Look(80, colour=True)),
        "table-verbose.txt": table.render(report, reading, Look(80, verbose=True)),
        "step-summary.md": github.step_summary(report, reading),
        "report.json": json_report.render(report, reading, CATALOGUE),
        "report.sarif": sarif.render(report, reading, CATALOGUE),
        "junit.xml": junit.render(report, reading),
        "github.txt": github.render(report, reading),
    }
