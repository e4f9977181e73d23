"""Look-ups of prefixes by whole segments."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iocaudit.install.vap.cel import either_of, let
from iocaudit.install.vap.prefix_lookup import prefix_lookup
from tests.support.cel_rules import pod
from tests.support.exported_cel import ExportedCel

segments = st.lists(st.sampled_from(["a", "b", "ab", "c.d", "'"]), min_size=1, max_size=5)
texts = st.lists(
    st.builds(lambda head, rest: "/".join((head, *rest)), st.sampled_from(["", "h"]), segments), min_size=1
)


@pytest.fixture(scope="module")
def judge() -> Iterator[ExportedCel]:
    made = ExportedCel()
    yield made
    made.close()


@settings(max_examples=60, deadline=None)
@given(texts, texts, st.booleans())
def test_a_prefix_fits_by_whole_segments(
    judge: ExportedCel, prefixes: list[str], judged: list[str], below: bool
) -> None:
    found = prefix_lookup(prefixes, "known", below=below)
    condition = let("parts", "it.image.split('/')", either_of(found.conditions))
    spec = pod(containers=[{"name": f"c{at}", "image": text} for at, text in enumerate(judged)])
    said = judge.holding("object.spec.containers", condition, found.constants, spec)
    wanted = [any(text.startswith(f"{one}/") or (not below and text == one) for one in prefixes) for text in judged]
    assert said == wanted


def test_as_many_keys_as_one_likes_are_one_look_up() -> None:
    found = prefix_lookup([f"/srv/{at}" for at in range(1000)], "known")
    assert len(found.conditions) == len(found.constants) == 1
    assert prefix_lookup([], "known") == ((), ())
