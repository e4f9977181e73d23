"""Where an OPA answers, and the token by which it knows us."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class OpaEndpoint:
    """The URL of an OPA, our token there, and the file of its certificate authority where it has one of its own."""

    url: str
    token: str = field(repr=False)
    ca: str = ""
