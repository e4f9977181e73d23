"""Secrets: readers that are expected, and those that are not."""

from typing import Any

import pytest

from iocaudit.core.severity import Severity
from iocaudit.signals.audit_event import read_event
from iocaudit.signals.detector import Detector
from iocaudit.signals.indicators.secrets import is_helms
from iocaudit.signals.signal import signal_of
from tests.support.detection_samples import PLACE, seen


def secret(verb: str, user: str = "alice", name: str = "db", namespace: str = "shop", **more: Any) -> dict[str, Any]:
    return {
        "verb": verb,
        "user": {"username": user},
        "userAgent": "kubectl/v1.36" if user == "alice" else "app/v1 kubernetes/$Format",
        "objectRef": {"resource": "secrets", "namespace": namespace, "name": name},
        "responseStatus": {"code": 200},
        **more,
    }


def severities(raw: dict[str, Any]) -> dict[str, Severity]:
    return {one.rule: one.severity for one in Detector().take(signal_of(read_event(raw, PLACE, "native")))}


@pytest.mark.parametrize(
    "raw",
    [
        secret("get", "system:node:worker-1"),
        secret("list", "system:kube-controller-manager"),
        secret("list", "system:serviceaccount:kube-system:expand-controller"),
        secret("watch", "system:serviceaccount:ingress:controller"),
        secret("update", "system:serviceaccount:cert:manager"),
        secret("get", name="sh.helm.release.v1.web.v3"),
        secret("list", name="", requestURI="/api/v1/namespaces/shop/secrets?labelSelector=name%3Dweb%2Cowner%3Dhelm"),
        secret("create", name="sh.helm.release.v1.web.v4"),
    ],
)
def test_expected_readers_are_quiet(raw: dict[str, Any]) -> None:
    assert seen(raw) == []


def test_a_list_of_all_by_a_person_is_medium() -> None:
    assert severities(secret("list", name="", namespace="")) == {"secrets-listed": Severity.MEDIUM}
    assert severities(secret("list", name="")) == {"secrets-listed": Severity.LOW}
    program = secret("list", "system:serviceaccount:ingress:controller", name="", namespace="")
    assert severities(program) == {"secrets-listed": Severity.LOW}


def test_a_token_that_never_ends_is_medium() -> None:
    raw = secret("create", requestObject={"type": "kubernetes.io/service-account-token"})
    assert severities(raw) == {"secret-changed": Severity.MEDIUM}
    strange = secret("update", "system:serviceaccount:shop:web", namespace="kube-system")
    assert severities(strange) == {"secret-changed": Severity.MEDIUM}


def test_a_program_may_read_more_than_a_person() -> None:
    program = [secret("get", "system:serviceaccount:argo:controller", name=f"s-{n}") for n in range(24)]
    assert "secrets-read-in-burst" not in seen(*program)
    assert "secrets-read-in-burst" in seen(
        *[secret("get", name=f"s-{n}", stageTimestamp="2026-11-30T10:00:00Z") for n in range(5)]
    )


def test_helms_records_are_told_by_name_and_by_label() -> None:
    def helms(uri: str) -> bool:
        return is_helms(read_event(secret("list", name="", requestURI=uri), PLACE, "native"))

    assert helms("/api/v1/secrets?labelSelector=owner%3Dhelm")
    assert not helms("/api/v1/secrets?labelSelector=owner%3Dhelmet")
    assert not helms("/api/v1/secrets?owner=helm")
