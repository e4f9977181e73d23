"""How hits, findings and attempts are named: scheme ``v2``.

A name is the SHA-256 over the JSON array of the scheme, of what is named and of its parts, cut to 128 bits: fewer
could be made to collide by anyone who chooses a part. Parts are encoded as they are, lone surrogates included, so
two lists of parts share an encoding only where they are equal.
"""

from __future__ import annotations

import re
from base64 import b32encode
from collections.abc import Mapping
from json.encoder import encode_basestring as quoted

SCHEME = "v2"
FINGERPRINT = re.compile(r"[0-9a-f]{32}")
FINGERPRINT_FORM = "a fingerprint of scheme v2 (32 hex digits)"
_BYTES = 16
_SUFFIX = 26
"""Base32 characters of ``_BYTES``, without padding."""
BOUNDS: Mapping[str, int] = {
    "check": 63,
    "group": 253,
    "version": 63,
    "kind": 63,
    "namespace": 63,
    "name": 253,
    "user": 253,
}
"""Characters of the parts of a name in what is stored, as the schemas of our kinds have it."""
_CUT = "…"
_LOOKS_CUT = re.compile(rf"{_CUT}[a-z2-7]{{{_SUFFIX}}}\Z")


def preimage(named: str, *parts: str | None) -> bytes:
    """What is hashed: ``["v2", named, part, …]``, with None as ``null``."""
    # A fourth of the time that an encoder of lists takes.
    encoded = ",".join(["null" if part is None else quoted(part) for part in (SCHEME, named, *parts)])
    return f"[{encoded}]".encode("utf-8", "surrogatepass")


def fingerprint(named: str, *parts: str | None) -> str:
    """32 hex digits, as outputs, waivers and baselines have them."""
    return _digest(named, *parts).hex()


def name_suffix(named: str, *parts: str | None) -> str:
    """The same 128 bits as 26 characters that may stand in the name of a resource."""
    return b32encode(_digest(named, *parts)).decode("ascii").rstrip("=").lower()


def bounded(value: str, most: int) -> str:
    """The value, where it has at most ``most`` characters; else its beginning and a digest of all of it.

    Two values become equal only where they are: one that looks as if it had been cut is cut as well. For names,
    whose length the API server does not always bound (RBAC, owner references, users), in fields that have a bound.
    """
    if len(value) < most or (len(value) == most and not _LOOKS_CUT.search(value)):
        return value
    return f"{value[: most - _SUFFIX - 1]}{_CUT}{name_suffix('text', value)}"


def _digest(named: str, *parts: str | None) -> bytes:
    from hashlib import sha256  # late: it loads OpenSSL, and a table shows no fingerprints

    return sha256(preimage(named, *parts)).digest()[:_BYTES]
