"""Where the lines of a text are."""

from __future__ import annotations

from bisect import bisect_right


class TextLines:
    """The lines of a text by the positions in it, in a time that does not grow with how long a line is.

    A JSON document may be a single line of megabytes.
    """

    __slots__ = ("_text", "starts")

    def __init__(self, text: str) -> None:
        self._text = text
        self.starts = [0]
        while (found := text.find("\n", self.starts[-1])) >= 0:
            self.starts.append(found + 1)

    def number(self, position: int) -> int:
        """Which line a position is in, from 0."""
        return bisect_right(self.starts, position) - 1

    def start(self, position: int) -> int:
        """Where the line of a position starts."""
        return self.starts[self.number(position)]

    def end(self, position: int) -> int:
        """Just behind the line break that follows a position, or the end of the text."""
        following = self.number(position) + 1
        return self.starts[following] if following < len(self.starts) else len(self._text)

    def indent(self, position: int) -> int:
        """How many blanks the line of a position starts with, as far as that position."""
        at = start = self.start(position)
        while at < position and self._text[at].isspace():
            at += 1
        return at - start

    def is_first(self, position: int) -> bool:
        """Whether only blanks stand before a position in its line."""
        return self.start(position) + self.indent(position) == position
