"""Only a few failed tests of a run that came to its end are repeated, and only a pass clears them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import again

CONFTEST = """
import pytest
from tests.support.again import EXIT_STATUS
def pytest_sessionfinish(session, exitstatus):
    session.config.cache.set(EXIT_STATUS, int(exitstatus))
"""

ONCE = """
from pathlib import Path

def test_a():
    met = Path("met").exists()
    Path("met").touch()
    assert met
"""


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "tests/unit").mkdir(parents=True)
    (tmp_path / "conftest.py").write_text(CONFTEST)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))
    return tmp_path


def run(repository: Path, text: str) -> None:
    (repository / "tests/unit/test_it.py").write_text(text)
    command = [sys.executable, "-m", "pytest", "-q", "-o", "cache_dir=.pytest_cache/unit", "tests/unit"]
    subprocess.run(command, check=False, capture_output=True)


def test_what_passes_alone_is_named(repository: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run(repository, ONCE)
    assert again.main(["unit"]) == 0
    assert "unstable: failed, then passed when run alone: tests/unit/test_it.py::test_a" in capfd.readouterr().err


def test_what_fails_again_fails(repository: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run(repository, "def test_a():\n    assert False\n\ndef test_b():\n    pass\n")
    assert again.main(["unit"]) == 1
    assert "unit: failed again" in capfd.readouterr().err


def test_a_part_that_passed_is_not_run_again(repository: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run(repository, "def test_a():\n    pass\n")
    (repository / "tests/unit/test_it.py").write_text("def test_a():\n    assert False\n")
    assert again.main(["unit"]) == 0
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("import nothing_such\n", "the run ended with status 2, not with failed tests"),
        ("import os\n\ndef test_a():\n    os._exit(1)\n", "the run did not come to its end"),
        (
            "import pytest\n\n@pytest.mark.parametrize('n', range(7))\ndef test_a(n):\n    assert False\n",
            "7 tests failed, more than the 6 that are repeated",
        ),
    ],
)
def test_what_is_no_accident_is_not_repeated(
    repository: Path, capfd: pytest.CaptureFixture[str], text: str, reason: str
) -> None:
    run(repository, text)
    assert again.main(["unit"]) == 1
    assert f"unit: {reason}" in capfd.readouterr().err


def test_a_part_that_never_ran_fails(repository: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert again.main(["unit"]) == 1
    assert "unit: the run did not come to its end" in capfd.readouterr().err


def test_a_damaged_cache_fails(repository: Path) -> None:
    status = repository / ".pytest_cache/unit/v" / again.EXIT_STATUS
    status.parent.mkdir(parents=True)
    status.write_text(json.dumps(0)[:0])
    assert again.main(["unit"]) == 1
