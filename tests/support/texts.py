"""JSON texts as an API server accepts them where it keeps raw bytes, up to its own limits."""

from __future__ import annotations

from hypothesis import strategies as st

DEEPEST = 10_000
"""Levels that Go's decoder reads."""


def nested(levels: int) -> bytes:
    """A value of that many levels."""
    return b'{"a":' * (levels - 1) + b"{}" + b"}" * (levels - 1) if levels else b"0"


_PIECES = st.sampled_from(
    [
        b"a",
        b"<",
        rb"\u003c",
        rb"\"",
        rb"\\",
        rb"\ud800",
        rb"\uDC00",
        rb"\ud83d\ude00",
        b"\xff",
        b"\xed\xa0\x80",
        b"\xc3\xa9",
    ]
)
_TEXTS = st.lists(_PIECES, max_size=6).map(lambda pieces: b'"' + b"".join(pieces) + b'"')
_NUMBERS = st.sampled_from(
    [b"0", b"-0", b"1e999", b"-1E999", b"1e-999", b"9" * 400, b"1" * 5000, b"18446744073709551616"]
)
_AROUND = st.sampled_from(
    [(b'{"a":', b"}"), (b"[", b"]"), (b'{"metadata":{"managedFields":[', b"]}}"), (b'[0,{"\xff":', b"},1]")]
)
_DEEP = st.tuples(_AROUND, st.integers(1, DEEPEST // 3 - 10), st.sampled_from([b"null", rb'"\ud800"', b"1e999"])).map(
    lambda found: found[0][0] * found[1] + found[2] + found[0][1] * found[1]
)


def _objects(inner: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    names = _TEXTS | st.sampled_from([b'"metadata"', b'"managedFields"', b'"items"', b'"object"', b'"name"'])
    members = st.lists(st.tuples(names, inner), max_size=4)  # the same name twice, too
    return members.map(lambda found: b"{" + b", ".join(b"%b: %b" % pair for pair in found) + b"}")


def odd_texts() -> st.SearchStrategy[bytes]:
    """Texts of one value each."""
    return st.recursive(
        _TEXTS | _NUMBERS | _DEEP | st.sampled_from([b"null", b"true", b"{}", b"[]"]),
        lambda inner: _objects(inner) | st.lists(inner, max_size=4).map(lambda found: b"[" + b" ,".join(found) + b"]"),
        max_leaves=12,
    )
