"""What a request completes: an object that is stored already, and only now gives what it says."""

from __future__ import annotations

from typing import NamedTuple

from iocaudit.core.resource import Resource
from iocaudit.core.world import World


class Completed(NamedTuple):
    """An object that means more by a request for another one: a binding, by its role; a claim, by its volume.

    Audited in ``after`` and in ``before``, the hits that are new or worse are the request's. ``alone``, where it is
    set, holds nothing but what the request adds: every hit there is the request's. ``stands_for`` is set where the
    object is made up, as a pod that mounts a claim is: the one that it stands for.
    """

    dependent: Resource
    before: World
    after: World
    alone: World | None = None
    stands_for: str = ""
