"""What a kind is to the auditor: group, plural, scope, and where pods stand inside it."""

from dataclasses import dataclass, field
from typing import Any, Literal

PodStyle = Literal[
    "template",
    "spec",
    "argo",
    "kserve",
    "shape",
    "spark",
    "tekton",
    "tekton-run",
    "tekton-pipeline",
    "tekton-pipeline-run",
]


@dataclass(frozen=True, slots=True)
class PodLocation:
    """Where a pod stands in a kind: map keys from the top, ``[]`` for each item of a list, ``*`` for each value.

    ``template``: a PodTemplateSpec (metadata and spec). ``spec``: a PodSpec. Of the others a controller makes pods
    out of several parts (``core.composed``): ``argo`` is a WorkflowSpec, ``kserve`` a component of an InferenceService,
    ``spark`` a SparkApplicationSpec, ``tekton`` a TaskSpec, the rest the specs of a TaskRun, a Pipeline and a
    PipelineRun. ``shape`` is the whole of an object of an unknown kind (``core.by_shape``).
    """

    path: tuple[str, ...]
    style: PodStyle = "template"


@dataclass(frozen=True, slots=True, eq=False)
class Kind:
    """One kind of the API: two of the same group and name are equal, whatever else they say.

    ``version`` is the one we read it by; ``group`` is empty for the core group. A kind that this package declares is
    one object in every process, copies and pickles included, so ``kind is POD`` asks the same as ``==``.
    """

    group: str
    version: str
    name: str
    plural: str
    namespaced: bool = True
    pods: tuple[PodLocation, ...] = ()
    subresources: tuple[str, ...] = ()
    """Subresources whose requests carry this very kind, such as ``ephemeralcontainers`` of pods."""
    _hash: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_hash", hash((self.group, self.name)))

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return self.name == other.name and self.group == other.group if isinstance(other, Kind) else NotImplemented

    def __hash__(self) -> int:
        return self._hash

    def __reduce__(self) -> tuple[Any, ...]:
        given = (self.group, self.version, self.name, self.plural, self.namespaced, self.pods, self.subresources)
        return _declared_or_new, given

    @property
    def key(self) -> tuple[str, str]:
        return (self.group, self.name)

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    def __str__(self) -> str:
        return f"{self.name}.{self.group}" if self.group else self.name


def _declared_or_new(group: str, version: str, *rest: Any) -> Kind:
    """What a pickle or a copy of a kind becomes: the declared one where it is that."""
    from iocaudit.core.kinds import KINDS  # late: it imports this module
    from iocaudit.core.kinds.unknown import SHAPED

    kind = Kind(group, version, *rest)
    declared = SHAPED if kind == SHAPED else KINDS.get(kind.key)
    return declared if declared is not None and declared.version == version else kind
