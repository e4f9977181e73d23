"""What the operator remembers of an audited object: not the object, only its version, owner and hits."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field, replace
from typing import NamedTuple, TypeVar, cast

from iocaudit.core.hit import Hit
from iocaudit.core.images_behind import Images
from iocaudit.core.kinds import REPLICATION_CONTROLLER, Kind
from iocaudit.core.report import Fault, Report, ReportedHit, Skipped, home_of
from iocaudit.core.resource import Ref, Resource
from iocaudit.core.severity import IoC, Severity
from iocaudit.core.shape import Json, integer, lookup, text
from iocaudit.core.stored_patch import StoredPatch, stored_patch
from iocaudit.knowledge.mutability import recreated
from iocaudit.knowledge.pods.places import pods_of

T = TypeVar("T", bound=Hashable)


class Controller(NamedTuple):
    """The controller reference of an object."""

    group: str
    version: str
    kind: str
    name: str
    uid: str


class SharedHit(NamedTuple):
    """A hit without its subject, so objects of one template share it.

    ``template_path`` is the path as it would read on the pod itself, whichever template it stands in; ``images`` are
    those behind it.
    """

    check: str
    severity: Severity
    iocs: tuple[IoC, ...]
    hit: Hit
    fix: str
    template_path: str
    images: Images = ()
    weight: int = 0

    @property
    def in_template(self) -> tuple[str, str, str]:
        """What is the same hit on a pod and on the template it was made from."""
        return (self.check, self.template_path, self.hit.evidence)


LabelPairs = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class AuditedObject:
    """One audited object. ``idle``: it asks for no pod at all (a ReplicaSet of zero).

    ``labels`` are kept where a selector or a waiver may ask for them, ``patches`` by check where the object is nobody
    else's: whatever made an object would undo a patch of it.
    """

    uid: str
    kind: Kind
    ref: Ref
    resource_version: str
    hits: tuple[SharedHit, ...] = ()
    controller: Controller | None = None
    labels: LabelPairs = ()
    selector: Json | None = None
    idle: bool = False
    skipped: tuple[Skipped, ...] = ()
    faults: tuple[Fault, ...] = ()
    not_configured: tuple[str, ...] = ()
    patches: tuple[tuple[str, StoredPatch], ...] = ()

    @property
    def home(self) -> str | None:
        """The namespace its report belongs to."""
        return home_of(self.ref)

    def in_template(self) -> dict[tuple[str, str, str], SharedHit]:
        return {hit.in_template: hit for hit in self.hits}

    def claiming(self, controller: Controller) -> AuditedObject:
        """The same object under another controller."""
        return replace(self, controller=controller)


@dataclass(slots=True)
class Interner:
    """One copy of equal values: 10,000 pods of a few templates have few different hits."""

    _kept: dict[Hashable, Hashable] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __call__(self, value: T) -> T:
        return cast(T, self._kept.setdefault(value, value))


def keep(resource: Resource, report: Report, intern: Interner, *, patches: bool = True) -> AuditedObject:
    """Take from an audited object and its report what is kept, the patches of its repairs only where asked."""
    kind = resource.kind
    assert kind is not None, "only known kinds are audited"
    controller = _controller(resource)
    found = report.found
    if patches and controller is None:
        found = [_feasible(one, resource) for one in found]
    return AuditedObject(
        uid=resource.uid,
        kind=kind,
        ref=resource.ref,
        resource_version=text(resource.metadata.get("resourceVersion")),
        hits=_hits(resource, report, found, intern),
        controller=intern(controller) if controller else None,
        labels=intern(_labels(resource.labels, intern)) if controller or report.found else (),
        selector=_selector(resource) if kind.pods else None,
        idle=bool(kind.pods) and integer(lookup(resource.raw, "spec", "replicas")) == 0,
        skipped=tuple(report.skipped),
        faults=tuple(report.faults),
        not_configured=intern(tuple(sorted(report.not_configured))),
        patches=_patches(resource, found, intern) if patches and controller is None else (),
    )


_MOST_SHARED_IMAGES = 16


def _hits(
    resource: Resource, report: Report, all_found: Iterable[ReportedHit], intern: Interner
) -> tuple[SharedHit, ...]:
    """What is kept of the hits. One with many images behind it is not shared, as comparing those takes long."""
    kept: list[SharedHit] = []
    all_shared = True
    for found in all_found:
        images = report.behind(found).images
        shared = len(images) <= _MOST_SHARED_IMAGES
        all_shared = all_shared and shared
        hit = SharedHit(
            found.check,
            found.severity,
            found.iocs,
            # Its values may be of a kind that can't be shared; what it amounts to is a text.
            found.hit._replace(repair=None),
            found.default_fix,
            _template_path(resource, found.hit.path),
            intern(images) if shared else images,
            found.weight,
        )
        kept.append(intern(hit) if shared else hit)
    return intern(tuple(kept)) if all_shared else tuple(kept)


def _feasible(found: ReportedHit, resource: Resource) -> ReportedHit:
    """The hit on a stored object with no other repair than one that the API server takes."""
    kind = resource.kind
    assert kind is not None, "only known kinds are audited"
    hit = recreated(kind, resource.raw, found.hit, found.fix)
    return found if hit is found.hit else found._replace(hit=hit)


def _patches(resource: Resource, found: Iterable[ReportedHit], intern: Interner) -> tuple[tuple[str, StoredPatch], ...]:
    """The patch of each check that hits; many objects need the same."""
    by_check: dict[str, dict[tuple[str, str, str], Hit]] = {}
    for one in found:
        if one.hit.repair is not None:
            by_check.setdefault(one.check, {}).setdefault(one.same_hit, one.hit)
    made = ((check, stored_patch(resource.raw, hits.values())) for check, hits in by_check.items())
    return intern(tuple((check, intern(patch)) for check, patch in made if patch is not None))


def _controller(resource: Resource) -> Controller | None:
    reference = resource.controller
    if reference is None:
        return None
    group, _, version = text(reference.get("apiVersion")).rpartition("/")
    return Controller(
        group, version, text(reference.get("kind")), text(reference.get("name")), text(reference.get("uid"))
    )


def _template_path(resource: Resource, path: str) -> str:
    for pod in pods_of(resource):
        for prefix, plain in ((pod.path, "spec"), (pod.metadata_path, "metadata")):
            if path == prefix or path.startswith((f"{prefix}.", f"{prefix}[")):
                return plain + path[len(prefix) :]
    return path


def _labels(labels: dict[str, object], intern: Interner) -> LabelPairs:
    """Sorted, so equal ones are one: each pod of a template carries the same."""
    return tuple(intern((key, value)) for key, value in sorted(labels.items()) if isinstance(value, str))


def _selector(resource: Resource) -> Json | None:
    """The owner's label selector; None where it has none, so the uid alone has to do."""
    selector = lookup(resource.raw, "spec", "selector")
    if not isinstance(selector, dict) or not selector:
        return None
    return {"matchLabels": selector} if resource.kind is REPLICATION_CONTROLLER else selector
