"""Fixtures on a real control plane. Where it can't be had, the tests fail: a skipped test proves nothing."""

import secrets
import time
from collections.abc import Callable, Iterator

import pytest

from devcluster.controlplane import ControlPlane


@pytest.fixture(scope="session")
def control_plane() -> Iterator[ControlPlane]:
    """One for the whole run. A test that stops the API or registers webhooks for all takes its own."""
    with ControlPlane() as cluster:
        yield cluster


@pytest.fixture
def new_namespace(control_plane: ControlPlane) -> Iterator[Callable[[], str]]:
    """Makes fresh namespaces whose ServiceAccount exists already; they are deleted in the background."""
    made: list[str] = []

    def make() -> str:
        name = f"test-{secrets.token_hex(4)}"
        control_plane.kubectl("create", "namespace", name)
        made.append(name)
        wait_for(
            lambda: control_plane.kubectl("get", "sa", "default", f"-n{name}", check=False).returncode == 0,
            f"the default ServiceAccount of namespace {name}",
        )
        return name

    yield make
    if made:
        control_plane.kubectl("delete", "namespace", "--wait=false", *made)


@pytest.fixture
def namespace(new_namespace: Callable[[], str]) -> str:
    """The name of a fresh namespace."""
    return new_namespace()


def wait_for(condition: Callable[[], bool], what: str, seconds: float = 20.0) -> None:
    """Poll until ``condition`` holds; fails naming what was waited for."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"waited {seconds:.0f} s for {what}")
        time.sleep(0.1)


@pytest.fixture(scope="session")
def eventually() -> Callable[..., None]:
    """``wait_for`` as a fixture: ``eventually(condition, what, seconds=20)``."""
    return wait_for
