"""Capabilities kept, root filesystems, handlers, and images a policy exempts."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.checks.auditing import Json, container, evidence, judge, places, pod

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


def test_probes_and_hooks_may_name_no_host() -> None:
    subject = pod(
        container(
            livenessProbe={"httpGet": {"host": "127.0.0.1", "port": 80}},
            readinessProbe={"tcpSocket": {"host": "", "port": 80}},
            lifecycle={"preStop": {"tcpSocket": {"host": "db", "port": 1}}},
        ),
        initContainers=[container(name="side", restartPolicy="Always", startupProbe={"tcpSocket": {"host": "x"}})],
    )
    assert evidence(judge("host-probe-target", subject)) == ["x", "127.0.0.1", "db"]
    assert judge("host-probe-target", subject, parameters={"pssVersion": "v1.33"}) == []


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (["ps"], ["ps"]),
        (["/bin/ls", "/"], ["ls"]),
        (["sh", "-c", "ps aux | grep web"], ["ps"]),
        (["sh", "-c", "curl -sf http://x.example/ok"], ["curl"]),
        (["sh", "-c", 'echo "unbalanced'], []),
        (["/app/health"], []),
        (["test", "-f", "/tmp/ok"], []),
    ],
)
def test_commands_in_handlers(command: list[str], expected: list[str]) -> None:
    subject = pod(container(livenessProbe={"exec": {"command": command}}))
    assert evidence(judge("exec-in-probe", subject)) == expected


@pytest.mark.parametrize("value", [None, False, "true"])
def test_a_root_filesystem_is_read_only_or_not(value: object) -> None:
    subject = pod(container(securityContext={"readOnlyRootFilesystem": value}))
    assert places(judge("writable-root-filesystem", subject)) == [
        'spec.containers["app"].securityContext.readOnlyRootFilesystem'
    ]


def test_a_policy_exempts_images_from_any_check_on_pods() -> None:
    subject = pod(container(), container(name="tool", image="tools.example/team/debug:1"))
    found = judge("writable-root-filesystem", subject, parameters={"exemptImages": ["tools.example/"]})
    assert places(found) == ['spec.containers["app"].securityContext.readOnlyRootFilesystem']
    assert judge("writable-root-filesystem", subject, parameters={"exemptImages": ["*"]}) == []


@pytest.mark.parametrize(
    ("check", "context"),
    [
        ("seccomp-unconfined", {"seccompProfile": {"type": "Unconfined"}}),
        ("apparmor-unconfined", {"appArmorProfile": {"type": "Unconfined"}}),
        ("selinux-custom", {"seLinuxOptions": {"type": "spc_t"}}),
        ("runs-as-root", {"runAsUser": 0}),
        ("runs-as-root", {"runAsGroup": 0}),
        ("host-process-container", {"windowsOptions": {"hostProcess": True}}),
    ],
)
def test_what_a_pod_says_for_exempt_containers_alone_is_exempt_too(check: str, context: Json) -> None:
    subject = pod(securityContext=context)
    assert len(judge(check, subject)) == 1
    assert judge(check, subject, parameters={"exemptImages": ["hooli.com/"]}) == []
    assert len(judge(check, subject, parameters={"exemptImages": ["tools.example/"]})) == 1


def test_what_a_pod_says_for_itself_is_never_exempt() -> None:
    subject = pod(hostNetwork=True, securityContext={"sysctls": [{"name": "kernel.msgmax", "value": "1"}]})
    for check in ("host-network", "unsafe-sysctl"):
        assert len(judge(check, subject, parameters={"exemptImages": ["*"]})) == 1


def test_an_image_nobody_can_read_is_never_exempt() -> None:
    subject = pod(container(image="Not A Reference"))
    assert len(judge("writable-root-filesystem", subject, parameters={"exemptImages": ["*"]})) == 1
