"""What a request completes: an object that is stored already, and only now gives what it says."""

from __future__ import annotations

from typing import NamedTuple

from iocaudit.core.resource import Resource
from iocaudit.core.world import World


class CompletedObject(NamedTuple):
    """An object that means more by a request for another one: a binding, by its role; a claim, by its volume.

    Its hits in ``after`` that are new or worse than in ``before`` are the request's; without ``before`` all are, as
    ``after`` then holds nothing for it but what the request adds. ``stands_for`` is set where the object is made up,
    as a pod that mounts a claim is: the one that it stands for.
    """

    dependent: Resource
    before: World | None
    after: World
    stands_for: str = ""
