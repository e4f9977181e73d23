"""What the API server lets nobody change of an object that exists: it has to be deleted and made again.

Sources: the Kubernetes documentation, Pod update and replacement; ValidatePodUpdate, ValidateJobUpdate,
ValidateStatefulSetUpdate, ValidatePersistentVolumeUpdate and ValidateRoleBindingUpdate of kube-apiserver; the webhooks
of Tekton, Knative, Kueue, JobSet and Volcano.
"""

from __future__ import annotations

from iocaudit.core.hit import Hit
from iocaudit.core.kinds import Kind
from iocaudit.core.shape import Json

_FIXED: dict[tuple[str, str], tuple[str, ...]] = {
    ("", "Pod"): ("spec", "metadata.annotations"),
    ("", "PersistentVolume"): ("spec",),
    ("apps", "StatefulSet"): (
        "spec.podManagementPolicy",
        "spec.selector",
        "spec.serviceName",
        "spec.volumeClaimTemplates",
    ),
    ("batch", "Job"): ("spec.completionMode", "spec.selector", "spec.template"),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): ("roleRef",),
    ("rbac.authorization.k8s.io", "RoleBinding"): ("roleRef",),
    ("batch.volcano.sh", "Job"): ("spec.tasks",),
    ("jobset.x-k8s.io", "JobSet"): ("spec.replicatedJobs",),
    ("kueue.x-k8s.io", "Workload"): ("spec.podSets",),
    ("serving.knative.dev", "Revision"): ("spec",),
    ("tekton.dev", "PipelineRun"): ("spec",),
    ("tekton.dev", "TaskRun"): ("spec",),
}
_MAY_BE_IMMUTABLE = frozenset({("", "ConfigMap"), ("", "Secret")})
_DATA = ("binaryData", "data", "stringData")


def is_fixed(kind: Kind, raw: Json, hit: Hit) -> bool:
    """Whether the repair of a hit changes what nobody can change of that object while it exists."""
    if hit.repair is None:
        return False
    fixed = _FIXED.get(kind.key, ())
    if kind.key in _MAY_BE_IMMUTABLE and raw.get("immutable") is True:
        fixed = (*fixed, *_DATA)
    return any(_is_below(edit.path or hit.path, part) for edit in hit.repair.edits for part in fixed)


def _is_below(path: str, part: str) -> bool:
    return path.startswith(part) and path[len(part) : len(part) + 1] in ("", ".", "[")


def recreated(kind: Kind, raw: Json, hit: Hit, fix: str) -> Hit:
    """The hit of an existing object: without a repair that the API server would refuse, with the way that is left."""
    if not is_fixed(kind, raw, hit):
        return hit
    way = f"This cannot be changed while the {kind.name} exists: delete it and create it again."
    return hit._replace(repair=None, fix=f"{fix} {way}".strip())
