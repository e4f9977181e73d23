"""How values from objects appear in messages. Escaping is the sinks' business; length and credentials are ours."""

from collections.abc import Callable, Sequence

from iocaudit.core.credential import redacted

LONGEST = 100
"""How many characters of a value a message shows."""


def clip(text: str, limit: int = LONGEST) -> str:
    """The text, cut to ``limit`` characters of which the last is an ellipsis where something was cut.

    A credential of a known format in it is named, not shown: before the cut, behind which it would not be known.
    """
    shown = redacted(text) if len(text) > limit else text  # of what is shown whole, the audit takes care
    return shown if len(shown) <= limit else shown[: max(limit - 1, 0)] + "…"


def several(values: Sequence[str], most: int = 6, shown: Callable[[str], str] = str) -> str:
    """A few of the values in their order, each as ``shown`` has it, and how many more there are."""
    more = f" and {len(values) - most} more" if len(values) > most else ""
    return ", ".join(map(shown, values[:most])) + more


def counted(number: int, noun: str, plural: str = "") -> str:
    """``1 finding``, ``2 findings``; ``plural`` where it is not the noun with an s."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"
