"""Whether packages with own checks are installed is told by one file of each, and for archives never ruled out."""

import zipfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from iocaudit.engine.check_packages import is_any_installed


def distribution(folder: Path, group: str, name: str = "acme") -> None:
    metadata = folder / f"{name}-1.dist-info"
    metadata.mkdir()
    (metadata / "entry_points.txt").write_text(f"[{group}]\n{name} = module\n")


def test_only_our_group_counts(tmp_path: Path) -> None:
    (tmp_path / "plain-1.dist-info").mkdir()
    distribution(tmp_path, "other.checks", "other")
    assert not is_any_installed(["/no/such", str(tmp_path)])
    distribution(tmp_path, "iocaudit.checks")
    assert is_any_installed(["/no/such", str(tmp_path)])


def test_an_archive_on_the_path_may_hold_one(tmp_path: Path) -> None:
    archive = tmp_path / "app.pyz"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("x.py", "")
    assert is_any_installed([str(archive)])
    assert not is_any_installed([str(tmp_path / "not-there.zip")])


@given(st.lists(st.text(max_size=12), max_size=5))
def test_any_path_can_be_looked_through(folders: list[str]) -> None:
    assert not is_any_installed([f"/no/such/{one}" for one in folders if "\0" not in one])
