"""How lists and numbers read in messages."""

from collections.abc import Callable, Sequence


def several(values: Sequence[str], most: int = 6, shown: Callable[[str], str] = str) -> str:
    """A few of the values in their order, each as ``shown`` has it, and how many more there are."""
    more = f" and {len(values) - most} more" if len(values) > most else ""
    return ", ".join(map(shown, values[:most])) + more


def counted(number: int, noun: str, plural: str = "") -> str:
    """``1 finding``, ``2 findings``; ``plural`` where it is not the noun with an s."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"
