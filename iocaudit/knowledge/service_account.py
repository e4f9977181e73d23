"""Which ServiceAccount a pod runs as, and whether its token is mounted.

Source: Kubernetes documentation, Configure Service Accounts for Pods: the pod's automountServiceAccountToken
decides, then the ServiceAccount's, else it is mounted. A projected volume may mount one whatever these say.
"""

from typing import NamedTuple

from iocaudit.core.kinds import SERVICE_ACCOUNT
from iocaudit.core.shape import lookup, mappings, text
from iocaudit.core.world import World
from iocaudit.knowledge.pods.pod import PodSpec
from iocaudit.knowledge.rbac.subjects import Subject


class Mount(NamedTuple):
    """Whether a pod gets a token. ``at`` is the deciding field below the pod, ``problem`` why it is not known."""

    mounted: bool
    at: str
    problem: str | None = None


def account_of(pod: PodSpec, world: World) -> Subject:
    """The identity a pod acts as."""
    return Subject("ServiceAccount", pod.service_account, world.namespace_of(pod.resource) or world.default_namespace)


def token_mount(pod: PodSpec, world: World) -> Mount:
    """Whether a token of its ServiceAccount is mounted into a pod."""
    own = pod.spec.get("automountServiceAccountToken")
    if isinstance(own, bool):
        return Mount(own or _projects_token(pod), "automountServiceAccountToken")
    if _projects_token(pod):
        return Mount(True, "volumes")
    subject = account_of(pod, world)
    account = world.get(SERVICE_ACCOUNT, subject.namespace, subject.name, near=pod.resource)
    if account is None:
        incomplete = world.incomplete(SERVICE_ACCOUNT)
        problem = f"{subject.title} is not known here ({incomplete})" if incomplete else None
        return Mount(True, "automountServiceAccountToken", problem)
    return Mount(account.raw.get("automountServiceAccountToken") is not False, "automountServiceAccountToken")


def _projects_token(pod: PodSpec) -> bool:
    """Whether a projected volume holds a token for the API server (none that is for another audience)."""
    return any(
        source.get("serviceAccountToken") is not None and _is_for_api(source["serviceAccountToken"])
        for volume in pod.volumes
        for source in mappings(lookup(volume, "projected", "sources"))
    )


def _is_for_api(token: object) -> bool:
    """Whether the API server takes it: unset, the audience is its own, which nearly every cluster calls after the
    Service ``kubernetes.default``."""
    audience = text(lookup(token, "audience"))
    return not audience or "kubernetes.default" in audience
