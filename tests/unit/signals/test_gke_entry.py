"""Entries of Google's Cloud Audit Logs: the same request, by other words."""

from __future__ import annotations

from typing import Any

import pytest

from iocaudit.signals.audit_event import AuditEvent, LinePlace, RequestTarget
from iocaudit.signals.gke_entry import read_entry
from tests.support.audit_events import Json, event, gke

PLACE = LinePlace("gke.json", 1)


def read(raw: Json) -> AuditEvent:
    found = read_entry(raw, PLACE)
    assert found is not None
    return found


def test_a_create_reads_as_the_native_event() -> None:
    found, native = read(gke(event())), event()
    assert (found.verb, found.code, found.audit_id) == ("create", 200, "id-1")
    assert found.target == RequestTarget("", "v1", "pods", "", "shop", "web-1")
    assert found.request_object == native["requestObject"]
    assert found.response_object == native["responseObject"]
    assert found.user.username == "alice"
    assert (found.knows_groups, found.knows_dry_run) == (False, False)


@pytest.mark.parametrize(
    ("method", "resource", "target"),
    [
        (
            "io.k8s.authorization.rbac.v1.clusterrolebindings.create",
            "rbac.authorization.k8s.io/v1/clusterrolebindings/a",
            RequestTarget("rbac.authorization.k8s.io", "v1", "clusterrolebindings", "", "", "a"),
        ),
        (
            "io.k8s.core.v1.pods.exec.create",
            "core/v1/namespaces/shop/pods/web/exec",
            RequestTarget("", "v1", "pods", "exec", "shop", "web"),
        ),
        (
            "io.k8s.core.v1.namespaces.create",
            "core/v1/namespaces/shop",
            RequestTarget("", "v1", "namespaces", "", "", "shop"),
        ),
        (
            "io.k8s.apps.v1.deployments.patch",
            "apps/v1/namespaces/shop/deployments/web",
            RequestTarget("apps", "v1", "deployments", "", "shop", "web"),
        ),
        ("io.k8s.apps.v1.deployments.patch", "", RequestTarget("apps", "v1", "deployments")),
        ("io.k8s.core.v1.pods.create", "", RequestTarget("", "v1", "pods")),
        ("io.k8s.networking.v1.ingresses.create", "", RequestTarget("networking.k8s.io", "v1", "ingresses")),
        (
            "io.k8s.authorization.rbac.v1.roles.update",
            "",
            RequestTarget("rbac.authorization.k8s.io", "v1", "roles"),
        ),
        (
            "io.argoproj.v1alpha1.rollouts.create",
            "argoproj.io/v1alpha1/namespaces/shop/rollouts/web",
            RequestTarget("argoproj.io", "v1alpha1", "rollouts", "", "shop", "web"),
        ),
    ],
)
def test_what_is_asked_for_is_told_by_method_and_resource(method: str, resource: str, target: RequestTarget) -> None:
    assert read({"protoPayload": {"methodName": method, "resourceName": resource}}).target == target


@pytest.mark.parametrize("method", ["v2.deploymentmanager.deployments.insert", "", "io.k8s.get", "a.v1.b.c.d.e.create"])
def test_other_services_give_no_event(method: str) -> None:
    assert read_entry({"protoPayload": {"methodName": method}}, PLACE) is None


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        ({"status": {"code": 7, "message": "forbidden"}}, 403),
        ({"status": {"code": 10}, "response": {"kind": "Status", "code": 409}}, 409),
        ({"response": {"status": "Failure"}}, 500),
        ({"status": {"code": 99}}, 500),
        ({"status": {}}, 200),
        ({"status": "wrong"}, 200),
    ],
)
def test_errors_are_told_as_http_has_them(payload: dict[str, Any], code: int) -> None:
    assert read({"protoPayload": {"methodName": "io.k8s.core.v1.pods.create", **payload}}).code == code


def test_groups_follow_from_names() -> None:
    entry = gke(event())
    for name, groups in (
        ("system:serviceaccount:shop:web", "system:serviceaccounts:shop"),
        ("system:anonymous", "system:unauthenticated"),
    ):
        entry["protoPayload"]["authenticationInfo"]["principalEmail"] = name
        assert groups in read(entry).user.groups
    del entry["protoPayload"]["authenticationInfo"]
    assert read(entry).user.groups == ()
