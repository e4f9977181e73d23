"""Alerts of Falco, as it and falcosidekick send them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iocaudit.signals.audit_event import LinePlace
from iocaudit.signals.falco import PRIORITIES, FalcoAlert, is_falco, read_alert
from tests.support.detection_samples import ANYTHING

PLACE = LinePlace("x", 1)
DIRECT: dict[str, Any] = {
    "hostname": "worker-1",
    "output": "10:00:00.1: Notice A shell",
    "priority": "Notice",
    "rule": "Terminal shell in container",
    "source": "syscall",
    "tags": ["container", "shell"],
    "time": "2026-11-30T10:00:00.123456789Z",
    "output_fields": {"proc.name": "bash", "proc.tty": 34816, "k8s.ns.name": "shop", "fd.name": None},
}
SIDEKICK = {**DIRECT, "uuid": "1-2-3", "source": "syscalls", "tags": ["shell", "container"]}


def read(raw: dict[str, Any]) -> FalcoAlert:
    return read_alert(raw, PLACE)


def test_an_alert_is_read_whole() -> None:
    one = read(DIRECT)
    assert (one.rule, one.priority, one.source, one.hostname) == (DIRECT["rule"], "notice", "syscall", "worker-1")
    assert (one.field("proc.tty"), one.field("fd.name"), one.field("absent")) == ("34816", "", "")
    assert one.when is not None
    assert one.when.microsecond == 123456


def test_through_falcosidekick_it_is_the_same_alert() -> None:
    assert is_falco(SIDEKICK)
    assert read(SIDEKICK) == read(DIRECT)


def test_a_copy_that_was_cut_is_the_same_alert() -> None:
    long = {**DIRECT, "output_fields": {**DIRECT["output_fields"], "proc.cmdline": "x" * 600}}
    cut = {**DIRECT, "output_fields": {**DIRECT["output_fields"], "proc.cmdline": "x" * 507 + "[...]"}}
    assert read(long).identity == read(cut).identity
    assert read(cut).is_cut("proc.cmdline")


@pytest.mark.parametrize(("given", "meant"), [("Info", "informational"), ("CRITICAL", "critical"), ("loud", "")])
def test_priorities_in_any_spelling(given: str, meant: str) -> None:
    assert read({**DIRECT, "priority": given}).priority == meant


def test_another_time_is_another_alert() -> None:
    assert read({**DIRECT, "time": "2026-11-30T10:00:01Z"}).identity != read(DIRECT).identity


def test_what_is_not_an_alert() -> None:
    assert not is_falco({"rule": "x"})
    assert not is_falco({"rule": 5, "output_fields": {}})
    assert not is_falco({"kind": "Event", "verb": "get"})


@given(st.fixed_dictionaries({"rule": st.text()}, optional={name: ANYTHING for name in DIRECT if name != "rule"}))
def test_hostile_alerts_are_read(raw: dict[str, Any]) -> None:
    one = read(raw)
    assert one.priority in ("", *PRIORITIES)
    assert all(isinstance(value, str) for value in one.fields.values())
    assert read(raw).identity == one.identity
