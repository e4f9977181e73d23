"""Read untyped JSON without trusting its shape: a wrong type reads as absent, and can be reported."""

from collections.abc import Mapping, Sequence
from typing import Any

Json = dict[str, Any]
Labels = Mapping[str, str]
_EMPTY: dict[str, Any] = {}


def mapping(value: object) -> Mapping[str, Any]:
    """The value if it is a map, else an empty one."""
    return value if isinstance(value, dict) else _EMPTY


def items(value: object) -> Sequence[Any]:
    """The value if it is a list, else an empty one."""
    return value if isinstance(value, list) else ()


def mappings(value: object) -> list[dict[str, Any]]:
    """The maps in a list; anything else in it is left out."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def text(value: object) -> str:
    """The value if it is a string, else an empty one."""
    return value if isinstance(value, str) else ""


def strings(value: object) -> list[str]:
    """The strings in a list."""
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def integer(value: object) -> int | None:
    """The value if it is an integer (a boolean is not; a float of integral value is), else None."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return None


def lookup(value: object, *path: str) -> Any:
    """Follow map keys; None as soon as one is absent or its holder is not a map."""
    for part in path:
        if not isinstance(value, dict):
            return None
        value = value.get(part)
    return value
