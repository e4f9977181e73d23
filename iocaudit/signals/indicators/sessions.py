"""Indicator 4: sessions into pods, services and nodes, as the API server opens them."""

from __future__ import annotations

from iocaudit.core.severity import Severity
from iocaudit.knowledge.clipping import clip
from iocaudit.signals.accounts import is_control_plane, is_own, is_person, is_system_space, uses_tool_of_person
from iocaudit.signals.audit_event import AuditEvent
from iocaudit.signals.commands import clears_traces, is_shell, reads_credentials
from iocaudit.signals.indicators.declaration import Observation
from iocaudit.signals.indicators.user_activity import INDICATOR
from iocaudit.signals.session import session_of
from iocaudit.signals.wording import what, who

EXEC = ("pods/exec", "pods/attach")
_RELATED = ("exec-session", "exec-permission")
_READ_ONLY_PATHS = ("metrics", "stats", "healthz", "configz", "pods", "spec", "logs", "containerLogs")


def is_opened(event: AuditEvent) -> bool:
    """Whether a session was opened: by WebSocket (get) or SPDY (create). The answer of a proxy is the pod's own."""
    if event.is_refused:
        return False
    return event.target.subresource == "proxy" or event.went_on


@INDICATOR.detects("session-opened", severity=Severity.MEDIUM, technique="T1609", on=EXEC, related=_RELATED)
def session_opened(event: AuditEvent) -> Observation | None:
    """Someone runs a command in a pod, or attaches to it.

    exec gives a person, or a stolen credential, what the pod has: its files, its network, its token. In production it
    is rare. A session without a shell that nobody types into is reported as low: programs run such commands. For what
    the command does there are detections of their own.

    Fires:

        verb: create
        stage: ResponseStarted
        user: {username: alice}
        objectRef: {resource: pods, subresource: exec, namespace: shop, name: web}
        requestURI: /api/v1/namespaces/shop/pods/web/exec?command=sh&stdin=true&stdout=true&tty=true
        responseStatus: {code: 101}

    Quiet:

        verb: get
        user: {username: alice}
        objectRef: {resource: pods, subresource: log, namespace: shop, name: web}
        requestURI: /api/v1/namespaces/shop/pods/web/log
        responseStatus: {code: 200}

    Sources: Kubernetes API reference, PodExecOptions; MITRE ATT&CK T1609; Microsoft threat matrix, Exec into container.
    """
    if not is_opened(event) or is_control_plane(event.user):
        return None
    session = session_of(event)
    verb = "attaches to" if event.target.subresource == "attach" else "opens a session in"
    container = f', container "{clip(session.container)}"' if session.container else ""
    command = f", command {clip(' '.join(session.command))}" if session.command else ""
    typed = session.is_interactive or is_shell(session.command) or not session.command
    return Observation(f"{who(event)} {verb} {what(event)}{container}{command}", None if typed else Severity.LOW)


@INDICATOR.detects("session-in-system-namespace", severity=Severity.HIGH, technique="T1609", on=EXEC, related=_RELATED)
def session_in_system_namespace(event: AuditEvent) -> Observation | None:
    """Someone opens a session in a pod of the cluster itself.

    Pods of `kube-system` hold the credentials of the control plane or run on every node with its rights. A shell there
    is a shell on the cluster.

    Fires:

        verb: create
        stage: ResponseStarted
        user: {username: alice}
        objectRef: {resource: pods, subresource: exec, namespace: kube-system, name: kube-proxy-x7k2p}
        requestURI: /api/v1/namespaces/kube-system/pods/kube-proxy-x7k2p/exec?command=sh&stdin=true&tty=true
        responseStatus: {code: 101}

    Quiet:

        verb: create
        stage: ResponseStarted
        user: {username: alice}
        objectRef: {resource: pods, subresource: exec, namespace: shop, name: web}
        requestURI: /api/v1/namespaces/shop/pods/web/exec?command=sh&stdin=true&tty=true
        responseStatus: {code: 101}

    Sources: Microsoft threat matrix for Kubernetes, Exec into container; MITRE ATT&CK T1609.
    """
    if not is_opened(event) or is_own(event.user) or not is_system_space(event.target.namespace):
        return None
    return Observation(f"{who(event)} opens a session in {what(event)}")


@INDICATOR.detects(
    "credentials-read-in-session",
    severity=Severity.HIGH,
    technique="T1552.001",
    on=EXEC,
    related=("exec-permission", "token-automounted", "sensitive-host-path", "cloud-credentials-mount"),
)
def credentials_read_in_session(event: AuditEvent) -> Observation | None:
    """A command in a pod names files that hold credentials.

    The token of the pod's ServiceAccount, keys of the node, of a cloud or of SSH, the environment of other processes:
    nothing that is looked at to debug an application.

    Fires:

        verb: create
        user: {username: alice}
        objectRef: {resource: pods, subresource: exec, namespace: shop, name: web}
        requestURI: /api/v1/namespaces/shop/pods/web/exec?command=cat&command=%2Fvar%2Frun%2Fsecrets%2Fkubernetes.io%2Fserviceaccount%2Ftoken&stdout=true
        responseStatus: {code: 101}

    Quiet:

        verb: create
        user: {username: alice}
        objectRef: {resource: pods, subresource: exec, namespace: shop, name: web}
        requestURI: /api/v1/namespaces/shop/pods/web/exec?command=cat&command=%2Fetc%2Fresolv.conf&stdout=true
        responseStatus: {code: 101}

    Sources: MITRE ATT&CK T1552.001, Credentials In Files.
    """
    command = session_of(event).command
    if not is_opened(event) or not reads_credentials(command):
        return None
    return Observation(f"{who(event)} reads credentials in {what(event)}: {clip(' '.join(command))}")


@INDICATOR.detects(
    "traces-cleared-in-session", severity=Severity.HIGH, technique="T1070.003", on=EXEC, related=("exec-permission",)
)
def traces_cleared_in_session(event: AuditEvent) -> Observation | None:
    """A command in a pod removes a shell's history or logs.

    It serves no one but a person who does not want to be found.

    Fires:

        verb: create
        user: {username: alice}
        objectRef: {resource: pods, subresource: exec, namespace: shop, name: web}
        requestURI: /api/v1/namespaces/shop/pods/web/exec?command=sh&command=-c&command=rm+-f+%7E%2F.bash_history&stdout=true
        responseStatus: {code: 101}

    Quiet:

        verb: create
        user: {username: alice}
        objectRef: {resource: pods, subresource: exec, namespace: shop, name: web}
        requestURI: /api/v1/namespaces/shop/pods/web/exec?command=tail&command=%2Fvar%2Flog%2Fapp.log&stdout=true
        responseStatus: {code: 101}

    Sources: MITRE ATT&CK T1070.003, Clear Command History; Microsoft threat matrix, Clear container logs.
    """
    command = session_of(event).command
    if not is_opened(event) or not clears_traces(command):
        return None
    return Observation(f"{who(event)} removes traces in {what(event)}: {clip(' '.join(command))}")


@INDICATOR.detects(
    "port-forwarded", severity=Severity.LOW, technique="T1090", on=("pods/portforward",), related=_RELATED
)
def port_forwarded(event: AuditEvent) -> Observation | None:
    """Someone forwards a port of a pod to where they are.

    The API server carries the connection past NetworkPolicies and the port need not be exposed. Developers use it to
    look at an application, attackers to reach a database. In a namespace of the cluster it is medium.

    Fires:

        verb: create
        user: {username: alice}
        objectRef: {resource: pods, subresource: portforward, namespace: shop, name: db}
        requestURI: /api/v1/namespaces/shop/pods/db/portforward
        responseStatus: {code: 101}

    Quiet:

        verb: get
        user: {username: alice}
        objectRef: {resource: pods, namespace: shop, name: db}
        responseStatus: {code: 200}

    Sources: Kubernetes API reference, PodPortForwardOptions; MITRE ATT&CK T1090.
    """
    if not is_opened(event) or is_control_plane(event.user):
        return None
    ports = ", ".join(map(str, session_of(event).ports))
    severity = Severity.MEDIUM if is_system_space(event.target.namespace) else None
    return Observation(f"{who(event)} forwards {f'ports {ports}' if ports else 'ports'} of {what(event)}", severity)


@INDICATOR.detects(
    "pod-debugged",
    severity=Severity.MEDIUM,
    technique="T1609",
    on=("pods/ephemeralcontainers",),
    related=("ephemeral-container-added", "exec-permission"),
)
def pod_debugged(event: AuditEvent) -> Observation | None:
    """Someone puts a container of their own into a running pod.

    `kubectl debug` adds an ephemeral container that shares the pod's network and may share its processes, with an image
    that the person chose.

    Fires:

        verb: patch
        user: {username: alice}
        objectRef: {resource: pods, subresource: ephemeralcontainers, namespace: shop, name: web}
        responseStatus: {code: 200}

    Quiet:

        verb: get
        user: {username: alice}
        objectRef: {resource: pods, subresource: ephemeralcontainers, namespace: shop, name: web}
        responseStatus: {code: 200}

    Sources: Kubernetes documentation, Ephemeral Containers; MITRE ATT&CK T1609.
    """
    if event.verb not in ("create", "update", "patch") or not event.went_on or is_control_plane(event.user):
        return None
    return Observation(f"{who(event)} adds a container to the running {what(event)}")


@INDICATOR.detects(
    "kubelet-reached-by-proxy",
    severity=Severity.HIGH,
    technique="T1609",
    on=("nodes/proxy",),
    related=("node-proxy-access",),
)
def kubelet_reached_by_proxy(event: AuditEvent) -> Observation | None:
    """Someone talks to a kubelet through the API server.

    The kubelet runs commands in any pod of its node, and this way no request for exec is logged. Monitoring reads
    metrics and statistics so, which is left out; a person who reads those is reported as low.

    Fires:

        verb: create
        user: {username: alice}
        objectRef: {resource: nodes, subresource: proxy, name: worker-1}
        requestURI: /api/v1/nodes/worker-1/proxy/run/shop/web/app?cmd=id
        responseStatus: {code: 200}

    Quiet:

        verb: get
        user: {username: "system:serviceaccount:monitoring:prometheus"}
        objectRef: {resource: nodes, subresource: proxy, name: worker-1}
        requestURI: /api/v1/nodes/worker-1/proxy/metrics/cadvisor
        responseStatus: {code: 200}

    Sources: Kubernetes documentation, RBAC good practices (nodes/proxy); Microsoft threat matrix, Access the kubelet API.
    """
    if not is_opened(event) or is_own(event.user):
        return None
    path = event.uri.partition("?")[0].partition("/proxy")[2].strip("/")
    reads = event.verb in ("get", "list", "watch", "") and path.split("/")[0] in _READ_ONLY_PATHS
    if reads and path.startswith(("metrics", "stats", "healthz", "configz")) and not is_person(event.user):
        return None
    severity = Severity.LOW if reads else None
    return Observation(f"{who(event)} asks the kubelet of {what(event)} for /{clip(path)}", severity)


@INDICATOR.detects(
    "service-reached-by-proxy",
    severity=Severity.LOW,
    technique="T1090",
    on=("services/proxy", "pods/proxy"),
    related=("exec-permission", "exposed-dashboard"),
)
def service_reached_by_proxy(event: AuditEvent) -> Observation | None:
    """Someone reaches a Service or a pod through the API server.

    The connection comes from the API server, so NetworkPolicies and the login of a proxy before the Service do not
    see who it is.

    Fires:

        verb: get
        user: {username: alice}
        objectRef: {resource: services, subresource: proxy, namespace: shop, name: "admin:8080"}
        requestURI: /api/v1/namespaces/shop/services/admin:8080/proxy/
        responseStatus: {code: 200}

    Quiet:

        verb: get
        user: {username: "system:kube-controller-manager"}
        objectRef: {resource: services, subresource: proxy, namespace: kube-system, name: metrics-server}
        responseStatus: {code: 200}

    Sources: Kubernetes documentation, Access Services Running on Clusters.
    """
    if not is_opened(event) or is_own(event.user):
        return None
    if not is_person(event.user) and not uses_tool_of_person(event):
        return None
    return Observation(f"{who(event)} reaches {what(event)} through the API server")
