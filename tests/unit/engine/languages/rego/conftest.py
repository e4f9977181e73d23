"""The real program, and an evaluator on top of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from iocaudit.engine.languages.rego.evaluator import RegoEvaluator
from iocaudit.engine.languages.rego.preparer import Preparer
from iocaudit.engine.languages.rego.service import OpaKeeper
from iocaudit.engine.languages.rego.setup import embedded
from iocaudit.engine.languages.sources import Engine
from tests.support.engines import engine_program, stock_opa_program
from tests.support.remote_opa import RemoteFiles, remote_opa


@pytest.fixture(scope="session")
def opa_program() -> Path:
    return engine_program(Engine.OPA)


@pytest.fixture(scope="session")
def preparer(opa_program: Path) -> Preparer:
    return Preparer(opa_program)


@pytest.fixture(scope="module")
def evaluator(opa_program: Path, preparer: Preparer) -> Iterator[RegoEvaluator]:
    made = embedded(OpaKeeper(opa_program), preparer)
    yield made
    made.close()


@pytest.fixture(scope="session")
def stock_opa(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """OPA as others build it, with all that it has."""
    return stock_opa_program(tmp_path_factory.mktemp("stock"))


@pytest.fixture(scope="module")
def remote_files(opa_program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RemoteFiles]:
    with remote_opa(opa_program, tmp_path_factory.mktemp("remote")) as files:
        yield files
