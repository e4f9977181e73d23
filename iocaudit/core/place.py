"""What ties hits together that have one cause: the same place of an object, or a grant and the role it is of."""

from __future__ import annotations

from enum import Enum, auto
from typing import NamedTuple


class Place(Enum):
    """Where a hit has to be for another check's hit to imply it."""

    SAME = auto()
    """At the same path, with the same evidence (or ``Hit.about``): one rule of a role, one subject of a binding."""
    CONTAINERS = auto()
    """Every container that gets what the implied hit is about has an implying hit."""
    VOLUME = auto()
    """The volume, or a mount of it."""
    POD = auto()
    """Anywhere in the pod."""
    NAMESPACE = auto()
    """On any object of the Namespace that the implying hit is on or in, with the same evidence (or ``Hit.about``)."""


class AffectedParts(NamedTuple):
    """The parts of a pod that a hit is about.

    ``pod`` is the path of the pod's spec, ``containers`` are the paths of those that get what the hit is about,
    ``volume`` is that of the volume. Each is empty where there is none.
    """

    pod: str
    containers: tuple[str, ...] = ()
    volume: str = ""


class GrantedRole(NamedTuple):
    """Of a hit on a binding: the role that it stands on, in the same scope, and to whom that is given.

    The role is named as its own hits are: by group, kind, namespace and name, and by the file, document and item that
    it was read from.
    """

    role: tuple[str, str, str | None, str]
    origin: tuple[str | None, int, str]
    to: str
