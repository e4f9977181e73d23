"""The fields of what a webhook replica posts: each has to be there, of its type and within its bounds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from iocaudit.core.errors import IocauditError
from iocaudit.core.moments import LATEST
from iocaudit.core.shape import Json

_LARGEST = 2**53 - 1


class PostError(IocauditError):
    """The body is not a post of a webhook replica; names the field and what is wrong with it."""


def post_text(entry: Json, field: str, where: str, longest: Mapping[str, int]) -> str:
    """A string of at most as many characters as ``longest`` has for the field, else 16."""
    value, most = entry.get(field), longest.get(field, 16)
    if not isinstance(value, str):
        raise PostError(f"{where}.{field}: missing or not a string")
    if len(value) > most:
        raise PostError(f"{where}.{field}: longer than {most} characters")
    return value


def post_integer(entry: Json, field: str, where: str, least: int = 1) -> int:
    """A whole number."""
    value = entry.get(field)
    if type(value) is not int or not least <= value <= _LARGEST:
        raise PostError(f"{where}: must be a whole number from {least} to {_LARGEST}")
    return value


def post_seconds(entry: Json, field: str, where: str) -> float:
    """Unix seconds."""
    value = entry.get(field)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < LATEST:
        raise PostError(f"{where}.{field}: must be Unix seconds")
    return float(value)


def post_map(value: Any, where: str) -> Json:
    """A map."""
    if not isinstance(value, dict):
        raise PostError(f"{where}: not an object")
    return value
