"""Volumes that an object lists once for all of its pods."""

from collections.abc import Sequence

from iocaudit.core.composed.layers import item_path
from iocaudit.core.pod import PodSpec, Problem
from iocaudit.core.shape import text


def share_volumes(pods: Sequence[PodSpec], volumes: object, at: str) -> None:
    """Give each volume to the pods that mount it: to the first where none does."""
    if volumes is None or not pods:
        return
    if not isinstance(volumes, list):
        pods[0].problems.append(Problem(at, "a list"))
        return
    mounted = [{text(m.get("name")) for c in pod.containers for m in c.volume_mounts} for pod in pods]
    for index, volume in enumerate(volumes):
        if isinstance(volume, dict):
            name = text(volume.get("name"))
            users = [pod for pod, names in zip(pods, mounted, strict=True) if name in names]
            for pod in users or pods[:1]:
                pod.take_volume(volume, item_path(at, volume, index))
