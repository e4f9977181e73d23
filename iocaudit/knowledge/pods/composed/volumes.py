"""Volumes that an object lists once for all of its pods."""

from collections.abc import Sequence

from iocaudit.core.shape import text
from iocaudit.knowledge.pods.composed.layers import Allowance, item_path
from iocaudit.knowledge.pods.pod import MistypedPart, PodSpec


def share_volumes(pods: Sequence[PodSpec], volumes: object, at: str, allowance: Allowance) -> None:
    """Give each volume to the pods that mount it: to the first where none does."""
    if volumes is None or not pods:
        return
    if not isinstance(volumes, list):
        pods[0].problems.append(MistypedPart(at, "a list"))
        return
    users: dict[str, list[PodSpec]] = {}
    for pod in pods:
        for name in {text(mount.get("name")) for container in pod.containers for mount in container.volume_mounts}:
            users.setdefault(name, []).append(pod)
    for index, volume in enumerate(volumes):
        if isinstance(volume, dict):
            takers = users.get(text(volume.get("name"))) or pods[:1]
            for pod in takers:
                allowance.take_whole(volume)
                pod.take_volume(volume, item_path(at, volume, index))
