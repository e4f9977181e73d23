"""An incident as a page: everything that is known of it, in words, and hostile names as data."""

from iocaudit.core.shape import Json
from iocaudit.incidents.page import incident_page
from iocaudit.records.incident import IncidentWeakness, incident_body
from iocaudit.sinks.blocks.html import as_html
from iocaudit.sinks.blocks.markdown import as_markdown
from iocaudit.sinks.blocks.terminal import as_text
from tests.support.incidents import BEGIN, record

HOSTILE = "<script>alert(1)</script>|`x`[a](b)\x1b[31m"


def content() -> Json:
    weakness = IncidentWeakness("shop", "f", "privileged-container", "high", "Deployment/web", "Open", True)
    beside = IncidentWeakness("", "g", "cluster-admin-binding", "critical", "ClusterRoleBinding/x", "Open", False)
    body = incident_body(record(), [weakness, beside], BEGIN, None)
    return {**body["incident"], "evidence": {"count": 7, "head": "a" * 64}}


def test_all_of_it_is_told() -> None:
    ways = ["mallory: no way to cluster-admin was found"]
    records: list[Json] = [{"at": "2026-11-30T10:00:00.5Z", "source": "falco", "message": "a shell"}]
    said = as_text(incident_page("incident-0123456789", content(), records, ways))
    for words in (
        "incident-0123456789 (high, Open)",
        "4 user activity; 6 filesystem change",
        "2026-11-30T10:00:00Z",
        "exec-in-pod",
        "seen (2 times)",
        "privileged-container",
        "shop/Deployment/web",
        "stands open",
        "no way to cluster-admin",
        "The receivers keep 7 records",
        "a shell",
        "kubectl -n shop scale deployment/web --replicas=0",
    ):
        assert words in said, words


def test_of_little_that_is_known_little_is_told() -> None:
    said = as_text(incident_page("incident-0123456789", {}))
    assert "weaknesses" not in said
    assert "evidence" not in said


def test_what_is_not_listed_is_counted() -> None:
    said = as_text(incident_page("incident-0123456789", {**content(), "stepCount": 60, "weaknessCount": 9}))
    assert "58 more steps" in said
    assert "7 more findings not listed" in said


def test_hostile_names_stay_data() -> None:
    hostile = {**content(), "accounts": [HOSTILE], "targets": [f"shop/Pod/{HOSTILE}"], "reason": HOSTILE}
    page = list(incident_page(HOSTILE, hostile, [{"message": HOSTILE, "account": HOSTILE}], [HOSTILE]))
    shown = as_html(page, HOSTILE)
    assert "<script" not in shown
    assert "\x1b" not in shown + as_markdown(page) + as_text(page)
