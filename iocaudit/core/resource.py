"""One Kubernetes object and where it came from."""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from iocaudit.core.identity import BOUNDS, bounded
from iocaudit.core.kinds import NAMESPACE, Kind, kind_of
from iocaudit.core.partial import PartialObject
from iocaudit.core.shape import Json, mapping, mappings, text

T = TypeVar("T")


class Ref(NamedTuple):
    """Names an object by group and kind. ``namespace`` is None for cluster scope and where a file leaves it out."""

    group: str
    version: str
    kind: str
    namespace: str | None
    name: str

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def shown(self) -> "Ref":
        """The same in at most as many characters as records hold: equal only where the objects are the same.

        What a pod claims to be owned by, and objects of RBAC, may have names and kinds of any length.
        """
        group, version, kind, namespace, name = self
        whole = group + version + kind + (namespace or "")
        if len(whole) < _SHORT and len(name) < _SHORT:
            return self
        return Ref(**{part: value and bounded(value, BOUNDS[part]) for part, value in self._asdict().items()})

    def __str__(self) -> str:
        _, _, kind, namespace, name = self.shown
        return f"{kind} {namespace}/{name}" if namespace else f"{kind} {name}"


_SHORT = min(BOUNDS.values())


class Origin(NamedTuple):
    """Where a resource was read. ``document`` counts from 0 in its file; ``item`` is the path inside a List.

    ``rendered``: it was made of what stands there, so it cannot be changed there as it is.
    ``by_shape``: it, or its pods, were found by their shape in an object of a kind that no check knows.
    """

    source: str
    """``file``, ``admission`` or ``cluster``."""
    file: str | None = None
    line: int | None = None
    document: int = 0
    item: str = ""
    by_shape: bool = False
    rendered: bool = False


CLUSTER = Origin("cluster")
ADMISSION = Origin("admission")


class Resource:
    """An object as decoded JSON (``raw``) with the parts every reader needs taken out once.

    ``kind`` is None for a kind we don't know. ``name`` is ``metadata.name``, else ``metadata.generateName``,
    else empty. ``namespace`` is None for cluster scope and where the object does not say. ``lacks`` says what of the
    object is missing in ``raw`` and why; it is empty where nothing is.
    """

    __slots__ = (
        "_derived",
        "_ref",
        "group",
        "kind",
        "kind_name",
        "lacks",
        "metadata",
        "name",
        "namespace",
        "origin",
        "raw",
        "version",
    )

    def __init__(self, raw: Json, origin: Origin, *, kind: Kind | None = None) -> None:
        self.raw = raw
        self.lacks = raw.lacks if type(raw) is PartialObject else ""
        self.origin = origin
        group, _, version = text(raw.get("apiVersion")).rpartition("/")
        self.group = group
        self.version = version
        self.kind_name = text(raw.get("kind"))
        self.kind = kind or kind_of(group, self.kind_name)
        self.metadata = mapping(raw.get("metadata"))
        self.name = text(self.metadata.get("name")) or text(self.metadata.get("generateName"))
        scoped = self.kind is None or self.kind.namespaced
        self.namespace = (text(self.metadata.get("namespace")) or None) if scoped else None
        self._ref: Ref | None = None
        self._derived: dict[Any, Any] | None = None

    @property
    def ref(self) -> Ref:
        found = self._ref
        if found is None or found.name != self.name or found.namespace != self.namespace:
            found = self._ref = Ref(self.group, self.version, self.kind_name, self.namespace, self.name)
        return found

    @property
    def uid(self) -> str:
        return text(self.metadata.get("uid"))

    @property
    def labels(self) -> dict[str, Any]:
        return dict(mapping(self.metadata.get("labels")))

    @property
    def annotations(self) -> dict[str, Any]:
        return dict(mapping(self.metadata.get("annotations")))

    @property
    def controller(self) -> Json | None:
        """The ownerReference that names the controller, as claimed."""
        return next((r for r in mappings(self.metadata.get("ownerReferences")) if r.get("controller") is True), None)

    @property
    def home(self) -> str | None:
        """The namespace whose policy and report this object belongs to: a Namespace is at home in itself."""
        return self.name if self.kind is NAMESPACE else self.namespace

    def derive(self, build: "Callable[[Resource], T]") -> T:
        """``build(self)``, kept with this object: what is read out of it is read once, whatever else changes."""
        kept = self._derived
        if kept is None:
            kept = self._derived = {}
        if build not in kept:
            kept[build] = build(self)
        value: T = kept[build]
        return value

    def forget(self, build: "Callable[[Resource], T]") -> T | None:
        """Let go of what ``derive`` keeps of ``build``: what it was, None where it was not asked for."""
        return self._derived.pop(build, None) if self._derived else None

    def __reduce__(self) -> tuple[Any, ...]:
        return _resource, (self.raw, self.origin, self.kind)  # what is derived is derived again

    def __repr__(self) -> str:
        return f"Resource({self.ref})"


def _resource(raw: Json, origin: Origin, kind: Kind | None) -> Resource:
    return Resource(raw, origin, kind=kind)
