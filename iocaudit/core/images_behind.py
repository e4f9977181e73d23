"""The images behind a hit: what a report knows of them, however they were found."""

from collections.abc import Callable
from typing import NamedTuple, Protocol, Self

Images = tuple[str, ...]


class ImagesBehind(NamedTuple):
    """``holders`` are the images of the containers that get what a hit is about, ``all`` those of everything near it.

    No container may get it: a volume that none mounts, a default of the pod that each overrules.
    """

    holders: Images
    all: Images

    @property
    def images(self) -> Images:
        """Those of the holders; without any, those of every container that could become one."""
        return self.holders or self.all


NO_IMAGES = ImagesBehind((), ())


class ImageLookup(Protocol):
    """Finds the images behind the hits of one object."""

    def behind(self, path: str) -> ImagesBehind:
        """The images behind a hit at ``path``."""

    def holds_as(self, other: Self, name: Callable[[str], str]) -> bool:
        """Whether every container gets what it gets in the other object, of an image of the same ``name``."""
