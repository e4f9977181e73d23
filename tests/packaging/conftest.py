"""The image's layers, made once for all tests."""

import pytest

from tests.packaging.dockerfile import Stage, build
from tests.packaging.root import go_root, python_root


@pytest.fixture(scope="session")
def stages(tmp_path_factory: pytest.TempPathFactory) -> list[Stage]:
    folder = tmp_path_factory.mktemp("image")
    return build({"python": python_root(folder / "python"), "golang": go_root(folder / "golang")}, folder)


@pytest.fixture(scope="session")
def image(stages: list[Stage]) -> Stage:
    return stages[-1]
