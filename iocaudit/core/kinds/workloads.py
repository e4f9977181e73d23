"""The kinds that hold pods. Sources: the Kubernetes API reference, each project's CRDs for the custom ones."""

from iocaudit.core.kinds.kind import Kind, PodLocation

_TEMPLATE = (PodLocation(("spec", "template")),)

POD = Kind(
    "", "v1", "Pod", "pods", pods=(PodLocation(("spec",), "spec"),), subresources=("ephemeralcontainers", "resize")
)
POD_TEMPLATE = Kind("", "v1", "PodTemplate", "podtemplates", pods=(PodLocation(("template",)),))
REPLICATION_CONTROLLER = Kind("", "v1", "ReplicationController", "replicationcontrollers", pods=_TEMPLATE)
REPLICA_SET = Kind("apps", "v1", "ReplicaSet", "replicasets", pods=_TEMPLATE)
DEPLOYMENT = Kind("apps", "v1", "Deployment", "deployments", pods=_TEMPLATE)
STATEFUL_SET = Kind("apps", "v1", "StatefulSet", "statefulsets", pods=_TEMPLATE)
DAEMON_SET = Kind("apps", "v1", "DaemonSet", "daemonsets", pods=_TEMPLATE)
JOB = Kind("batch", "v1", "Job", "jobs", pods=_TEMPLATE)
CRON_JOB = Kind("batch", "v1", "CronJob", "cronjobs", pods=(PodLocation(("spec", "jobTemplate", "spec", "template")),))
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


def _custom(group: str, version: str, name: str, plural: str, *at: PodLocation | str, namespaced: bool = True) -> Kind:
    places = tuple(PodLocation(tuple(a.split("."))) if isinstance(a, str) else a for a in at)
    return Kind(group, version, name, plural, namespaced, places)


_TRAINING = "spec.template.spec.replicatedJobs.[].template.spec.template"
_SERVING = (PodLocation(("spec",), "spec"), PodLocation(("spec", "workerSpec"), "spec"))
_SUBSETS = ("statefulSet", "advancedStatefulSet", "cloneSet", "deployment")
_RAY = ("headGroupSpec.template", "workerGroupSpecs.[].template")

CUSTOM_WORKLOADS: tuple[Kind, ...] = (
    _custom("argoproj.io", "v1alpha1", "Rollout", "rollouts", "spec.template"),
    _custom("argoproj.io", "v1alpha1", "Workflow", "workflows", PodLocation(("spec",), "argo")),
    _custom("argoproj.io", "v1alpha1", "WorkflowTemplate", "workflowtemplates", PodLocation(("spec",), "argo")),
    _custom(
        "argoproj.io",
        "v1alpha1",
        "ClusterWorkflowTemplate",
        "clusterworkflowtemplates",
        PodLocation(("spec",), "argo"),
        namespaced=False,
    ),
    _custom("argoproj.io", "v1alpha1", "CronWorkflow", "cronworkflows", PodLocation(("spec", "workflowSpec"), "argo")),
    _custom("serving.knative.dev", "v1", "Service", "services", "spec.template"),
    _custom("serving.knative.dev", "v1", "Configuration", "configurations", "spec.template"),
    _custom("serving.knative.dev", "v1", "Revision", "revisions", PodLocation(("spec",), "spec")),
    _custom("tekton.dev", "v1", "Task", "tasks", PodLocation(("spec",), "tekton")),
    _custom("tekton.dev", "v1beta1", "ClusterTask", "clustertasks", PodLocation(("spec",), "tekton"), namespaced=False),
    _custom("tekton.dev", "v1", "TaskRun", "taskruns", PodLocation(("spec",), "tekton-run")),
    _custom("tekton.dev", "v1", "Pipeline", "pipelines", PodLocation(("spec",), "tekton-pipeline")),
    _custom("tekton.dev", "v1", "PipelineRun", "pipelineruns", PodLocation(("spec",), "tekton-pipeline-run")),
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
    _custom(
        "ray.io", "v1", "RayJob", "rayjobs", *(f"spec.rayClusterSpec.{p}" for p in _RAY), "spec.submitterPodTemplate"
    ),
    _custom("ray.io", "v1", "RayService", "rayservices", *(f"spec.rayClusterConfig.{p}" for p in _RAY)),
    _custom("serving.kserve.io", "v1alpha1", "ServingRuntime", "servingruntimes", *_SERVING),
    _custom(
        "serving.kserve.io",
        "v1alpha1",
        "ClusterServingRuntime",
        "clusterservingruntimes",
        *_SERVING,
        namespaced=False,
    ),
    _custom(
        "serving.kserve.io",
        "v1beta1",
        "InferenceService",
        "inferenceservices",
        *(PodLocation(("spec", part), "kserve") for part in ("predictor", "transformer", "explainer")),
    ),
    _custom("trainer.kubeflow.org", "v1alpha1", "TrainingRuntime", "trainingruntimes", _TRAINING),
    _custom(
        "trainer.kubeflow.org",
        "v1alpha1",
        "ClusterTrainingRuntime",
        "clustertrainingruntimes",
        _TRAINING,
        namespaced=False,
    ),
    _custom("kubeflow.org", "v1beta1", "Experiment", "experiments", "spec.trialTemplate.trialSpec.spec.template"),
    _custom("agones.dev", "v1", "GameServer", "gameservers", "spec.template"),
    _custom("agones.dev", "v1", "GameServerSet", "gameserversets", "spec.template.spec.template"),
    _custom("agones.dev", "v1", "Fleet", "fleets", "spec.template.spec.template"),
    _custom("kueue.x-k8s.io", "v1beta1", "Workload", "workloads", "spec.podSets.[].template"),
    _custom("keda.sh", "v1alpha1", "ScaledJob", "scaledjobs", "spec.jobTargetRef.template"),
    _custom("apps.openshift.io", "v1", "DeploymentConfig", "deploymentconfigs", "spec.template"),
    _custom("apps.kruise.io", "v1alpha1", "CloneSet", "clonesets", "spec.template"),
    _custom("apps.kruise.io", "v1beta1", "StatefulSet", "statefulsets", "spec.template"),
    _custom("apps.kruise.io", "v1alpha1", "DaemonSet", "daemonsets", "spec.template"),
    _custom("apps.kruise.io", "v1alpha1", "BroadcastJob", "broadcastjobs", "spec.template"),
    _custom(
        "apps.kruise.io",
        "v1alpha1",
        "AdvancedCronJob",
        "advancedcronjobs",
        "spec.template.jobTemplate.spec.template",
        "spec.template.broadcastJobTemplate.spec.template",
    ),
    _custom(
        "apps.kruise.io",
        "v1alpha1",
        "UnitedDeployment",
        "uniteddeployments",
        *(f"spec.template.{name}Template.spec.template" for name in _SUBSETS),
    ),
    _custom(
        "sparkoperator.k8s.io", "v1beta2", "SparkApplication", "sparkapplications", PodLocation(("spec",), "spark")
    ),
    _custom(
        "sparkoperator.k8s.io",
        "v1beta2",
        "ScheduledSparkApplication",
        "scheduledsparkapplications",
        PodLocation(("spec", "template"), "spark"),
    ),
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
