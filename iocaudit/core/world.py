"""What a check may look up beyond its subject, and whether that is all there is.

A World knows its resources kind by kind, and for each kind whether it is complete. In a folder of files
one identity may stand in several documents (overlays): they are variants, and a look-up takes the one
nearest to the asking resource: the same file, then the same folder, then the nearest parent.

An object that lacks something (see ``Resource.lacks``) makes its kind incomplete for its own namespace alone, one of
cluster scope for all: anyone who may write in one namespace must not take what is known away from the others.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from iocaudit.core import own_names
from iocaudit.core.errors import IncompleteError
from iocaudit.core.guard import WebhookClient
from iocaudit.core.kinds import KINDS, NAMESPACE, Kind
from iocaudit.core.nearest import Variants, folders_of, pick
from iocaudit.core.resource import Resource

T = TypeVar("T")
_MOST_KEPT = 50_000
_LONGEST_KEY = 4096
MOST_ITEMS = 10_000
_LONGEST_ITEM = 400
"""No account or subject of sense has a longer name, but anyone who reaches the webhook may write megabytes."""


@dataclass(slots=True)
class _MemoValue:
    """A value of ``memo``: the last change it knows of, and the world's revision at which that was last looked at."""

    stamp: int
    revision: int
    value: Any


class OtherObject(NamedTuple):
    """An object of a kind that no check knows; without a namespace it may be in any."""

    group: str
    kind: str
    namespace: str | None
    name: str


class _Places:
    """Where the variants of a kind stand, as far as it matters to who is near which of them."""

    def __init__(self) -> None:
        self.files: set[str | None] = set()
        self.folders: set[tuple[str, ...]] = set()
        """The folders that hold one, and every folder above such a one."""

    def add(self, file: str | None) -> None:
        if file is None or file in self.files:
            return
        self.files.add(file)
        folders = folders_of(file)
        self.folders.update(folders[:length] for length in range(len(folders) + 1))


class World:
    """Resources indexed by kind, namespace and name.

    ``default_namespace`` is where a namespaced object without a namespace counts as being, ``own_namespace`` where
    this auditor is installed. A kind is complete
    unless ``mark_incomplete`` gave a reason. ``memo`` keeps what checks derive from whole kinds until one
    of those kinds changes, so checks stay pure and still index once.
    """

    def __init__(self, *, default_namespace: str = "default", own_namespace: str = own_names.NAMESPACE) -> None:
        self.default_namespace = default_namespace
        self.own_namespace = own_namespace
        self.untrusted: Mapping[WebhookClient, str] = {}
        """How our webhooks are called where that was tried in vain, and why: their certificate is not verified."""
        self.registering = False
        """Whether our webhooks are about to be registered for the first time: until then none is missing."""
        self.knows_rules = False
        """Whether every rule in a language of its own is known that there is: what is named and not known is not
        there.
        """
        self._kinds: dict[Kind, dict[str | None, dict[str, list[Resource]]]] = {}
        self._incomplete: dict[Kind, str] = {}
        self._lacking: dict[str | None, dict[Kind, dict[str, str]]] = {}
        """By the namespace that it concerns (None: all), kind and name what is not known whole, and why."""
        self._indexing = 0
        self._installed: frozenset[str] = frozenset()
        self.others: dict[OtherObject, None] = {}
        """The objects of kinds that no check knows, as far as files hold them: their controllers may make pods."""
        self._revision = 0
        self._versions: dict[Kind, int] = {}
        self._homes: dict[tuple[Kind, str | None], int] = {}
        self._memo: dict[Hashable, _MemoValue] = {}
        self._variants: dict[Kind, _Places] = {}
        self._near: dict[tuple[tuple[Kind, ...], str | None], Hashable] = {}

    # -- filling ------------------------------------------------------------------------------------------

    def add(self, resource: Resource) -> None:
        """Add a resource, as a further variant where its identity is taken by another origin."""
        kind = resource.kind
        if kind is None:
            return
        named = self._kinds.setdefault(kind, {}).setdefault(self.namespace_of(resource), {})
        known = named.get(resource.name)
        if known is None:
            named[resource.name] = [resource]
        else:
            variants = known if isinstance(known, Variants) else Variants(known)
            variants.append(resource)
            named[resource.name] = variants
            places = self._variants.setdefault(kind, _Places())
            for variant in variants if len(variants) == 2 else (resource,):
                places.add(variant.origin.file)
            self._near.clear()
        self._note(resource, kind)

    def put(self, resource: Resource) -> None:
        """Add a resource or replace the one of its identity, as a live cluster does."""
        kind = resource.kind
        if kind is None:
            return
        named = self._kinds.setdefault(kind, {}).setdefault(self.namespace_of(resource), {})
        named[resource.name] = [resource]
        self._note(resource, kind)

    def remove(self, kind: Kind, namespace: str | None, name: str) -> None:
        """Forget an identity; nothing happens where it is not known."""
        named = self._kinds.get(kind, {}).get(namespace)
        if named is not None and named.pop(name, None) is not None:
            home = self._home(kind, namespace, name)
            self._known_whole(kind, home, name)
            self._changed(kind, home)

    def replace(self, kind: Kind, resources: Iterable[Resource]) -> None:
        """Take these as all there is of a kind (after a fresh list), and the kind as complete."""
        self._kinds.pop(kind, None)
        self._incomplete.pop(kind, None)
        for home in [home for home, kinds in self._lacking.items() if kind in kinds]:
            self._known_whole(kind, home)
        self._variants.pop(kind, None)
        self._near.clear()
        self._changed_everywhere(kind)
        for resource in resources:
            self.put(resource)

    def mark_incomplete(self, kind: Kind, reason: str) -> None:
        if self._incomplete.get(kind) == reason:
            return
        self._incomplete[kind] = reason
        self._changed_everywhere(kind)

    def install(self, groups: Iterable[str]) -> None:
        """Take these as the API groups that are installed, be there objects of their kinds or not."""
        changed = self._installed.symmetric_difference(groups)
        if changed:
            self._installed = self._installed ^ changed
            for kind in KINDS.values():
                if kind.group in changed:
                    self._changed_everywhere(kind)

    @staticmethod
    def _home(kind: Kind, namespace: str | None, name: str) -> str | None:
        """The namespace a change concerns: a Namespace is at home in itself."""
        return name if kind is NAMESPACE else namespace

    def _note(self, resource: Resource, kind: Kind) -> None:
        home = self._home(kind, self.namespace_of(resource), resource.name)
        if resource.lacks:
            why = f"{resource.ref} is not known whole: {resource.lacks}"
            self._lacking.setdefault(home, {}).setdefault(kind, {})[resource.name] = why
        elif self._lacking:
            self._known_whole(kind, home, resource.name)
        self._changed(kind, home)

    def _known_whole(self, kind: Kind, home: str | None, name: str | None = None) -> None:
        """Take back that an object lacks something, without a name those of the kind at home there."""
        kinds = self._lacking.get(home, {})
        names = kinds.get(kind, {})
        if name is not None:
            names.pop(name, None)
        if name is None or not names:
            kinds.pop(kind, None)
        if not kinds:
            self._lacking.pop(home, None)

    def _changed(self, kind: Kind, home: str | None) -> None:
        self._revision += 1
        self._versions[kind] = self._revision
        self._homes[(kind, home)] = self._revision

    def _changed_everywhere(self, kind: Kind) -> None:
        self._revision += 1
        self._versions[kind] = self._revision
        for key in [key for key in self._homes if key[0] == kind and key[1] is not None]:
            del self._homes[key]
        self._homes[(kind, None)] = self._revision

    # -- asking -------------------------------------------------------------------------------------------

    def complete_for(self, asking: Resource) -> bool:
        """Whether all is known of every kind that may concern a resource."""
        if self._incomplete:
            return False
        return not self._lacking or (None not in self._lacking and self._home_of(asking) not in self._lacking)

    def incomplete(self, kind: Kind, asking: Resource | None = None) -> str | None:
        """Why the kind may hold more than is known here; None where it is complete.

        With the resource that asks, an object that is not known whole counts where it may concern it.
        """
        reason = self._incomplete.get(kind)
        if reason is None and self._lacking and asking is not None:
            for home in (self._home_of(asking), None):
                reason = reason or next(iter(self._lacking.get(home, {}).get(kind, {}).values()), None)
        return reason

    def _home_of(self, resource: Resource) -> str | None:
        return resource.name if resource.kind is NAMESPACE else self.namespace_of(resource)

    @property
    def installed(self) -> frozenset[str]:
        """The API groups that are known to be installed; of files those of which they hold a definition."""
        return self._installed

    def namespace_of(self, resource: Resource) -> str | None:
        """The namespace an object counts as being in; None for cluster scope."""
        if resource.kind is not None and not resource.kind.namespaced:
            return None
        return resource.namespace or self.default_namespace

    def all(self, kind: Kind, *, near: Resource | None = None) -> list[Resource]:
        """Every object of a kind, in any namespace; of variants the one nearest to ``near``."""
        spaces = self._kinds.get(kind, {})
        return [pick(variants, near) for named in spaces.values() for variants in named.values() if variants]

    def every(self, kind: Kind) -> Iterator[Resource]:
        """Every object of a kind, all its variants among them."""
        for named in self._kinds.get(kind, {}).values():
            for variants in named.values():
                yield from variants

    def of(self, kind: Kind, namespace: str | None, *, near: Resource | None = None) -> list[Resource]:
        """Every object of a kind in one namespace (None: cluster scope)."""
        named = self._kinds.get(kind, {}).get(namespace, {})
        return [pick(variants, near) for variants in named.values() if variants]

    def get(
        self, kind: Kind, namespace: str | None, name: str, *, near: Resource | None = None, whole: bool = True
    ) -> Resource | None:
        """The object of that name, or None.

        Raises IncompleteError where ``whole`` is asked for and a resource of another namespace (``near``) looks up one
        that is not known whole: what concerns its own namespace, ``incomplete`` says of the whole kind.
        """
        variants = self._kinds.get(kind, {}).get(namespace, {}).get(name)
        if not variants:
            return None
        found = pick(variants, near)
        if found.lacks and whole and near is not None and not self._indexing and self._home_of(near) != namespace:
            raise IncompleteError(f"{found.ref} is not known whole: {found.lacks}")
        return found

    def has_variants(self, kinds: Iterable[Kind]) -> bool:
        """Whether any identity of these kinds stands in several documents."""
        return not self._variants.keys().isdisjoint(kinds)

    def has(self, kind: Kind) -> bool:
        """Whether any object of the kind is known."""
        return any(self._kinds.get(kind, {}).values())

    def memo(
        self,
        key: Hashable,
        kinds: tuple[Kind, ...],
        build: Callable[[], T],
        *,
        near: Resource | None = None,
        namespace: str | None = None,
    ) -> T:
        """``build()``, kept until one of ``kinds`` changes. Where those kinds have variants, kept for each place
        of ``near`` that one could tell from another by which of them are nearest.

        With a ``namespace`` only that namespace's objects of the namespaced kinds, and that Namespace itself,
        count as changes; of kinds of cluster scope any object does.
        """
        if near is not None and self._variants and not self._variants.keys().isdisjoint(kinds):
            key = (key, self._nearness(kinds, near.origin.file))
        kept = self._memo.get(key)
        if kept is None or kept.revision != self._revision:
            stamp = self._stamp(kinds, namespace)
            if kept is None or kept.stamp != stamp:
                kept = _MemoValue(stamp, 0, self._built(build, namespace))
                # Some keys are names that requests write, which may be any, and of megabytes.
                if _length(key) <= _LONGEST_KEY:
                    if len(self._memo) >= _MOST_KEPT:
                        self._memo.clear()
                    self._memo[key] = kept
            kept.revision = self._revision
        value: T = kept.value
        return value

    def memo_of(
        self,
        item: Hashable,
        key: Hashable,
        kinds: tuple[Kind, ...],
        build: Callable[[], T],
        *,
        most: int = MOST_ITEMS,
        near: Resource | None = None,
    ) -> T:
        """The same for each of many items under one key, of which no more than ``most`` are kept at a time."""
        known: dict[Hashable, T] = self.memo(key, kinds, dict, near=near)
        found = known.get(item)
        if found is None:
            if len(known) >= most:
                known.clear()
            found = build()
            if _length(item) <= _LONGEST_ITEM:
                known[item] = found
        return found

    def _built(self, build: Callable[[], T], namespace: str | None) -> T:
        """An index of all namespaces is made of what is known: one object must not keep it from the others."""
        if namespace is not None:
            return build()
        self._indexing += 1
        try:
            return build()
        finally:
            self._indexing -= 1

    def _nearness(self, kinds: tuple[Kind, ...], file: str | None) -> Hashable:
        """The same for two files exactly where the same variants of these kinds are nearest to both.

        Of a file that holds none, that is the nearest folder on the way up that leads to any: below it, all of them
        lie in the same order. A thousand folders of manifests then share a few indexes, where each would make its own.
        """
        asked = (kinds, file)
        found = self._near.get(asked)
        if found is None:
            places = [self._variants[kind] for kind in kinds if kind in self._variants]
            if file is None or any(file in place.files for place in places):
                found = file
            else:
                folders = folders_of(file)
                while not any(folders in place.folders for place in places):
                    folders = folders[:-1]
                found = folders
            self._near[asked] = found
        return found

    def _stamp(self, kinds: tuple[Kind, ...], namespace: str | None) -> int:
        """The revision of the last change that counts."""
        last = 0
        for kind in kinds:
            if namespace is not None and (kind.namespaced or kind is NAMESPACE):
                changed = max(self._homes.get((kind, namespace), 0), self._homes.get((kind, None), 0))
            else:
                changed = self._versions.get(kind, 0)
            last = max(last, changed)
        return last


def _length(key: Hashable) -> int:
    """How many characters a key holds."""
    if isinstance(key, tuple | frozenset):
        return sum(map(_length, key))
    return len(key) if isinstance(key, str) else 1
