"""Probes and hooks: hosts that they call, commands that they run."""

import pytest

from tests.support.auditing import container, evidence, judge, pod


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
