"""Release numbers of programs."""

from __future__ import annotations

import re
from dataclasses import dataclass

_VERSION = re.compile(r"(?<![\d.])(?:v|go)?(\d+)\.(\d+)(?:\.(\d+))?")


@dataclass(frozen=True, order=True)
class Version:
    """A release number; what follows the third number (``-rc.1``, ``-gke.7``) is not looked at."""

    major: int
    minor: int
    patch: int = 0

    @classmethod
    def find(cls, text: str) -> Version | None:
        """The first version number in what a program printed about itself, or None."""
        match = _VERSION.search(text)
        return cls(int(match[1]), int(match[2]), int(match[3] or 0)) if match else None

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"
