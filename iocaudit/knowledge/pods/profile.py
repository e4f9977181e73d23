"""Security profiles of seccomp and AppArmor, by field or by the annotation that came before it.

Source: the API reference of SeccompProfile and AppArmorProfile; the annotation values `runtime/default`,
`docker/default`, `localhost/<name>` and `unconfined` of Kubernetes before 1.27 (seccomp) and 1.30 (AppArmor).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from iocaudit.core.repair import Edit, Repair
from iocaudit.core.shape import mapping, text

RUNTIME_DEFAULT, LOCALHOST, UNCONFINED = "RuntimeDefault", "Localhost", "Unconfined"
ANY = "*"
"""A policy's entry for every profile."""
_MOST_TOGETHER = 20
_BY_ANNOTATION = {
    "runtime/default": RUNTIME_DEFAULT,
    "docker/default": RUNTIME_DEFAULT,
    "unconfined": UNCONFINED,
    "localhost": LOCALHOST,
}


class Profile(NamedTuple):
    """``kind`` is the API's word, or what stands there where the API has none; ``file`` is Localhost's profile."""

    kind: str
    file: str = ""

    @staticmethod
    def of(kind: str, raw: Mapping[str, Any]) -> Profile:
        """From the field's ``type``; ``raw`` holds ``localhostProfile``."""
        return Profile(kind, text(raw.get("localhostProfile")) if kind == LOCALHOST else "")

    @staticmethod
    def from_annotation(value: str) -> Profile:
        """From an annotation's value, or from a policy's entry in either spelling."""
        head, slash, file = value.partition("/")
        if slash and head.lower() == "localhost":
            return Profile(LOCALHOST, file)
        return Profile(_BY_ANNOTATION.get(value, value))

    def undone(self, path: str) -> Repair:
        """Have the runtime's own profile at ``path``, where this one was read: a ``type`` or an annotation."""
        if not path.endswith(".type"):
            return Repair((Edit("set", path, "runtime/default"),))
        file = f"{path.removesuffix('type')}localhostProfile"
        return Repair((Edit("set", path, RUNTIME_DEFAULT), Edit("remove", file)))

    def __str__(self) -> str:
        return f"{self.kind}/{self.file}" if self.file else self.kind


class MatchingFields:
    """The annotations and fields of a pod that the API server wants to say the same, from pairs of one of each."""

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self._beside: dict[str, list[str]] = {}
        for annotation, field in pairs:
            self._beside.setdefault(annotation, []).append(field)
            self._beside.setdefault(field, []).append(annotation)

    def undone(self, path: str) -> Repair | None:
        """As ``Profile.undone``, for all of them; None for more than someone would look through."""
        together, reached = {path}, [path]
        for one in reached:
            for other in self._beside.get(one, ()):
                if other not in together:
                    together.add(other)
                    reached.append(other)
            if len(together) > _MOST_TOGETHER:
                return None
        mine = Profile(RUNTIME_DEFAULT)
        return Repair(tuple(edit for one in sorted(together) for edit in mine.undone(one).edits))


class PlacedProfile(NamedTuple):
    """A profile and where it was read."""

    path: str
    profile: Profile


def in_context(context: object, path: str, field: str) -> PlacedProfile | None:
    """The profile in ``field`` of the securityContext of a pod or container at ``path``; None where none is set."""
    raw = mapping(mapping(context).get(field))
    kind = text(raw.get("type"))
    return PlacedProfile(f"{path}.securityContext.{field}.type", Profile.of(kind, raw)) if kind else None
