"""Certificates for servers on loopback."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from iocaudit.serving.authority import KeyPair, issue_ca, issue_leaf
from tests.support.loopback import NAMES, NOW, write_pair


@pytest.fixture(scope="session")
def ca() -> KeyPair:
    return issue_ca(NOW, timedelta(days=10))


@pytest.fixture(scope="session")
def new_leaf(ca: KeyPair) -> Callable[[], KeyPair]:
    return lambda: issue_leaf(ca, NAMES, NOW, timedelta(days=1))


@pytest.fixture
def folder(tmp_path: Path, new_leaf: Callable[[], KeyPair], ca: KeyPair) -> Path:
    """A folder with tls.crt, tls.key and ca.crt."""
    write_pair(tmp_path, new_leaf())
    (tmp_path / "ca.crt").write_bytes(ca.certificate_pem)
    return tmp_path
