"""What a policy may set for a check."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Params = Mapping[str, Any]
"""The values that hold for a check, by the names of its parameters."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter a policy may set for a check.

    ``schema`` is a JSON schema of its value, ``default`` what holds when no policy sets it, ``strict`` what
    holds instead under profile strict where it differs. A ``required`` parameter has no default: without it
    the check is notConfigured, unless one of the parameters that ``unless`` names is set. ``exempts`` says of a list
    that each value in it is something that the check leaves out.
    """

    name: str
    schema: Mapping[str, Any]
    description: str
    default: Any = None
    required: bool = False
    strict: Any = None
    unless: tuple[str, ...] = ()
    exempts: bool = False


def string_list(
    name: str, description: str, *, default: Iterable[str] = (), required: bool = False, exempts: bool = False
) -> Parameter:
    """A parameter that is a list of strings."""
    schema = {"type": "array", "items": {"type": "string", "minLength": 1}, "maxItems": 1000}
    return Parameter(name, schema, description, None if required else list(default), required, exempts=exempts)


EXEMPT_IMAGES = Parameter(
    "exemptImages",
    {"type": "array", "items": {"type": "string", "minLength": 1, "maxLength": 500}, "maxItems": 1000},
    "images whose containers this check leaves out: hosts, path prefixes, images and globs, as in untrusted-registry",
    default=[],
    exempts=True,
)
"""Every check on pods has it: the engine hands such a check its pods without these containers."""
