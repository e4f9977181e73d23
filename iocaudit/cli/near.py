"""What someone meant who mistyped a command or an option; nothing where no known word is near."""

from __future__ import annotations

from collections.abc import Iterable

_SHORTEST_START = 3


def near_words(given: str, known: Iterable[str], most: int = 3) -> list[str]:
    """The known words that are a few slips away from the given one, or that it begins; the nearest first.

    A slip is a letter too many, too few or wrong, or two that changed places. One is allowed in four letters, so
    ``scna`` is near to ``scan`` and ``severity`` is not near to ``generate``.
    """
    asked = given.strip("-").lower()
    if len(asked) > 40:
        return []
    ranked = []
    for word in known:
        plain = word.strip("-").lower()
        allowed = max(1, min(len(asked), len(plain)) // 4)
        if len(asked) >= _SHORTEST_START and plain.startswith(asked):
            ranked.append((0, word))
        elif (
            min(len(asked), len(plain)) > 1
            and abs(len(asked) - len(plain)) <= allowed
            and (slips := _slips(asked, plain)) <= allowed
        ):
            ranked.append((slips, word))
    return [word for _, word in sorted(ranked)[:most]]


def _slips(one: str, other: str) -> int:
    """The distance of Damerau and Levenshtein (optimal string alignment)."""
    before: list[int] = []
    last = list(range(len(other) + 1))
    for row, letter in enumerate(one, 1):
        this = [row]
        for column, against in enumerate(other, 1):
            cost = min(last[column] + 1, this[-1] + 1, last[column - 1] + (letter != against))
            if row > 1 and column > 1 and letter == other[column - 2] and one[row - 2] == against:
                cost = min(cost, before[column - 2] + 1)
            this.append(cost)
        before, last = last, this
    return last[-1]
