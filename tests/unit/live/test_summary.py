"""What a report counts."""

from iocaudit.core.hit import Hit
from iocaudit.core.kinds import POD
from iocaudit.core.report import Fault, Finding, ReportedHit, Skipped, findings_of
from iocaudit.core.resource import CLUSTER, Ref
from iocaudit.core.severity import IoC, Severity
from iocaudit.engine.kept import AuditedObject
from iocaudit.live.summary import Summary


def finding(check: str, severity: Severity, name: str) -> Finding:
    ref = Ref("", "v1", "Pod", "shop", name)
    iocs = (IoC.CLUSTER_ADMIN, IoC.UNKNOWN_BINARY)
    return findings_of([ReportedHit(check, severity, iocs, ref, CLUSTER, Hit("spec", "bad", ""))])[0]


def test_counts_and_worst_first() -> None:
    summary = Summary()
    for one in (
        finding("a", Severity.LOW, "many"),
        finding("b", Severity.HIGH, "many"),
        finding("a", Severity.CRITICAL, "worst"),
        finding("a", Severity.HIGH, "one"),
    ):
        summary.count(one)
    content = summary.content(["shop-policy"])
    assert content["severities"] == {"critical": 1, "high": 2, "medium": 0, "low": 1}
    assert content["checks"] == {"a": 3, "b": 1}
    assert content["iocs"] == {"3": 4, "9": 4}
    assert [(w["target"], w["findings"]) for w in content["worst"]] == [
        ("Pod/worst", 1),
        ("Pod/many", 2),
        ("Pod/one", 1),
    ]
    assert content["policies"] == ["shop-policy"]


def test_coverage_says_what_was_not_evaluated() -> None:
    ref = Ref("", "v1", "Pod", "shop", "web")
    kept = AuditedObject(
        "u", POD, ref, "1", skipped=(Skipped("a", ref, "no roles"),), faults=(Fault("b", ref, "KeyError: x"),),
        not_configured=("untrusted-registry",),
    )  # fmt: skip
    summary = Summary()
    summary.cover(kept)
    summary.cover(kept)
    coverage = summary.content([])["coverage"]
    assert (coverage["audited"], coverage["skipped"], coverage["faults"]) == (2, 2, 2)
    assert {"check": "b", "reason": "KeyError: x", "count": 2, "fault": True} in coverage["reasons"]
    assert coverage["notConfigured"] == ["untrusted-registry"]
