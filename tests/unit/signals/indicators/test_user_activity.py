"""Identities: who is quiet, and what is worse than usual."""

from typing import Any

import pytest

from iocaudit.core.severity import Severity
from iocaudit.signals.audit_event import read_event
from iocaudit.signals.detector import Detector
from iocaudit.signals.signal import signal_of
from tests.support.detection_samples import PLACE, seen

ALLOW = {"authorization.k8s.io/decision": "allow"}


def event(user: str, verb: str = "get", resource: str = "", code: int = 200, **more: Any) -> dict[str, Any]:
    whole, _, subresource = resource.partition("/")
    ref = {"resource": whole, "subresource": subresource, "namespace": "shop", "name": "x"} if resource else {}
    return {"verb": verb, "user": {"username": user}, "objectRef": ref, "responseStatus": {"code": code}, **more}


def severities(raw: dict[str, Any]) -> dict[str, Severity]:
    return {one.rule: one.severity for one in Detector().take(signal_of(read_event(raw, PLACE, "native")))}


@pytest.mark.parametrize(
    "raw",
    [
        event("system:anonymous", requestURI="/healthz", sourceIPs=["10.0.0.1"]),
        event("system:anonymous", requestURI="/readyz/etcd?verbose", sourceIPs=["192.168.1.1"]),
        event("system:anonymous", requestURI="/version", sourceIPs=["10.0.0.1"]),
        event("system:anonymous", requestURI="/openid/v1/jwks", sourceIPs=["10.0.0.1"]),
        event("system:node:worker-1", "create", "serviceaccounts/token", 201, userAgent="kubelet/v1.36"),
        event("system:serviceaccount:shop:web", "list", "pods", userAgent="web/v1 kubernetes/$Format"),
        event("system:serviceaccount:shop:web", "create", "serviceaccounts/token", 403, userAgent="web/v1"),
        event("alice", "list", "pods", userAgent="kubectl/v1.36"),
        event("alice", "get", requestURI="/apis", userAgent="kubectl/v1.36"),
        event("alice", "create", "selfsubjectaccessreviews", 201, userAgent="portal/v2.1"),
        event("system:serviceaccount:kube-system:generic-garbage-collector", "delete", "events"),
        event("system:kube-scheduler", "update", "leases", sourceIPs=["10.0.0.1"]),
        event("eks:addon-manager", "get", "deployments", sourceIPs=["35.163.244.48"]),
        event("system:kube-controller-manager", "get", "pods", impersonatedUser={"username": "x"}),
    ],
)
def test_what_goes_on_all_day_is_quiet(raw: dict[str, Any]) -> None:
    assert [rule for rule in seen(raw) if rule != "creation-refused" and not rule.startswith("sensitive")] == []


def test_cluster_info_is_public_on_purpose() -> None:
    ref = {"resource": "configmaps", "namespace": "kube-public", "name": "cluster-info"}
    assert seen(event("system:anonymous", annotations=ALLOW) | {"objectRef": ref}) == []


def test_a_write_of_nobody_is_critical() -> None:
    assert (
        severities(event("system:anonymous", "create", "pods", 201))["anonymous-request-allowed"] is Severity.CRITICAL
    )


def test_impersonation_of_an_administrator_is_high_and_of_a_gateway_low() -> None:
    admin = {"username": "x", "groups": ["system:masters"]}
    assert severities(event("alice", impersonatedUser=admin))["impersonation"] is Severity.HIGH
    gateway = event("system:serviceaccount:gateway:proxy", impersonatedUser={"username": "bob"})
    assert severities(gateway)["impersonation"] is Severity.LOW
    assert "impersonation" not in severities(event("alice", code=403, impersonatedUser=admin))


def test_a_token_of_the_account_itself_is_quiet() -> None:
    raw = event("system:serviceaccount:shop:x", "create", "serviceaccounts/token", 201)
    assert seen(raw) == []
    assert severities(event("alice", "create", "serviceaccounts/token", 201))["token-minted"] is Severity.MEDIUM


def test_two_address_families_are_one_pod() -> None:
    user = {
        "username": "system:serviceaccount:shop:web",
        "extra": {"authentication.kubernetes.io/credential-id": ["J"]},
    }
    one, six, other = (
        {**event("", "list", "endpoints"), "user": user, "sourceIPs": [address]}
        for address in ("10.0.0.7", "fd00::7", "10.0.9.9")
    )
    assert seen(one, six, one) == []
    assert seen(one, other) == ["token-in-two-places"]


def test_platforms_spell_extra_in_their_own_way() -> None:
    user = {"username": "system:serviceaccount:shop:web"}
    flat = {**user, "extra": {"authentication_kubernetes_io_slash_credential-id": ["J"]}}
    one = {**event("", "list", "endpoints"), "user": flat, "sourceIPs": ["10.0.0.7"]}
    assert seen(one, {**one, "sourceIPs": ["10.0.9.9"]}) == ["token-in-two-places"]
