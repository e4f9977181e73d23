"""The worst findings of a cluster, from what is stored there."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest import mock

import pytest

from iocaudit.cli.top_command import age
from iocaudit.cluster.client import Client
from iocaudit.cluster.errors import ForbiddenError, UnreachableError
from iocaudit.records.kinds import CLUSTER_AUDIT_REPORT, CLUSTER_IOC_FINDING, IOC_FINDING
from tests.support.api import FakeApi
from tests.support.running import run

RANKS = {"critical": 1, "high": 2, "medium": 3, "low": 4}


def finding(severity: str, check: str, target: str, state: str = "Open", **more: Any) -> dict[str, Any]:
    return {
        "finding": {
            "check": check, "severity": severity, "rank": RANKS[severity], "ioc": "3", "iocs": [3], "target": target,
            "state": state, "type": "posture", "message": f"{target} is bad", "hitCount": 1,
            "firstSeen": "2026-01-01T00:00:00Z", "subject": {"kind": "Pod", "name": "a"}, **more,
        }
    }  # fmt: skip


@pytest.fixture
def api() -> FakeApi:
    found = FakeApi(page=2)
    put = found.put
    put(IOC_FINDING, "a", "shop", **finding("high", "host-pid", "Deployment/web", hitCount=2))
    put(IOC_FINDING, "b", "shop", **finding("critical", "privileged-container", "Pod/miner"))
    put(IOC_FINDING, "c", "shop", **finding("medium", "no-rate-limit", "Ingress/web"))
    put(IOC_FINDING, "d", "shop", **finding("critical", "host-pid", "Pod/fixed", "Resolved", resolvedAt="x"))
    put(IOC_FINDING, "e", "pay", **finding("high", "host-ipc", "Pod/old", firstSeen="2025-01-01T00:00:00Z"))
    put(IOC_FINDING, "f", "pay", **finding("high", "host-ipc", "Pod/waived", "Waived"))
    put(IOC_FINDING, "g", "pay", **finding("critical", "privileged-container", "Pod/tried", "Denied", count=7))
    put(CLUSTER_IOC_FINDING, "h", **finding("critical", "cluster-admin-binding", "ClusterRoleBinding/all"))
    return found


def top(api: FakeApi, *arguments: str) -> tuple[int, str, str]:
    with mock.patch.object(Client, "connect", return_value=api):
        return run("top", *arguments)


def targets(api: FakeApi, *arguments: str) -> list[str]:
    code, out, error = top(api, "-ojson", *arguments)
    assert (code, error) == (0, "")
    return [one["target"] for one in json.loads(out)["findings"]]


def test_the_worst_come_first_then_the_most_hits_then_the_oldest(api: FakeApi) -> None:
    order = ["Pod/tried", "ClusterRoleBinding/all", "Pod/miner", "Deployment/web", "Pod/old", "Ingress/web"]
    assert targets(api) == order
    assert targets(api, "--limit", "3") == order[:3]
    assert not api.writes


def test_it_narrows(api: FakeApi) -> None:
    assert targets(api, "-nshop", "--severity", "high") == ["Pod/miner", "Deployment/web"]
    assert targets(api, "--state", "Waived", "--state", "Resolved") == ["Pod/fixed", "Pod/waived"]
    assert targets(api, "--check", "host-ipc") == ["Pod/old"]


def test_the_table_says_what_where_in_which_state_and_since_when(api: FakeApi) -> None:
    code, out, _ = top(api, "--limit", "2", "-owide")
    assert code == 0
    lines = out.splitlines()
    assert lines[0].split() == [
        "SEVERITY", "CHECK", "IOC", "NAMESPACE", "TARGET", "STATE", "SINCE", "COUNT", "MESSAGE",
    ]  # fmt: skip
    words = lines[1].split()
    assert words[:6] == ["critical", "privileged-container", "3", "pay", "Pod/tried", "Denied"]
    assert words[6].endswith("d")
    assert words[7:] == ["7", "Pod/tried", "is", "bad"]
    assert lines[3] == "4 more (--all shows them)"
    assert "MESSAGE" not in top(api)[1]
    assert "more" not in top(api, "--all")[1]
    assert top(api, "--check", "other")[1] == "no findings\n"


def test_what_stands_in_a_finding_cannot_move_the_cursor(api: FakeApi) -> None:
    api.put(IOC_FINDING, "x", "shop", **finding("critical", "host-pid", "Pod/\x1b[2J", hitCount=99))
    out = top(api)[1]
    assert "\x1b" not in out
    assert "\\u001b[2J" in out


def test_what_may_not_be_read_is_said_and_the_rest_is_shown(api: FakeApi) -> None:
    def before(_method: str, path: str) -> None:
        if "clusteriocfindings" in path:
            raise ForbiddenError(f"GET {path}", 403, "Forbidden", "may not")

    api.before = before
    code, out, error = top(api, "-ojson")
    assert code == 3
    assert [one["target"] for one in json.loads(out)["findings"]][:2] == ["Pod/tried", "Pod/miner"]
    assert json.loads(out)["notRead"][0].startswith("clusteriocfindings: ")
    assert error.startswith("not read: clusteriocfindings: ")


def test_an_api_server_that_does_not_answer_is_2() -> None:
    api = FakeApi()

    def before(_method: str, path: str) -> None:
        raise UnreachableError(f"GET {path}: it does not answer")

    api.before = before
    code, out, error = top(api)
    assert (code, out) == (2, "")
    assert "does not answer" in error


@pytest.mark.parametrize(
    ("ago", "said"),
    [
        (timedelta(seconds=-5), "0s"),
        (timedelta(seconds=119), "119s"),
        (timedelta(minutes=2), "2m"),
        (timedelta(hours=2), "2h"),
        (timedelta(hours=47), "47h"),
        (timedelta(days=3), "3d"),
    ],
)
def test_age(ago: timedelta, said: str) -> None:
    now = datetime(2026, 5, 1, tzinfo=UTC)
    assert age((now - ago).isoformat().replace("+00:00", "Z"), now) == said


@pytest.mark.parametrize("since", ["", "yesterday", "2026-05-01T00:00:00"])
def test_a_time_that_cannot_be_read_is_left_empty(since: str) -> None:
    assert age(since, datetime(2026, 5, 1, tzinfo=UTC)) == ""


@pytest.mark.parametrize(
    ("enforcement", "said"),
    [
        ("nothing is denied anywhere (preset warn)", "nothing is denied anywhere (preset warn)\n"),
        ("something is denied in namespace shop", ""),
    ],
)
def test_it_says_in_one_line_where_nothing_is_denied(api: FakeApi, enforcement: str, said: str) -> None:
    api.put(CLUSTER_AUDIT_REPORT, "iocaudit", report={"enforcement": enforcement})
    code, out, _ = top(api)
    assert (code, out.count("denied")) == (0, said.count("denied"))
    assert out.endswith(said)
    assert json.loads(top(api, "-ojson")[1])["enforcement"] == enforcement
