"""Containers that can change the files they run from."""

from collections.abc import Iterator

from iocaudit.core.check import check
from iocaudit.core.hit import Hit
from iocaudit.core.kinds import PODS
from iocaudit.core.repair import put
from iocaudit.core.severity import IoC, Severity
from iocaudit.knowledge.pods.pod import PodSpec


@check(
    "writable-root-filesystem",
    severity=Severity.LOW,
    iocs=(IoC.FILESYSTEM_CHANGE, IoC.UNKNOWN_BINARY),
    group="pods",
    looks_at=PODS,
    profile="strict",
    controls={"attack": "T1611", "owasp": "K01", "nsa": "Immutable container file systems"},
)
def writable_root_filesystem(pod: PodSpec) -> Iterator[Hit]:
    """A container can write to its own root filesystem.

    Anyone who gets into it drops a program and runs it, or changes those that are there. With
    `readOnlyRootFilesystem: true` and an emptyDir where the program must write, nothing that runs can be
    changed. Windows pods are left out: the field does not exist there.

    Bad:

        apiVersion: v1
        kind: Pod
        metadata: {name: web, namespace: shop}
        spec:
          containers: [{name: app, image: "hooli.com/shop/web:1.4"}]

    Good:

        apiVersion: v1
        kind: Pod
        metadata: {name: web, namespace: shop}
        spec:
          containers:
          - name: app
            image: hooli.com/shop/web:1.4
            securityContext: {readOnlyRootFilesystem: true}

    Fix: Set `readOnlyRootFilesystem: true` and mount an emptyDir where the program writes.

    Sources: NSA/CISA Kubernetes Hardening Guide 1.2, Immutable container file systems.
    """
    if pod.is_windows:
        return
    for container in pod.containers:
        value = container.security_context.get("readOnlyRootFilesystem")
        if value is not True:
            said = "false" if value is False else "not set"
            yield container.hit(
                "securityContext.readOnlyRootFilesystem",
                f"can write to its root filesystem (readOnlyRootFilesystem is {said})",
                "false" if value is False else "unset",
                repair=put(True),
            )
