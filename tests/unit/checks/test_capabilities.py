"""Capabilities that are to be dropped, and those that may be added back."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.auditing import container, evidence, judge, pod

_GRANTED = [
    "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "NET_RAW",
    "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
]  # fmt: skip


@pytest.mark.parametrize(
    ("drop", "parameters", "expected"),
    [
        ([], {}, ["ALL"]),
        (["ALL"], {}, []),
        (["all"], {}, ["ALL"]),
        (["CAP_ALL"], {}, ["ALL"]),
        (["NET_RAW"], {}, ["ALL"]),
        (_GRANTED, {}, ["ALL"]),
        (_GRANTED[1:], {}, ["ALL"]),
        (["CAP_NET_RAW"], {"requiredDrop": ["NET_RAW"]}, ["NET_RAW"]),
        (["net_raw"], {"requiredDrop": ["cap_net_raw"]}, []),
        (["all"], {"requiredDrop": ["NET_RAW"]}, []),
        (["CHOWN"], {"requiredDrop": ["NET_RAW", "CHOWN"]}, ["NET_RAW"]),
    ],
)
def test_what_must_be_dropped(drop: list[str], parameters: dict[str, object], expected: list[str]) -> None:
    subject = pod(container(securityContext={"capabilities": {"drop": drop}}))
    assert evidence(judge("capabilities-not-dropped", subject, parameters=parameters)) == expected


def test_net_raw_is_told_apart() -> None:
    (found,) = judge("capabilities-not-dropped", pod())
    assert "not even NET_RAW" in found.message
    (found,) = judge(
        "capabilities-not-dropped", pod(container(securityContext={"capabilities": {"drop": ["NET_RAW"]}}))
    )
    assert "NET_RAW" not in found.hit.message


@pytest.mark.parametrize(
    ("drop", "said"),
    [
        (["all"], "Pod Security Admission refuses it"),
        (_GRANTED, "Pod Security Admission refuses that"),
        (["CAP_ALL"], "not even NET_RAW (containerd drops nothing for CAP_ALL"),
        (["cap_net_raw"], "not even NET_RAW (containerd drops nothing for cap_net_raw"),
        (["NET_RAW", "CAP_CHOWN"], "does not drop ALL (containerd drops nothing for CAP_CHOWN"),
    ],
)
def test_what_comes_near_to_dropping_all_is_told_apart(drop: list[str], said: str) -> None:
    (found,) = judge("capabilities-not-dropped", pod(container(securityContext={"capabilities": {"drop": drop}})))
    assert said in found.hit.message


@given(
    st.lists(st.sampled_from([*_GRANTED, "ALL", "all", "All", "CAP_ALL", "SYS_TIME"]), max_size=16),
    st.sampled_from([str, str.lower, str.title, "CAP_{}".format]),
)
def test_nothing_but_all_passes_as_pod_security_admission_has_it(names: list[str], spell: Callable[[str], str]) -> None:
    drop = [spell(name) for name in names]
    found = judge("capabilities-not-dropped", pod(container(securityContext={"capabilities": {"drop": drop}})))
    assert (not found) == ("ALL" in drop)
    keeps_raw = {"NET_RAW", "ALL"}.isdisjoint(name.upper() for name in drop)
    assert all(("not even NET_RAW" in one.message) == keeps_raw for one in found)


def test_only_what_is_allowed_may_be_added_back() -> None:
    context = {"capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE", "CHOWN"]}}
    assert evidence(judge("capabilities-not-dropped", pod(container(securityContext=context)))) == ["CHOWN"]


@pytest.mark.parametrize(
    ("written", "allowed", "hits"),
    [
        ("SYS_TIME", ["cap_sys_time"], 0),
        ("sys_time", ["SYS_TIME"], 1),
        ("sys_time", ["sys_time"], 0),
        ("CAP_SYS_TIME", ["CAP_SYS_TIME"], 0),
        ("SYS_TIME", ["*"], 0),
        ("SYS_TIME", ["all"], 0),
        ("SYS_TIME", [], 1),
        ("CHOWN", [], 1),
    ],
)
def test_spellings_of_capabilities_that_may_be_added(written: str, allowed: list[str], hits: int) -> None:
    subject = pod(container(securityContext={"capabilities": {"add": [written]}}))
    assert len(judge("capability-beyond-baseline", subject, parameters={"allowed": allowed})) == hits


def test_every_spelling_of_a_capability_is_one_hit_and_many_are_judged_in_time() -> None:
    context = {"capabilities": {"add": ["sys_admin", "CAP_SYS_ADMIN", *(f"X_{number}" for number in range(20_000))]}}
    subject = pod(container(securityContext=context))
    assert evidence(judge("dangerous-capability", subject)) == ["SYS_ADMIN"]
    assert evidence(judge("capability-beyond-baseline", subject)).count("SYS_ADMIN") == 1
    assert len(judge("capabilities-not-dropped", subject)) == 20_002
