"""What a long scan tells of itself while it runs."""

from typing import Protocol


class Progress(Protocol):
    """Is told of each step."""

    def stage(self, title: str, steps: int) -> None:
        """From here on there are so many steps of this sort."""

    def step(self, name: str) -> None:
        """A step, which ``name`` says, has begun."""


class Silence:
    """For those who do not want to know."""

    def stage(self, title: str, steps: int) -> None:
        """Nothing."""

    def step(self, name: str) -> None:
        """Nothing."""
