"""A real OPA as a child: what it lets whom do, what a rule reaches, starved and impersonated."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from iocaudit.engine.deadline import Deadline
from iocaudit.engine.languages.evaluator import EngineError
from iocaudit.engine.languages.rego.service import OpaAddress, OpaKeeper
from iocaudit.engine.languages.sources import Engine
from tests.support.engines import engine_program

PATIENT = 120.0
"""Seconds after which what is waited for will not come: the machine may be busy."""


@pytest.fixture(scope="module")
def program() -> Path:
    return engine_program(Engine.OPA)


@pytest.fixture
def child(program: Path) -> Iterator[OpaKeeper]:
    child = OpaKeeper(program)
    yield child
    child.close()


def said(address: OpaAddress, method: str, path: str, body: Any = None, token: str | None = None) -> tuple[int, Any]:
    """Status and JSON of an answer. ``body`` is text, or becomes JSON."""
    connection = http.client.HTTPConnection(address.url.removeprefix("http://"), timeout=PATIENT)
    headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
    text = body if isinstance(body, str) or body is None else json.dumps(body)
    connection.request(method, path, text, headers)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, json.loads(content) if content else None


def pid_of(address: OpaAddress) -> int:
    """The process that listens there."""
    port = f":{int(address.url.rpartition(':')[2]):04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text("ascii").splitlines()[1:]]
    (inode,) = [row[9] for row in rows if row[1].endswith(port) and row[3] == "0A"]
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if any(os.readlink(one) == f"socket:[{inode}]" for one in (process / "fd").iterdir()):
                return int(process.name)
        except OSError:
            continue
    raise AssertionError(f"nobody listens at {address.url}")


def until(what: Callable[[], Any]) -> Any:
    end = time.monotonic() + PATIENT
    while not (found := what()):
        assert time.monotonic() < end
        time.sleep(0.02)
    return found


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


# -- what it is -------------------------------------------------------------------------------------------------


def test_it_answers_its_own_tokens_alone(child: OpaKeeper) -> None:
    address = child.start().address
    module = "package shop\n\ndeny contains input.message"
    assert said(address, "PUT", "/v1/policies/shop", module, address.load_token)[0] == 200
    question = {"input": {"message": "bad"}}
    assert said(address, "POST", "/v1/data/shop/deny", question, address.ask_token) == (200, {"result": ["bad"]})
    query = {"query": "data.shop.deny[x]", "input": {"message": "bad"}}
    assert said(address, "POST", "/v1/query", query, address.ask_token) == (200, {"result": [{"x": "bad"}]})
    assert said(address, "PUT", "/v1/data/shop/seen", {"a": 1}, address.load_token)[0] == 204
    patch = [{"op": "add", "path": "b", "value": 2}]
    assert said(address, "PATCH", "/v1/data/shop/seen", patch, address.load_token)[0] == 204
    assert said(address, "DELETE", "/v1/policies/shop", None, address.load_token)[0] == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/v1/policies/shop"),
        ("DELETE", "/v1/policies/shop"),
        ("PUT", "/v1/data/shop"),
        ("PATCH", "/v1/data/shop"),
        ("DELETE", "/v1/data/shop"),
        ("GET", "/v1/policies"),
        ("GET", "/v1/data"),
        ("GET", "/v1/config"),
        ("GET", "/v1/status"),
        ("GET", "/metrics"),
        ("POST", "/v1/data/../policies/shop"),
        ("POST", "/v1/compile"),
        ("POST", "/v0/data/shop"),
        ("POST", "/"),
        ("POST", "/iocaudit/alive"),
    ],
)
def test_the_token_that_asks_can_do_nothing_else(child: OpaKeeper, method: str, path: str) -> None:
    address = child.start().address
    said(address, "PUT", "/v1/policies/shop", "package shop", address.load_token)
    assert said(address, method, path, "{}", address.ask_token)[0] == 403
    assert said(address, method, path, "{}")[0] == 401
    assert said(address, method, path, "{}", "0" * 64)[0] == 401
    assert said(address, "GET", "/v1/policies/shop", None, address.load_token)[0] == 200


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/v1/data/shop"), ("POST", "/v1/query"), ("POST", "/v1/data"), ("GET", "/v1/config")]
)
def test_the_token_that_loads_cannot_ask(child: OpaKeeper, method: str, path: str) -> None:
    address = child.start().address
    assert said(address, method, path, "{}", address.load_token)[0] == 403


def test_a_module_cannot_let_others_in(child: OpaKeeper) -> None:
    address = child.start().address
    module = "package system.authz\n\ndefault allow := true"
    assert said(address, "PUT", "/v1/policies/authz", module, address.load_token)[0] == 200
    assert said(address, "POST", "/v1/data/shop", "{}")[0] == 401
    assert said(address, "PUT", "/v1/policies/x", "package x", address.ask_token)[0] == 403


REACHING = [
    'http.send({"method": "get", "url": "http://127.0.0.1"})',
    'net.lookup_ip_addr("localhost")',
    "opa.runtime()",
    'json.match_schema({}, {"$ref": "file:///etc/hostname"})',
    'json.verify_schema({"$ref": "http://127.0.0.1/x"})',
]


@pytest.mark.parametrize("call", REACHING)
def test_a_rule_reaches_nothing_outside(child: OpaKeeper, call: str) -> None:
    address = child.start().address
    name = call.partition("(")[0]
    put = said(address, "PUT", "/v1/policies/x", f"package x\n\nout := {call}", address.load_token)
    assert put[0] == 400
    assert f"undefined function {name}" in json.dumps(put[1])
    asked = said(address, "POST", "/v1/query", {"query": f"out := {call}"}, address.ask_token)
    assert asked[0] == 400
    assert f"undefined function {name}" in json.dumps(asked[1])


def test_each_function_that_is_not_deterministic_was_decided_on(program: Path) -> None:
    done = subprocess.run([program, "capabilities", "--current"], capture_output=True, text=True, check=True, env={})
    builtins = json.loads(done.stdout)["builtins"]
    names = {one["name"] for one in builtins}
    assert names.isdisjoint({call.partition("(")[0] for call in REACHING})
    assert {one["name"] for one in builtins if one.get("nondeterministic")} == {
        "io.jwt.decode_verify", "io.jwt.encode_sign", "io.jwt.encode_sign_raw", "rand.intn", "time.now_ns",
        "uuid.rfc4122",
    }  # fmt: skip
    # Where one is added whose name says that it might reach out, look at it.
    assert {name for name in names if name.startswith(("http", "net.", "opa", "os", "file"))} == {
        "net.cidr_contains", "net.cidr_contains_matches", "net.cidr_expand", "net.cidr_intersects", "net.cidr_is_valid",
        "net.cidr_merge", "net.cidr_overlap",
    }  # fmt: skip


def test_the_schema_of_an_annotation_is_not_fetched(program: Path, tmp_path: Path) -> None:
    """``check`` looks at schemas, also those that name others."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        url = f"http://127.0.0.1:{server.getsockname()[1]}/x.json"
        module = tmp_path / "a.rego"
        module.write_text(
            f'# METADATA\n# schemas:\n#   - input: {{"$ref": "{url}"}}\npackage a\n\nbad if input.x\n', encoding="utf-8"
        )
        done = subprocess.run([program, "check", str(module)], capture_output=True, text=True, env={})
        with pytest.raises(TimeoutError):
            server.accept()
        assert "is outside of what a rule may reach" in done.stderr


def test_the_tokens_lie_nowhere_once_it_runs(program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    seen = tmp_path / "seen"
    # A program that notes how the files are before the real one takes its place.
    noting = tmp_path / "noting"
    noting.write_text(
        f'#!/bin/sh\n/usr/bin/stat -c "%a %s" "$3" "$5" "${{3%/*}}" > {seen}\nexec {program} "$@"\n', encoding="utf-8"
    )
    noting.chmod(0o755)
    before = os.umask(0)
    try:
        child = OpaKeeper(noting)
        address = child.start().address
    finally:
        os.umask(before)
    assert [line.split()[0] for line in seen.read_text("ascii").splitlines()] == ["600", "600", "700"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["noting", "seen"]
    arguments = Path(f"/proc/{pid_of(address)}/cmdline").read_bytes()
    assert address.ask_token.encode() not in arguments
    assert address.load_token.encode() not in arguments
    assert address.ask_token not in repr(address)
    assert address.load_token not in repr(address)
    child.close()


@pytest.mark.parametrize("mode", [0o640, 0o604])
def test_tokens_that_others_may_read_are_refused(program: Path, tmp_path: Path, mode: int) -> None:
    for name in ("load", "ask"):
        path = tmp_path / name
        path.write_text(name * 16, encoding="ascii")
        path.chmod(0o600)
    (tmp_path / "ask").chmod(mode)
    command = [str(program), "serve", f"--load-token-file={tmp_path}/load", f"--ask-token-file={tmp_path}/ask"]
    done = subprocess.run(command, input="n" * 64 + "\n", capture_output=True, text=True, env={}, timeout=PATIENT)
    assert done.returncode == 1
    assert "has to be a file of mode 0600" in done.stderr
    assert done.stdout == ""


def test_each_has_a_port_and_tokens_of_its_own(program: Path) -> None:
    children = [OpaKeeper(program) for _ in range(3)]
    addresses = [child.start().address for child in children]
    for name in ("url", "ask_token", "load_token"):
        assert len({getattr(address, name) for address in addresses}) == 3
    assert said(addresses[0], "POST", "/v1/data", "{}", addresses[1].ask_token)[0] == 401
    for child in children:
        child.close()


# -- what pretends to be it -------------------------------------------------------------------------------------


IMPOSTORS = {
    "proves nothing": """print('{"address": "127.0.0.1:1", "proof": "' + "0" * 64 + '"}')""",
    "echoes the nonce": """print('{"address": "127.0.0.1:1", "proof": "' + sys.stdin.readline().strip() + '"}')""",
    "is elsewhere": """print('{"address": "192.0.2.1:80", "proof": "x"}')""",
    "names a host": """print('{"address": "127.0.0.1:80@evil.example", "proof": "x"}')""",
    "says nothing": "",
    "says too much": "print('x' * 100000)",
    "says something else": "print('[]')",
}


@pytest.mark.parametrize("what", IMPOSTORS)
def test_an_impostor_is_refused_and_ended(tmp_path: Path, what: str) -> None:
    impostor = tmp_path / "impostor"
    impostor.write_text(
        f"#!{sys.executable}\nimport os, sys\nopen({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))\n"
        f"{IMPOSTORS[what]}\nsys.stdout.flush()\n" + ("sys.stdin.read()\n" if IMPOSTORS[what] else ""),
        encoding="utf-8",
    )
    impostor.chmod(0o755)
    child = OpaKeeper(impostor)
    with pytest.raises(EngineError, match="OPA did not start: "):
        child.start()
    assert child.service is None
    assert child.generation == 0
    assert child.reason.startswith("OPA did not start: ")
    assert gone(int((tmp_path / "pid").read_text("ascii")))


def test_what_takes_the_port_of_a_dead_one_is_not_taken_for_it(child: OpaKeeper) -> None:
    address = child.start().address
    os.kill(pid_of(address), signal.SIGSTOP)
    running = child.service
    assert running is not None
    # It listens where the child did, and is a real OPA, but another one.
    other = OpaKeeper(engine_program(Engine.OPA))
    elsewhere = other.start().address
    running.address = OpaAddress(elsewhere.url, address.ask_token, address.load_token, address.generation)
    assert running.trouble(PATIENT) == "what answers is not the program that was started"
    other.close()


# -- how it ends ------------------------------------------------------------------------------------------------


HUGE = {
    "a set": '{sprintf("%05000d", [a]) | some a in numbers.range(1, 99999)}',
    "a range": "numbers.range(1, 100000000)",
    "one string": 'replace(sprintf("%0999999d", [1]), "0", sprintf("%01000d", [1]))',
    "a long string": 'concat("", [s | some _ in numbers.range(1, 100000); s := sprintf("%010000d", [1])])',
}


@pytest.mark.parametrize("what", HUGE)
def test_a_rule_that_needs_too_much_memory_ends_it_alone(program: Path, what: str) -> None:
    child = OpaKeeper(program, memory=64 << 20)
    address = child.start().address
    pid, most = pid_of(address), 0

    def ask() -> None:
        try:
            said(address, "POST", "/v1/query", {"query": f"x := count({HUGE[what]})"}, address.ask_token)
        except (OSError, http.client.HTTPException):
            return

    asking = threading.Thread(target=ask)
    asking.start()
    while child.service is not None and asking.is_alive():
        try:
            lines = Path(f"/proc/{pid}/status").read_text("ascii").splitlines()
        except OSError:
            break
        most = max([most, *(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))])
        time.sleep(0.01)
    asking.join(PATIENT)
    until(lambda: child.service is None)
    # Half as much again as the limit, what the runtime maps, and the program itself.
    assert most < (64 * 1.5 + 128 + 45) * 1024
    assert child.ensure(Deadline.within(PATIENT)).address.generation == 2
    assert child.reason == "it needed more memory than it may have (GOMEMLIMIT 64 MiB)"
    child.close()


def test_a_query_that_nobody_waits_for_any_more_stops_alone(child: OpaKeeper) -> None:
    address = child.start().address
    pid = pid_of(address)
    connection = http.client.HTTPConnection(address.url.removeprefix("http://"), timeout=0.3)
    numbers = "numbers.range(1, 9999)"
    query = {"query": f"x := count([1 | some a in {numbers}; some b in {numbers}; a * b == 0])"}
    connection.request("POST", "/v1/query", json.dumps(query), {"Authorization": f"Bearer {address.ask_token}"})
    with pytest.raises(TimeoutError):
        connection.getresponse()
    connection.close()

    def spent() -> int:
        fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    def idle() -> bool:
        before = spent()
        time.sleep(0.3)
        return spent() - before <= 2

    until(idle)
    assert child.address == address
    assert said(address, "POST", "/v1/query", {"query": "x := 1"}, address.ask_token)[0] == 200
