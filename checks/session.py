"""Sessions into running pods, seen as they are opened."""

from collections.abc import Iterator

from iocaudit.core.check import check
from iocaudit.core.hit import Hit
from iocaudit.core.kinds import CONNECTIONS
from iocaudit.core.request import Operation, Request
from iocaudit.core.resource import Resource
from iocaudit.core.severity import IoC, Severity
from iocaudit.core.shape import strings


@check(
    "exec-session",
    severity=Severity.MEDIUM,
    iocs=(IoC.USER_ACTIVITY,),
    group="session",
    looks_at=CONNECTIONS,
    operations=(Operation.CONNECT,),
    admission_only=True,
    controls={"attack": "T1609", "ms": "MS-TA9006", "owasp": "K02"},
)
def exec_session(resource: Resource, request: Request) -> Iterator[Hit]:
    """Somebody opens a session into a pod.

    exec, attach, port-forward and the proxies give a person or a stolen credential the pod's own rights and
    network. In production they are rare and worth knowing about.

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
    command = " ".join(strings(resource.raw.get("command")))
    what = request.subresource or resource.kind_name
    message = f"{request.username} opens a session by {what}"
    if command:
        message += f" running {command[:100]}"
    yield Hit("command" if command else "", message, f"{what} by {request.username}")
