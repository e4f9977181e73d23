"""A world as it is but for one object: how it was before a request, or will be after it."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TypeVar

from iocaudit.core.kinds import Kind
from iocaudit.core.resource import Resource
from iocaudit.core.world import World

T = TypeVar("T")


class Overlay(World):
    """Another world with one identity replaced, or left out; to be read only.

    It shares everything else with that world, which must not change meanwhile: what was derived from kinds other
    than that of the object is shared too.
    """

    def __init__(
        self, base: World, kind: Kind, namespace: str | None, name: str, resource: Resource | None = None
    ) -> None:
        self.__dict__.update(base.__dict__)
        spaces = dict(self._kinds.get(kind, {}))
        named = spaces[namespace] = dict(spaces.get(namespace, {}))
        if resource is None:
            named.pop(name, None)
        else:
            named[name] = [resource]
        self._kinds = {**self._kinds, kind: spaces}
        self._memo = {}
        self._base = base
        self._changed_kind = kind

    def memo(
        self,
        key: Hashable,
        kinds: tuple[Kind, ...],
        build: Callable[[], T],
        *,
        near: Resource | None = None,
        namespace: str | None = None,
    ) -> T:
        """As in any world. What does not depend on the kind of the object that differs is taken from the other."""
        if self._changed_kind not in kinds:
            return self._base.memo(key, kinds, build, near=near, namespace=namespace)
        return super().memo(key, kinds, build, near=near, namespace=namespace)


def overlaid(base: World, like: Resource, resource: Resource | None) -> Overlay:
    """The world with ``resource`` in place of the identity of ``like``. Raises ValueError for a kind not known."""
    if like.kind is None:
        raise ValueError(f"{like.ref} is of a kind that is not known")
    return Overlay(base, like.kind, base.namespace_of(like), like.name, resource)
