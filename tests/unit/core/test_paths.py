"""Paths of hits are read back as they were written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iocaudit.core import paths
from iocaudit.core.errors import PathSyntaxError


@given(st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=5))
def test_paths_are_read_back_as_they_were_written(names: list[str]) -> None:
    text = ""
    for name in names:
        text = paths.field(text, name) if text else "root" + paths.key(name)
    parsed = paths.parse(text)
    spelled = [
        part.name if isinstance(part, paths.Field) else part.text for part in parsed if not isinstance(part, int)
    ]
    assert spelled[-len(names) :] == names


@pytest.mark.parametrize("text", ["a..b", "a[", 'a["x', "a[x]", ".a", "a b"])
def test_a_broken_path_names_the_position(text: str) -> None:
    with pytest.raises(PathSyntaxError, match="at "):
        paths.parse(text)
