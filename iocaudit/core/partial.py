"""An object of which something is missing here, carried where whole objects are."""

from typing import Any


class PartialObject(dict[str, Any]):
    """A JSON object of which something could not be read, or was not kept.

    ``lacks`` says what and why, in the words of a reason: ``spec.a.b nests more than 200 levels deep``. A copy made
    by ``{**raw}`` is an ordinary dict: anyone who copies one hands ``lacks`` on, by ``lacking``.
    """

    __slots__ = ("lacks",)

    def __init__(self, found: dict[str, Any], lacks: str) -> None:
        super().__init__(found)
        self.lacks = lacks


def lacking(found: dict[str, Any], lacks: str) -> dict[str, Any]:
    """The object, as one that is not whole where something of it is missing."""
    return PartialObject(found, lacks) if lacks else found


def lacks_of(raw: object) -> str:
    """What is missing of a decoded object; empty where nothing is."""
    return raw.lacks if isinstance(raw, PartialObject) else ""
