"""The kinds the auditor knows: group, plural, scope, and where pods stand inside them.

A kind that is not listed here can still be read and printed; no check looks at it. Sources: the
Kubernetes API reference for built-in groups, each project's CRDs for the rest.
"""

from dataclasses import dataclass
from typing import Literal

PodStyle = Literal["template", "spec", "tekton", "argo"]


@dataclass(frozen=True, slots=True)
class PodAt:
    """Where a pod stands in a kind: map keys from the top, ``[]`` for each item of a list, ``*`` for each value.

    ``template``: a PodTemplateSpec (metadata and spec). ``spec``: a PodSpec. ``tekton``: a TaskSpec
    (``steps`` and ``sidecars``). ``argo``: a template of an Argo workflow (``container``, ``script``, …).
    """

    path: tuple[str, ...]
    style: PodStyle = "template"


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of the API. ``version`` is the one we read it by; ``group`` is empty for the core group."""

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


_TEMPLATE = (PodAt(("spec", "template")),)

POD = Kind("", "v1", "Pod", "pods", pods=(PodAt(("spec",), "spec"),), subresources=("ephemeralcontainers", "resize"))
POD_TEMPLATE = Kind("", "v1", "PodTemplate", "podtemplates", pods=(PodAt(("template",)),))
REPLICATION_CONTROLLER = Kind("", "v1", "ReplicationController", "replicationcontrollers", pods=_TEMPLATE)
REPLICA_SET = Kind("apps", "v1", "ReplicaSet", "replicasets", pods=_TEMPLATE)
DEPLOYMENT = Kind("apps", "v1", "Deployment", "deployments", pods=_TEMPLATE)
STATEFUL_SET = Kind("apps", "v1", "StatefulSet", "statefulsets", pods=_TEMPLATE)
DAEMON_SET = Kind("apps", "v1", "DaemonSet", "daemonsets", pods=_TEMPLATE)
JOB = Kind("batch", "v1", "Job", "jobs", pods=_TEMPLATE)
CRON_JOB = Kind("batch", "v1", "CronJob", "cronjobs", pods=(PodAt(("spec", "jobTemplate", "spec", "template")),))
WORKLOADS: tuple[Kind, ...] = (
    POD,
    POD_TEMPLATE,
    REPLICATION_CONTROLLER,
    REPLICA_SET,
    DEPLOYMENT,
    STATEFUL_SET,
    DAEMON_SET,
    JOB,
    CRON_JOB,
)
"""The built-in kinds that hold pods."""


def _custom(group: str, version: str, name: str, plural: str, *at: PodAt | str, namespaced: bool = True) -> Kind:
    places = tuple(PodAt(tuple(a.split("."))) if isinstance(a, str) else a for a in at)
    return Kind(group, version, name, plural, namespaced, places)


def _argo(*path: str) -> tuple[PodAt, ...]:
    return (PodAt((*path, "templates", "[]"), "argo"), PodAt((*path, "templateDefaults"), "argo"))


_RAY = ("headGroupSpec.template", "workerGroupSpecs.[].template")

CUSTOM_WORKLOADS: tuple[Kind, ...] = (
    _custom("argoproj.io", "v1alpha1", "Rollout", "rollouts", "spec.template"),
    _custom("argoproj.io", "v1alpha1", "Workflow", "workflows", *_argo("spec")),
    _custom("argoproj.io", "v1alpha1", "WorkflowTemplate", "workflowtemplates", *_argo("spec")),
    _custom(
        "argoproj.io",
        "v1alpha1",
        "ClusterWorkflowTemplate",
        "clusterworkflowtemplates",
        *_argo("spec"),
        namespaced=False,
    ),
    _custom("argoproj.io", "v1alpha1", "CronWorkflow", "cronworkflows", *_argo("spec", "workflowSpec")),
    _custom("serving.knative.dev", "v1", "Service", "services", "spec.template"),
    _custom("serving.knative.dev", "v1", "Configuration", "configurations", "spec.template"),
    _custom("serving.knative.dev", "v1", "Revision", "revisions", PodAt(("spec",), "spec")),
    _custom("tekton.dev", "v1", "Task", "tasks", PodAt(("spec",), "tekton")),
    _custom("tekton.dev", "v1beta1", "ClusterTask", "clustertasks", PodAt(("spec",), "tekton"), namespaced=False),
    _custom("tekton.dev", "v1", "TaskRun", "taskruns", PodAt(("spec", "taskSpec"), "tekton")),
    _custom("tekton.dev", "v1", "Pipeline", "pipelines", PodAt(("spec", "tasks", "[]", "taskSpec"), "tekton")),
    _custom(
        "tekton.dev",
        "v1",
        "PipelineRun",
        "pipelineruns",
        PodAt(("spec", "pipelineSpec", "tasks", "[]", "taskSpec"), "tekton"),
    ),
    _custom("kubeflow.org", "v1", "Notebook", "notebooks", "spec.template"),
    _custom("kubeflow.org", "v1", "PyTorchJob", "pytorchjobs", "spec.pytorchReplicaSpecs.*.template"),
    _custom("kubeflow.org", "v1", "TFJob", "tfjobs", "spec.tfReplicaSpecs.*.template"),
    _custom("kubeflow.org", "v1", "MPIJob", "mpijobs", "spec.mpiReplicaSpecs.*.template"),
    _custom("kubeflow.org", "v1", "XGBoostJob", "xgboostjobs", "spec.xgbReplicaSpecs.*.template"),
    _custom("kubeflow.org", "v1", "PaddleJob", "paddlejobs", "spec.paddleReplicaSpecs.*.template"),
    _custom("kubeflow.org", "v1", "JAXJob", "jaxjobs", "spec.jaxReplicaSpecs.*.template"),
    _custom("batch.volcano.sh", "v1alpha1", "Job", "jobs", "spec.tasks.[].template"),
    _custom("jobset.x-k8s.io", "v1alpha2", "JobSet", "jobsets", "spec.replicatedJobs.[].template.spec.template"),
    _custom(
        "leaderworkerset.x-k8s.io",
        "v1",
        "LeaderWorkerSet",
        "leaderworkersets",
        "spec.leaderWorkerTemplate.leaderTemplate",
        "spec.leaderWorkerTemplate.workerTemplate",
    ),
    _custom("ray.io", "v1", "RayCluster", "rayclusters", *(f"spec.{p}" for p in _RAY)),
    _custom("ray.io", "v1", "RayJob", "rayjobs", *(f"spec.rayClusterSpec.{p}" for p in _RAY)),
    _custom("ray.io", "v1", "RayService", "rayservices", *(f"spec.rayClusterConfig.{p}" for p in _RAY)),
    _custom("keda.sh", "v1alpha1", "ScaledJob", "scaledjobs", "spec.jobTargetRef.template"),
    _custom("apps.openshift.io", "v1", "DeploymentConfig", "deploymentconfigs", "spec.template"),
    _custom("apps.kruise.io", "v1alpha1", "CloneSet", "clonesets", "spec.template"),
    _custom("apps.kruise.io", "v1beta1", "StatefulSet", "statefulsets", "spec.template"),
    _custom("apps.kruise.io", "v1alpha1", "DaemonSet", "daemonsets", "spec.template"),
    _custom(
        "machinelearning.seldon.io",
        "v1",
        "SeldonDeployment",
        "seldondeployments",
        "spec.predictors.[].componentSpecs.[]",
    ),
)
"""Custom kinds that hold pods under a conventional path."""

PODS: tuple[Kind, ...] = WORKLOADS + CUSTOM_WORKLOADS
"""What a check on pods looks at."""

NAMESPACE = Kind("", "v1", "Namespace", "namespaces", namespaced=False)
SERVICE = Kind("", "v1", "Service", "services")
SERVICE_ACCOUNT = Kind("", "v1", "ServiceAccount", "serviceaccounts")
LIMIT_RANGE = Kind("", "v1", "LimitRange", "limitranges")
SECRET = Kind("", "v1", "Secret", "secrets")
PERSISTENT_VOLUME = Kind("", "v1", "PersistentVolume", "persistentvolumes", namespaced=False)
PERSISTENT_VOLUME_CLAIM = Kind("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims")

_RBAC = "rbac.authorization.k8s.io"
ROLE = Kind(_RBAC, "v1", "Role", "roles")
CLUSTER_ROLE = Kind(_RBAC, "v1", "ClusterRole", "clusterroles", namespaced=False)
ROLE_BINDING = Kind(_RBAC, "v1", "RoleBinding", "rolebindings")
CLUSTER_ROLE_BINDING = Kind(_RBAC, "v1", "ClusterRoleBinding", "clusterrolebindings", namespaced=False)

NETWORK_POLICY = Kind("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies")
INGRESS = Kind("networking.k8s.io", "v1", "Ingress", "ingresses")
INGRESS_CLASS = Kind("networking.k8s.io", "v1", "IngressClass", "ingressclasses", namespaced=False)

TRAEFIK_INGRESS_ROUTE = Kind("traefik.io", "v1alpha1", "IngressRoute", "ingressroutes")
TRAEFIK_MIDDLEWARE = Kind("traefik.io", "v1alpha1", "Middleware", "middlewares")
LEGACY_TRAEFIK_INGRESS_ROUTE = Kind("traefik.containo.us", "v1alpha1", "IngressRoute", "ingressroutes")
LEGACY_TRAEFIK_MIDDLEWARE = Kind("traefik.containo.us", "v1alpha1", "Middleware", "middlewares")

POD_EXEC = Kind("", "v1", "PodExecOptions", "pods/exec")
POD_ATTACH = Kind("", "v1", "PodAttachOptions", "pods/attach")
POD_PORT_FORWARD = Kind("", "v1", "PodPortForwardOptions", "pods/portforward")
POD_PROXY = Kind("", "v1", "PodProxyOptions", "pods/proxy")
SERVICE_PROXY = Kind("", "v1", "ServiceProxyOptions", "services/proxy")
NODE_PROXY = Kind("", "v1", "NodeProxyOptions", "nodes/proxy", namespaced=False)
CONNECTIONS: tuple[Kind, ...] = (
    POD_EXEC,
    POD_ATTACH,
    POD_PORT_FORWARD,
    POD_PROXY,
    SERVICE_PROXY,
    NODE_PROXY,
)
"""What a CONNECT request carries; ``plural`` is resource/subresource."""

KINDS: dict[tuple[str, str], Kind] = {
    kind.key: kind
    for kind in (
        *PODS,
        NAMESPACE,
        SERVICE,
        SERVICE_ACCOUNT,
        LIMIT_RANGE,
        SECRET,
        PERSISTENT_VOLUME,
        PERSISTENT_VOLUME_CLAIM,
        ROLE,
        CLUSTER_ROLE,
        ROLE_BINDING,
        CLUSTER_ROLE_BINDING,
        NETWORK_POLICY,
        INGRESS,
        INGRESS_CLASS,
        TRAEFIK_INGRESS_ROUTE,
        TRAEFIK_MIDDLEWARE,
        LEGACY_TRAEFIK_INGRESS_ROUTE,
        LEGACY_TRAEFIK_MIDDLEWARE,
        *CONNECTIONS,
    )
}

# Groups that served a kind before it moved; the API server converts them, files still carry them.
_MOVED: dict[tuple[str, str], Kind] = {
    ("extensions", "Deployment"): DEPLOYMENT,
    ("extensions", "DaemonSet"): DAEMON_SET,
    ("extensions", "ReplicaSet"): REPLICA_SET,
    ("extensions", "Ingress"): INGRESS,
    ("extensions", "NetworkPolicy"): NETWORK_POLICY,
    ("extensions", "Job"): JOB,
    ("authorization.openshift.io", "ClusterRole"): CLUSTER_ROLE,
    ("authorization.openshift.io", "Role"): ROLE,
    ("authorization.openshift.io", "ClusterRoleBinding"): CLUSTER_ROLE_BINDING,
    ("authorization.openshift.io", "RoleBinding"): ROLE_BINDING,
}


def kind_of(group: str, name: str) -> Kind | None:
    """The kind served as ``group`` and ``name`` now or in the past; None where we don't know it."""
    return KINDS.get((group, name)) or _MOVED.get((group, name))
