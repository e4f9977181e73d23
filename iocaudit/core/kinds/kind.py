"""What a kind is to the auditor: group, plural, scope, and where pods stand inside it."""

from dataclasses import dataclass
from typing import Literal

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
class PodAt:
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
    """One kind of the API, compared by identity: each is declared once.

    ``version`` is the one we read it by; ``group`` is empty for the core group.
    """

    group: str
    version: str
    name: str
    plural: str
    namespaced: bool = True
    pods: tuple[PodAt, ...] = ()
    subresources: tuple[str, ...] = ()
    """Subresources whose requests carry this very kind, such as ``ephemeralcontainers`` of pods."""

    @property
    def key(self) -> tuple[str, str]:
        return (self.group, self.name)

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    def __str__(self) -> str:
        return f"{self.name}.{self.group}" if self.group else self.name
