"""What ``--exclude`` leaves out."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iocaudit.sources.excluded import ExcludedPaths, GlobError
from iocaudit.sources.files import Inputs

FILES = ("a.yaml", "charts/web/values.yaml", "charts/web/templates/a.yaml", "prod/a.yaml", "prod/deep/b-test.yaml")
SEGMENTS = st.text("abc*?[]!.-^\\", min_size=1, max_size=6) | st.from_regex(r"[a*]?\[!?[abc]-[abc]\]", fullmatch=True)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    return tmp_path


@pytest.mark.parametrize(
    ("patterns", "left"),
    [
        ((), FILES),
        (("charts",), ("a.yaml", "prod/a.yaml", "prod/deep/b-test.yaml")),
        (("charts/",), ("a.yaml", "prod/a.yaml", "prod/deep/b-test.yaml")),
        (("./charts/**",), ("a.yaml", "prod/a.yaml", "prod/deep/b-test.yaml")),
        (("**/templates/**",), ("a.yaml", "charts/web/values.yaml", "prod/a.yaml", "prod/deep/b-test.yaml")),
        (("*-test.yaml",), ("a.yaml", "charts/web/templates/a.yaml", "charts/web/values.yaml", "prod/a.yaml")),
        (
            ("prod/*.yaml",),
            ("a.yaml", "charts/web/templates/a.yaml", "charts/web/values.yaml", "prod/deep/b-test.yaml"),
        ),
        (("prod/**/*.yaml",), ("a.yaml", "charts/web/templates/a.yaml", "charts/web/values.yaml")),
        (("a.yaml", "values.y?ml"), ("prod/deep/b-test.yaml",)),
        (("[!a]*",), ("a.yaml",)),
        (("**",), ()),
    ],
)
def test_names_anywhere_and_paths_below_what_was_given(
    root: Path, patterns: tuple[str, ...], left: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root)
    for start in (".", str(root)):
        excluded = ExcludedPaths(patterns)
        found = {str(Path(file).relative_to(start)) for file in Inputs([start], excluded).files}
        assert found == set(left)
        assert bool(excluded.count) == (len(left) < len(FILES))


def test_what_was_named_by_itself_is_left_out_too(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As pre-commit hands each changed file over."""
    monkeypatch.chdir(root)
    files = list(FILES)
    assert Inputs(files, ExcludedPaths(["charts"])).files == [file for file in files if "charts" not in file]
    assert Inputs(files, ExcludedPaths(["prod/**"])).files == [file for file in files if "prod" not in file]
    assert Inputs(["-"], ExcludedPaths(["*"])).files == ["-"]


@given(st.lists(SEGMENTS, min_size=1, max_size=3), st.sampled_from(FILES))
def test_any_pattern_is_taken_or_refused_with_its_name(parts: list[str], file: str) -> None:
    pattern, said = "/".join(parts), ""
    try:
        ExcludedPaths([pattern]).leaves_out_named(file)
    except GlobError as error:
        said = str(error)
    named = pattern.removesuffix("/**").removeprefix("./")
    assert not said or said.startswith(f"--exclude {named}: is not a pattern of names: ")


def test_one_that_cannot_be_used_is_named() -> None:
    with pytest.raises(GlobError, match=r"--exclude \[z-a\]: is not a pattern"):
        ExcludedPaths(["[z-a]"])


@given(st.sampled_from(FILES))
def test_a_name_leaves_itself_out(file: str) -> None:
    assert ExcludedPaths([file]).leaves_out_named(file)
    assert ExcludedPaths([Path(file).name]).leaves_out_named(file)
    assert not ExcludedPaths([f"x{file}"]).leaves_out_named(file)
