import re
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from iocaudit.cli.policy_convert import command
from iocaudit.core.errors import IocauditError
from iocaudit.engine.languages import programs
from tests.support.cel_rules import cel_program

PAGE = Path(__file__).parents[3] / "docs" / "cel.md"
KYVERNO = re.findall(r"^```yaml\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)[3]


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """iocaudit-cel is on PATH."""
    monkeypatch.setenv("PATH", str(cel_program().parent))


def run(folder: Path, text: str, *words: str) -> Result:
    (folder / "policy.yaml").write_text(text, encoding="utf-8")
    return CliRunner().invoke(command, [str(folder / "policy.yaml"), *words], standalone_mode=False)


@pytest.mark.usefixtures("installed")
def test_it_writes_auditpolicies(tmp_path: Path) -> None:
    done = run(tmp_path, f"{KYVERNO}---\n{KYVERNO.replace('no-debug', 'other')}", "--mode", "warn")
    assert done.exception is None
    first, second = yaml.safe_load_all(done.stdout)
    assert [first["metadata"]["name"], second["metadata"]["name"]] == ["no-debug-shells", "other-shells"]
    assert first["spec"]["rules"][0]["mode"] == "warn"


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "object.spec.containers.all(",
            "resource.Get('v1', 'pods', 'a', 'b').all(",
            "undeclared reference to 'resource'",
        ),
        ("operations: [CREATE]", "operations: [DELETE]", "DELETE: rules are asked on CREATE and UPDATE alone"),
        ("kind: ValidatingPolicy", "kind: GeneratingPolicy", "holds no policy that can be converted"),
        ("metadata:", "metadata: [", "policy.yaml"),
    ],
)
def test_what_cannot_be_taken_is_an_error_that_names_it(tmp_path: Path, old: str, new: str, said: str) -> None:
    done = run(tmp_path, KYVERNO.replace(old, new))
    assert isinstance(done.exception, IocauditError)
    assert said in str(done.exception)
    assert done.stdout == ""


def test_without_the_program_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(programs, "cache_folder", lambda: tmp_path)
    done = run(tmp_path, KYVERNO)
    assert "iocaudit engines install cel" in str(done.exception)
    assert done.stdout == ""


@pytest.mark.usefixtures("installed")
def test_params_is_one_object(tmp_path: Path) -> None:
    (tmp_path / "two.yaml").write_text("apiVersion: v1\nkind: A\n---\napiVersion: v1\nkind: B\n")
    done = run(tmp_path, KYVERNO, "--params", str(tmp_path / "two.yaml"))
    assert "holds 2 objects, and params is one" in str(done.exception)
