"""Where a pod says that it runs as processes of a Windows node."""

from iocaudit.core.shape import lookup
from iocaudit.knowledge.pods.pod import PodSpec

_FIELD = "securityContext.windowsOptions.hostProcess"


def host_process_paths(pod: PodSpec) -> tuple[str, ...]:
    """Every place of a pod, its own and its containers', that says so."""
    holders = [(pod.path, pod.security_context), *((one.path, one.security_context) for one in pod.containers)]
    return tuple(
        f"{path}.{_FIELD}" for path, context in holders if lookup(context, "windowsOptions", "hostProcess") is True
    )
