"""Sysctls: both spellings, the safe list by version, policies, injection."""

from typing import Any

import pytest

from iocaudit.core.severity import Severity
from tests.support.auditing import Json, evidence, judge, pod


def with_sysctl(name: str, value: str = "1") -> Json:
    return pod(securityContext={"sysctls": [{"name": name, "value": value}]})


@pytest.mark.parametrize(
    ("name", "parameters", "hits"),
    [
        ("kernel.msgmax", {}, 1),
        ("net.ipv4.tcp_syncookies", {}, 0),
        ("net/ipv4/tcp_syncookies", {}, 0),
        ("net.ipv4/tcp_syncookies", {}, 1),
        ("net.ipv4.tcp_rmem", {}, 0),
        ("net.ipv4.tcp_rmem", {"pssVersion": "v1.31"}, 1),
        ("net.ipv4.tcp_rmem", {"pssVersion": "1.32"}, 0),
        ("kernel.msgmax", {"allowed": ["kernel.msg*"]}, 0),
        ("net.ipv4.tcp_syncookies", {"allowed": ["kernel.msg*"]}, 1),
        ("net.ipv4.tcp_syncookies", {"allowed": []}, 1),
        ("net.core.somaxconn", {"forbidden": ["kernel.*"]}, 0),
        ("kernel.msgmax", {"forbidden": ["kernel.*"], "allowed": ["*"]}, 1),
        ("kernel/msgmax", {"forbidden": ["kernel.*"]}, 1),
    ],
)
def test_names(name: str, parameters: dict[str, Any], hits: int) -> None:
    assert len(judge("unsafe-sysctl", with_sysctl(name), parameters=parameters)) == hits


@pytest.mark.parametrize("value", ["1+kernel.core_pattern=|/x", "1=2"])
def test_a_value_that_injects_is_critical_even_on_a_safe_name(value: str) -> None:
    (found,) = judge("unsafe-sysctl", with_sysctl("net.ipv4.tcp_syncookies", value))
    assert found.severity is Severity.CRITICAL


def test_annotations_of_old_clusters() -> None:
    annotations = {"security.alpha.kubernetes.io/unsafe-sysctls": "kernel.msgmax=1,net.ipv4.tcp_syncookies=1"}
    assert evidence(judge("unsafe-sysctl", pod(metadata={"annotations": annotations}))) == ["kernel.msgmax"]
