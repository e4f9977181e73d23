"""What an API server serves, asked once for all kinds: the aggregated discovery documents of 1.30 and newer.

The catalogue knows scores of custom kinds of which few are installed anywhere; asking for each would cost a
request and a 404 apiece, again and again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from iocaudit.cluster.api import Api
from iocaudit.core.kinds import Kind
from iocaudit.core.shape import mapping, mappings, strings, text

NOT_SERVED: Final = "the API server serves no such kind that can be listed and watched"
_ACCEPT = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


@dataclass(frozen=True, slots=True)
class ServedKinds:
    """The versions by group and plural, and the groups whose own server did not say what it serves."""

    versions: dict[tuple[str, str], frozenset[str]]
    unknown: frozenset[str] = frozenset()
    kinds: Mapping[tuple[str, str], Kind] = field(default_factory=dict)
    """By group and name the kinds that can be listed and watched, in the version that the server prefers."""

    @property
    def groups(self) -> frozenset[str]:
        """The API groups of which something is served."""
        return frozenset(group for group, _ in self.versions)

    def absent(self, kind: Kind) -> bool:
        """Whether the kind is surely not served in any version, so there are no objects of it."""
        return kind.group not in self.unknown and (kind.group, kind.plural) not in self.versions

    def resolved(self, kind: Kind) -> Kind | None:
        """A kind that is known by its name alone as it is served, None where it is not; any other as it is."""
        return kind if kind.version else self.kinds.get(kind.key)

    def only_as(self, kind: Kind) -> str | None:
        """The versions it is served in, where ours is not among them; else None."""
        found = self.versions.get((kind.group, kind.plural))
        return ", ".join(sorted(found)) if found and kind.version not in found else None

    def present(self, kinds: Iterable[Kind]) -> list[Kind]:
        """Those of the kinds that are not surely absent, in their order."""
        return [kind for kind in kinds if not self.absent(kind)]


def discover(client: Api) -> ServedKinds:
    """Two requests, whatever the number of kinds. Raises as any request does."""
    versions: dict[tuple[str, str], frozenset[str]] = {}
    unknown: set[str] = set()
    kinds: dict[tuple[str, str], Kind] = {}
    for path in ("/api", "/apis"):
        answer = client.request("GET", path, accept=_ACCEPT)
        for group in mappings(answer.get("items")):
            name = text(mapping(group.get("metadata")).get("name"))
            for version in mappings(group.get("versions")):
                if version.get("freshness") == "Stale":
                    # An aggregated server that is away: what it served is kept here, perhaps in part.
                    unknown.add(name)
                for resource in mappings(version.get("resources")):
                    key = (name, text(resource.get("resource")))
                    versions[key] = versions.get(key, frozenset()) | {text(version.get("version"))}
                    kind = text(mapping(resource.get("responseKind")).get("kind"))
                    if kind and not {"list", "watch"}.difference(strings(resource.get("verbs"))):
                        made = (name, text(version.get("version")), kind, text(resource.get("resource")))
                        namespaced = resource.get("scope") != "Cluster"
                        kinds.setdefault((name, kind), Kind(*made, namespaced=namespaced))
    return ServedKinds(versions, frozenset(unknown), kinds)
