"""Objects of examples: stored under names of their own, and told apart in findings."""

from __future__ import annotations

from typing import Any

from iocaudit.cluster.client import Client
from iocaudit.cluster.errors import ConflictError
from iocaudit.core.kinds import Kind, kind_of

Json = dict[str, Any]

KEPT_NAMES = ("system:", "cluster-admin", "admin", "edit", "view", "kube-")
"""What such a name begins with means something by itself, so that an example keeps it."""


def own_names(example: str, found: list[Json]) -> tuple[list[Json], set[str]]:
    """The documents under names that no other example has; what they name among each other still fits.

    Namespaces and cluster-scoped objects become ``<example>-<name>``. Returns those names as well.
    """
    names: dict[str, str] = {}
    for document in found:
        metadata, kind = document["metadata"], kind_of(*group_kind(document))
        cluster_scoped = kind is not None and not kind.namespaced
        name = metadata["name"] if cluster_scoped else metadata.get("namespace", "default")
        if not name.startswith(KEPT_NAMES):
            names[name] = (
                f"{example}.{name}" if cluster_scoped and document["kind"] != "Namespace" else f"{example}-{name}"
            )

    def renamed(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: renamed(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [renamed(inner) for inner in value]
        return names.get(value, value) if isinstance(value, str) else value

    for document in found:
        kind = kind_of(*group_kind(document))
        if kind is None or kind.namespaced:
            document["metadata"].setdefault("namespace", "default")
    return [renamed(document) for document in found], set(names.values())


def group_kind(document: Json) -> tuple[str, str]:
    return document["apiVersion"].rpartition("/")[0], document["kind"]


def kind_as(document: Json) -> Kind | None:
    """The kind of a document in the version that it names; None where we don't know it."""
    group, name = group_kind(document)
    known = kind_of(group, name)
    if known is None:
        return None
    version = document["apiVersion"].rpartition("/")[2]
    return Kind(group, version, known.name, known.plural, known.namespaced)


def create(client: Client, document: Json) -> None:
    """Store it, if we know its kind."""
    kind = kind_as(document)
    if kind is None:
        return
    try:
        client.create(kind, document)
    except ConflictError:
        # A name that the server brought itself (a bootstrap role): the example's content takes its place.
        metadata = document["metadata"]
        before = client.get(kind, metadata.get("namespace"), metadata["name"])
        client.replace(kind, {**document, "metadata": {**before["metadata"], **metadata}})


def subject_of(body: Json) -> str:
    """``Kind namespace/name`` of what a finding is about."""
    subject = body["finding"]["subject"]
    place = f"{subject['namespace']}/" if "namespace" in subject else ""
    return f"{subject['kind']} {place}{subject['name']}"
