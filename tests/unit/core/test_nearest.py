"""The nearest of several documents of one identity, against the rule as it is stated."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from iocaudit.core.nearest import Variants, folders_of, pick
from iocaudit.core.resource import Origin, Resource

_FILES = st.none() | st.builds(
    lambda top, folders: top + "/".join((*folders, "x.yaml")),
    st.sampled_from(("", "/")),
    st.lists(st.sampled_from("abc"), max_size=4),
)
_ORIGINS = st.builds(
    lambda file, document: Origin("file", file, document=document), _FILES, st.integers(min_value=0, max_value=6)
)


def _resource(origin: Origin) -> Resource:
    return Resource({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}, origin)


def _distance(origin: Origin, near: Origin) -> tuple[int, ...]:
    """Same file (by documents between), same folder, nearest parent, then anywhere by steps between folders."""
    if origin.file == near.file:
        return (0, abs(origin.document - near.document), origin.document)
    if origin.file is None or near.file is None:
        return (3, 0)
    ours, theirs = folders_of(origin.file), folders_of(near.file)
    common = 0
    while common < min(len(ours), len(theirs)) and ours[common] == theirs[common]:
        common += 1
    if common == len(ours):
        return (1, 0) if ours == theirs else (2, len(theirs) - common)
    return (3, len(theirs) + len(ours) - 2 * common)


@given(st.lists(_ORIGINS, min_size=1, max_size=10), st.lists(_ORIGINS, min_size=1, max_size=6))
def test_the_nearest_is_the_one_of_the_least_distance(origins: list[Origin], asking: list[Origin]) -> None:
    variants = Variants(map(_resource, origins[:1]))
    for origin in (None, *origins[1:]):
        if origin is not None:
            variants.append(_resource(origin))
        for near in map(_resource, (*asking, *origins)):
            assert pick(variants, near) is min(variants, key=lambda one: _distance(one.origin, near.origin))
    assert pick(variants, None) is variants[0]
