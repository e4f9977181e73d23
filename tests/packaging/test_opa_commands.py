"""OPA's own commands in ``iocaudit-opa``: none of them calls anybody, and none of them breaks for it."""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from iocaudit.engine.languages.sources import Engine
from tests.support.engines import engine_program


@pytest.fixture(scope="module")
def opa_program() -> Path:
    return engine_program(Engine.OPA)


MODULE = "package a\n\nx := 1\n"


@pytest.fixture
def listener() -> Iterator[tuple[str, list[str]]]:
    """A URL that would answer, and who called it."""
    called: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, address = server.accept()
                    called.append(str(address))
                    connection.close()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}", called
        server.shutdown(socket.SHUT_RDWR)
        thread.join(10)


def environment(url: str) -> dict[str, str]:
    """One that would lead everything there."""
    proxies = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), url)
    return {"OPA_VERSION_CHECK_SERVICE_URL": url, "OTEL_EXPORTER_OTLP_ENDPOINT": url, "HOME": "/nonexistent", **proxies}


def serves(command: list[str], variables: dict[str, str], until: str = "Initializing server.") -> str:
    """Start a server, wait until it says something, have it answer if it can, and end it; what it wrote."""
    with subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        assert process.stdout is not None
        said = b""
        end = time.monotonic() + 120
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while until.encode() not in said and process.poll() is None and time.monotonic() < end:
                if selector.select(1):
                    said += os.read(process.stdout.fileno(), 65_536)
        assert until in said.decode(), said.decode()
        port = next((one.rpartition(":")[2] for one in command if one.startswith("--addr=")), "0")
        if port != "0":
            _await_health(f"http://127.0.0.1:{port}/health", end)
        time.sleep(0.5)  # in which it would call
        process.terminate()
        process.wait(60)
        return (said + process.stdout.read()).decode()


def _await_health(url: str, end: float) -> None:
    while True:
        try:
            with urllib.request.urlopen(url, timeout=60) as answer:
                assert answer.status == 200
            return
        except OSError:
            assert time.monotonic() < end
            time.sleep(0.05)


@pytest.mark.parametrize(
    "more",
    [
        [],
        ["--skip-version-check=false"],
        ["--set=decision_logs.console=true", "--set=labels.services=x", "--set=default_decision=/services/x"],
    ],
)
def test_a_server_asks_nobody_for_newer_versions(
    opa_program: Path, listener: tuple[str, list[str]], more: list[str]
) -> None:
    url, called = listener
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    said = serves([str(opa_program), "run", "--server", f"--addr=127.0.0.1:{port}", *more], environment(url))
    assert "panic" not in said
    assert called == []


def test_a_server_fetches_no_bundle(opa_program: Path, listener: tuple[str, list[str]]) -> None:
    url, called = listener
    command = [str(opa_program), "run", "--server", "--addr=127.0.0.1:0", f"{url}/b.tar.gz"]
    said = serves(command, environment(url), "is outside of what a rule may reach")
    assert "panic" not in said
    assert called == []


REACHING = {
    "services": "services: {x: {url: URL}}\nbundles: {x: {service: x, resource: b}}\n",
    "discovery": "discovery: {service: x}\n",
    "distributed_tracing": '{"distributed_tracing": {"type": "grpc", "address": "URL"}}',
    "metrics_export": "metrics_export:\n  type: http\n",
}


@pytest.mark.parametrize("command", [("run", "--server", "--addr=127.0.0.1:0"), ("exec", "--decision=a/x")])
@pytest.mark.parametrize("key", REACHING)
def test_a_configuration_that_calls_others_is_refused_by_its_key(
    opa_program: Path, listener: tuple[str, list[str]], tmp_path: Path, command: tuple[str, ...], key: str
) -> None:
    url, called = listener
    file = tmp_path / "opa.yaml"
    file.write_text(REACHING[key].replace("URL", url), encoding="utf-8")
    (tmp_path / "value").write_text(url, encoding="utf-8")
    ways = {
        str(file): ["--config-file", str(file)],
        "--set": ["--set", f"labels.a=b,{key}.x.url={url}"],
        "--set-file": ["--set-file", f"{key}.x.url={tmp_path / 'value'}"],
    }
    for where, how in ways.items():
        done = subprocess.run(
            [str(opa_program), *command, *how], env=environment(url), capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 1
        assert f'{where}: "{key}" calls others, and iocaudit-opa reaches nothing outside' in done.stderr
        assert "Usage" not in done.stdout + done.stderr
    done = subprocess.run(
        [str(opa_program), *command],
        env={**environment(url), f"OPA_{command[0].upper()}_CONFIG_FILE": str(file)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert f'"{key}" calls others' in done.stderr
    assert called == []


def test_a_configuration_may_not_change_behind_the_check(opa_program: Path, tmp_path: Path) -> None:
    file = tmp_path / "opa.yaml"
    file.write_text("{}", encoding="utf-8")
    command = [str(opa_program), "run", "--server", "--config-file", str(file), "--watch-config"]
    done = subprocess.run(command, env={}, capture_output=True, text=True, timeout=120)
    assert (done.returncode, "--watch-config" in done.stderr) == (1, True)


@pytest.mark.parametrize(
    "arguments",
    [
        ["eval", "--bundle", "URL/b.tar.gz", "data.a.x"],
        ["eval", "--data", "URL/a.rego", "data.a.x"],
        ["eval", "--schema", "URL/schema.json", "data.a.x"],
        ["check", "URL/a.rego"],
        ["build", "--output", "OUT", "URL/b.tar.gz"],
        ["build", "--output", "OUT", "--bundle", "URL/b.tar.gz"],
        ["inspect", "URL/b.tar.gz"],
        ["test", "URL/b.tar.gz"],
        ["bench", "--bundle", "URL/b.tar.gz", "data.a.x"],
        ["bench", "--e2e", "--count=1", "data.a.x"],
        ["exec", "--bundle", "URL/b.tar.gz", "--decision=a/x", "FILE"],
    ],
    ids=" ".join,
)
def test_what_is_elsewhere_is_an_error_and_not_fetched(
    opa_program: Path, listener: tuple[str, list[str]], tmp_path: Path, arguments: list[str]
) -> None:
    url, called = listener
    file = tmp_path / "a.json"
    file.write_text("{}", encoding="utf-8")
    places = {"URL": url, "OUT": str(tmp_path / "out.tar.gz"), "FILE": str(file)}
    for name, place in places.items():
        arguments = [one.replace(name, place) for one in arguments]
    done = subprocess.run(
        [str(opa_program), *arguments], env=environment(url), cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode != 0, done.stdout
    said = done.stdout + done.stderr
    assert "panic" not in said
    assert "goroutine" not in said
    assert called == []
    assert said.strip()


def test_what_computes_goes_on(opa_program: Path, tmp_path: Path) -> None:
    (tmp_path / "a.rego").write_text(MODULE, encoding="utf-8")
    for command in ("check a.rego", "eval -d a.rego data.a.x", "build a.rego", "test a.rego"):
        done = subprocess.run(
            [str(opa_program), *command.split()], env={}, cwd=tmp_path, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
