"""The findings behind an incident: of the checks that it names, where it happened, open or waived."""

from iocaudit.evidence.weaknesses import StoredWeaknesses
from iocaudit.records.finding import finding_body
from iocaudit.records.kinds import finding_kind
from tests.support.api import FakeApi
from tests.support.incidents import record


def store(api: FakeApi, namespace: str | None, name: str, check: str, target: str, **given: str) -> None:
    content = {"check": check, "severity": "high", "state": "Open", "type": "posture", "target": target, **given}
    body = finding_body(namespace, name, content)
    api.put(finding_kind(namespace), name, namespace, metadata=body["metadata"], finding=body["finding"])


def test_those_of_its_checks_where_it_happened() -> None:
    api = FakeApi("shop", "other")
    store(api, "shop", "used", "privileged-container", "Deployment/web")
    store(api, "shop", "beside", "privileged-container", "Deployment/api", state="Waived")
    store(api, "shop", "resolved", "privileged-container", "Deployment/old", state="Resolved")
    store(api, "shop", "seen", "privileged-container", "Deployment/web", type="runtime", state="Seen")
    store(api, "shop", "another-check", "host-pid", "Deployment/web")
    store(api, "other", "elsewhere", "privileged-container", "Deployment/web")
    store(api, None, "binding", "cluster-admin-binding", "ClusterRoleBinding/all")
    found = StoredWeaknesses(api).of(record())
    assert {(one.namespace, one.finding, one.state, one.is_used) for one in found} == {
        ("shop", "used", "Open", True),
        ("shop", "beside", "Waived", False),
        ("", "binding", "Open", False),
    }


def test_an_incident_of_no_check_asks_nothing() -> None:
    api = FakeApi()
    assert StoredWeaknesses(api).of(record(related=())) == []
    assert api.requests == []


def test_an_object_in_cluster_scope_may_be_the_target() -> None:
    api = FakeApi()
    store(api, None, "binding", "cluster-admin-binding", "ClusterRoleBinding/all")
    [one] = StoredWeaknesses(api).of(record(targets=("ClusterRoleBinding/all", "Secret", "")))
    assert one.is_used
