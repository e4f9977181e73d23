"""Sessions into running pods, seen as they are opened."""

import shlex
from collections.abc import Iterator

from iocaudit.core.check import check
from iocaudit.core.hit import Hit
from iocaudit.core.kinds import CONNECTIONS, POD
from iocaudit.core.request import Operation, Request
from iocaudit.core.resource import Resource
from iocaudit.core.severity import IoC, Severity
from iocaudit.core.shape import items, strings, text
from iocaudit.knowledge.clipping import clip
from iocaudit.knowledge.pods.pod import PodSpec

_TARGETS = {"pods": "pod", "services": "service", "nodes": "node"}


@check(
    "exec-session",
    severity=Severity.MEDIUM,
    iocs=(IoC.USER_ACTIVITY,),
    group="session",
    looks_at=CONNECTIONS,
    operations=(Operation.CONNECT,),
    admission_only=True,
    controls={
        "attack": "T1609, T1059.013",
        "ms": "MS-TA9006, MS-TA9007",
        "owasp": "K02, K10",
        "nsa": "Threat detection",
    },
)
def exec_session(resource: Resource, request: Request) -> Iterator[Hit]:
    """Someone opens a session into a pod.

    exec, attach, port-forward and the proxies give a person or a stolen credential the pod's own rights and
    network. In production they are rare and worth knowing about. The message names who, into what, and the
    command, the ports or the path.

    Bad:

        apiVersion: admission.k8s.io/v1
        kind: AdmissionReview
        request:
          uid: 6f1c8a52-6f0f-4f5c-9a35-0d3a3f6f0001
          operation: CONNECT
          kind: {group: "", version: v1, kind: PodExecOptions}
          resource: {group: "", version: v1, resource: pods}
          subResource: exec
          namespace: shop
          name: web
          userInfo: {username: alice}
          object: {apiVersion: v1, kind: PodExecOptions, command: [sh], stdin: true, tty: true}

    Good:

        apiVersion: admission.k8s.io/v1
        kind: AdmissionReview
        request:
          uid: 6f1c8a52-6f0f-4f5c-9a35-0d3a3f6f0002
          operation: CREATE
          kind: {group: "", version: v1, kind: Pod}
          resource: {group: "", version: v1, resource: pods}
          namespace: shop
          name: web
          userInfo: {username: alice}
          object:
            apiVersion: v1
            kind: Pod
            metadata: {name: web}
            spec: {containers: [{name: app, image: "hooli.com/shop/web:1.4"}]}

    Fix: Use logs, metrics and ephemeral test environments; grant pods/exec to few, and for a time.

    Sources: Kubernetes API reference, PodExecOptions; MITRE ATT&CK T1609.
    """
    target, _, verb = (resource.kind.plural if resource.kind is not None else "").partition("/")
    name = f"{request.namespace}/{request.name}" if request.namespace else request.name
    message = f"{clip(request.username)} opens {request.subresource or verb} to {_TARGETS.get(target, target)} {name}"
    container = text(resource.raw.get("container"))
    if container:
        message += f', container "{clip(container)}"'
    command = strings(resource.raw.get("command"))
    ports = [str(port) for port in items(resource.raw.get("ports")) if isinstance(port, int)]
    path = text(resource.raw.get("path"))
    field = "command" if command else "ports" if ports else "path" if path else ""
    if field:
        shown = clip(shlex.join(command) or ", ".join(ports) or path)
        message += f", {field} {shown}"
    yield Hit(field, message, f"{request.subresource or verb} by {request.username}")


@check(
    "ephemeral-container-added",
    severity=Severity.MEDIUM,
    iocs=(IoC.USER_ACTIVITY,),
    group="session",
    looks_at=(POD,),
    fields=("ephemeralContainers",),
    operations=(Operation.UPDATE,),
    admission_only=True,
    controls={
        "attack": "T1609, T1059.013",
        "ms": "MS-TA9006, MS-TA9007",
        "owasp": "K02, K10",
        "nsa": "Threat detection",
    },
)
def ephemeral_container_added(pod: PodSpec, request: Request) -> Iterator[Hit]:
    """Someone puts a further container into a running pod.

    An ephemeral container, as `kubectl debug` makes it, joins the pod's network and may join its processes: it
    reads what the pod holds, with tools of its own. The container itself is judged by every check on
    containers; this one says that it happened, and who did it.

    Bad:

        apiVersion: admission.k8s.io/v1
        kind: AdmissionReview
        request:
          uid: 6f1c8a52-6f0f-4f5c-9a35-0d3a3f6f0005
          operation: UPDATE
          kind: {group: "", version: v1, kind: Pod}
          resource: {group: "", version: v1, resource: pods}
          subResource: ephemeralcontainers
          namespace: shop
          name: web
          userInfo: {username: alice}
          object:
            apiVersion: v1
            kind: Pod
            metadata: {name: web, namespace: shop}
            spec:
              containers: [{name: app, image: "hooli.com/shop/web:1.4"}]
              ephemeralContainers: [{name: debug, image: "hooli.com/tools:1", targetContainerName: app}]

    Good:

        apiVersion: admission.k8s.io/v1
        kind: AdmissionReview
        request:
          uid: 6f1c8a52-6f0f-4f5c-9a35-0d3a3f6f0006
          operation: UPDATE
          kind: {group: "", version: v1, kind: Pod}
          resource: {group: "", version: v1, resource: pods}
          namespace: shop
          name: web
          userInfo: {username: alice}
          object:
            apiVersion: v1
            kind: Pod
            metadata: {name: web, namespace: shop}
            spec: {containers: [{name: app, image: "hooli.com/shop/web:1.5"}]}

    Fix: Grant pods/ephemeralcontainers to few, and for a time.

    Sources: Kubernetes documentation, Ephemeral Containers; Falco's default rules, EphemeralContainers Created.
    """
    if request.subresource != "ephemeralcontainers":
        return
    for container in pod.containers:
        if container.is_ephemeral:
            image = clip(container.image_text)
            yield container.hit("", f"with image {image} is added by {clip(request.username)}", container.image_text)
