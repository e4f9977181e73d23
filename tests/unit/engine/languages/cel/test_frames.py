import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iocaudit.core.shape import Json
from iocaudit.engine.languages.cel.frames import LARGEST, FrameReader, framed
from iocaudit.engine.languages.evaluator import EngineError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("ab\x00\né", max_size=3), inner, max_size=4),
    max_leaves=12,
)
MESSAGES = st.lists(st.dictionaries(st.text("ab", max_size=2), JSON, max_size=3), max_size=5)


@given(MESSAGES, st.data())
def test_messages_come_out_as_they_went_in_however_the_bytes_arrive(messages: list[Json], data: st.DataObject) -> None:
    stream = b"".join(map(framed, messages))
    reader, came, at = FrameReader(), [], 0
    while at < len(stream):
        size = data.draw(st.integers(1, len(stream) - at))
        came += reader.feed(stream[at : at + size])
        at += size
    assert came == messages


@pytest.mark.parametrize("value", [object(), 2**64, "\ud800", {1}], ids=["type", "integer", "surrogate", "set"])
def test_what_is_not_json_is_not_sent(value: object) -> None:
    with pytest.raises(EngineError, match="cannot be written as JSON"):
        framed({"a": value})


def test_a_question_that_is_nested_too_deeply_is_not_sent() -> None:
    deep: object = 1
    for _ in range(5000):
        deep = [deep]
    with pytest.raises(EngineError, match="cannot be written as JSON"):
        framed({"a": deep})


def test_a_number_that_json_has_not_is_null() -> None:
    assert json.loads(framed({"a": math.nan})[4:]) == {"a": None}


def test_a_question_that_is_too_large_is_not_sent() -> None:
    with pytest.raises(EngineError, match=f"at most {LARGEST} can be asked"):
        framed({"a": "x" * LARGEST})


@pytest.mark.parametrize(
    ("stream", "reason"),
    [
        ((LARGEST + 1).to_bytes(4, "big"), "at most"),
        (b"HTTP/1.1 400 Bad Request\r\n", "at most"),
        ((3).to_bytes(4, "big") + b"{{{", "not JSON"),
        ((2).to_bytes(4, "big") + b"[]", "not a JSON object"),
    ],
)
def test_something_else_than_frames_is_refused(stream: bytes, reason: str) -> None:
    with pytest.raises(EngineError, match=reason):
        FrameReader().feed(stream)
