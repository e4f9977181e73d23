import pytest
from hypothesis import given
from hypothesis import strategies as st

from iocaudit.engine.languages.toolchain.version import Version

numbers = st.integers(min_value=0, max_value=9999)


@given(numbers, numbers, numbers)
def test_a_printed_version_is_found_again(major: int, minor: int, patch: int) -> None:
    version = Version(major, minor, patch)
    for text in (
        f"{version}",
        f"Kubernetes v{version}",
        f"go{version}",
        f"Client Version: v{version}-rc.1+k",
    ):
        assert Version.find(text) == version


@given(st.tuples(numbers, numbers, numbers), st.tuples(numbers, numbers, numbers))
def test_versions_are_ordered_by_number(left: tuple[int, int, int], right: tuple[int, int, int]) -> None:
    assert (Version(*left) < Version(*right)) == (left < right)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("etcd Version: 3.4.23\nGit SHA: Not provided\nGo Version: go1.19.5", Version(3, 4, 23)),
        ("Client Version: v1.32.4-dispatcher\nKustomize Version: v5.5.0", Version(1, 32, 4)),
        ("go1.26", Version(1, 26, 0)),
        ("Kubernetes v1.36.3", Version(1, 36, 3)),
        ("no number here", None),
        ("", None),
    ],
)
def test_real_outputs(text: str, expected: Version | None) -> None:
    assert Version.find(text) == expected
