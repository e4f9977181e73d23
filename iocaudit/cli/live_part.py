"""Which part of a live cluster is audited: one namespace, or all but some."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from iocaudit.cluster.api import Api
from iocaudit.cluster.errors import ApiError, NotFoundError
from iocaudit.core.errors import IocauditError
from iocaudit.core.kinds import NAMESPACE, Kind
from iocaudit.core.shape import Json, mapping, text


class ClusterPart(NamedTuple):
    """``namespace`` None: the whole cluster but the namespaces that are left out."""

    namespace: str | None = None
    left_out: frozenset[str] = frozenset()

    def require(self, client: Api) -> None:
        """Raises IocauditError where the namespace is not there; anyone who may not ask finds out by reading it."""
        if self.namespace is None:
            return
        try:
            client.get(NAMESPACE, None, self.namespace)
        except NotFoundError as error:
            raise IocauditError(f"there is no namespace {self.namespace!r} in the cluster") from error
        except ApiError:
            return

    def has(self, kind: Kind) -> bool:
        """Whether objects of a kind can be in it."""
        return self.namespace is None or kind.namespaced or kind is NAMESPACE

    def objects(self, client: Api, kind: Kind) -> Iterator[Json]:
        """Its objects of a kind. Raises ApiError."""
        if self.namespace is not None and kind is NAMESPACE:
            yield client.get(NAMESPACE, None, self.namespace)
            return
        for raw in client.each(kind, namespace=self.namespace):
            if not self.left_out or _namespace(raw, kind) not in self.left_out:
                yield raw

    @property
    def notes(self) -> list[str]:
        """What to say of it."""
        if self.namespace is not None:
            return [f"only namespace {self.namespace} was audited, without cluster-scoped objects"]
        return [f"left out: {', '.join(sorted(self.left_out))}"] if self.left_out else []


def _namespace(raw: Json, kind: Kind) -> str:
    return text(mapping(raw.get("metadata")).get("name" if kind is NAMESPACE else "namespace"))
