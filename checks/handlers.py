"""Probes and lifecycle handlers: where they connect to, and what they run."""

import shlex
from collections.abc import Iterator
from pathlib import PurePosixPath

from iocaudit.core.check import Params, check, string_list
from iocaudit.core.hit import Hit
from iocaudit.core.kinds import PODS
from iocaudit.core.repair import remove
from iocaudit.core.severity import IoC, Severity
from iocaudit.core.shape import lookup, strings, text
from iocaudit.knowledge.clipping import clip
from iocaudit.knowledge.command import fetches, script_of
from iocaudit.knowledge.pods.pod import Container, PodSpec
from iocaudit.knowledge.pods.pss import PSS_VERSION, minor_version

_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_HANDLERS = ("lifecycle.postStart", "lifecycle.preStop")
_HANDLER_FIELDS = (*_PROBES, "lifecycle")
_SINCE = 34


def _handlers(container: Container) -> Iterator[tuple[str, object]]:
    """Every probe and lifecycle handler with its path below the container."""
    for path in (*_PROBES, *_HANDLERS):
        handler = lookup(container.raw, *path.split("."))
        if handler is not None:
            yield path, handler


@check(
    "host-probe-target",
    severity=Severity.MEDIUM,
    iocs=(IoC.OUTBOUND_TRAFFIC,),
    group="pods",
    looks_at=PODS,
    fields=_HANDLER_FIELDS,
    controls={
        "pss": "baseline/hostProbesAndHostLifecycle",
        "attack": "T1046",
        "owasp": "K01",
        "nsa": "Pod security enforcement",
    },
    parameters=(PSS_VERSION,),
)
def host_probe_target(pod: PodSpec, params: Params) -> Iterator[Hit]:
    """A probe or lifecycle handler connects to a host of its own choice.

    The kubelet makes the connection, from the node's network: anyone who may write a pod makes every node ask
    hosts that the pod itself could not reach, such as the node's own loopback address or the cloud's metadata
    service. Without `host` it asks the pod.

    Bad:

        apiVersion: v1
        kind: Pod
        metadata: {name: web, namespace: shop}
        spec:
          containers:
          - name: app
            image: hooli.com/shop/web:1.4
            livenessProbe: {httpGet: {host: 169.254.169.254, port: 80, path: /latest}}

    Good:

        apiVersion: v1
        kind: Pod
        metadata: {name: web, namespace: shop}
        spec:
          containers:
          - name: app
            image: hooli.com/shop/web:1.4
            livenessProbe: {httpGet: {port: 8080, path: /healthz}}

    Fix: Remove `host`, so the kubelet asks the pod.

    Sources: Kubernetes Pod Security Standards, baseline, Host Probes / Lifecycle Hooks (since 1.34).
    """
    if minor_version(params) < _SINCE:
        return
    for container in pod.containers:
        for path, handler in _handlers(container):
            for action in ("httpGet", "tcpSocket"):
                host = text(lookup(handler, action, "host"))
                if host:
                    yield container.hit(
                        f"{path}.{action}.host",
                        f"makes the kubelet connect to {clip(host)} ({path})",
                        host,
                        repair=remove(),
                    )


@check(
    "exec-in-probe",
    severity=Severity.LOW,
    iocs=(IoC.UNKNOWN_BINARY,),
    group="pods",
    looks_at=PODS,
    fields=_HANDLER_FIELDS,
    profile="strict",
    controls={"attack": "T1609", "ms": "MS-TA9007", "owasp": "K01", "nsa": "Hardening container environments"},
    parameters=(
        string_list("commands", "names of programs that a handler must not run", default=("jcmd", "ps", "ls")),
    ),
)
def exec_in_probe(pod: PodSpec, params: Params) -> Iterator[Hit]:
    """A probe or lifecycle handler runs a command that has no place there.

    Handlers run again and again for as long as the pod lives, unseen by its own logs. `jcmd`, `ps` and `ls`
    need tools and rights that a service does not, and a shell that fetches from the network runs whatever it is
    served that day.

    Bad:

        apiVersion: v1
        kind: Pod
        metadata: {name: web, namespace: shop}
        spec:
          containers:
          - name: app
            image: hooli.com/shop/web:1.4
            livenessProbe: {exec: {command: [sh, -c, "ps aux | grep web"]}}

    Good:

        apiVersion: v1
        kind: Pod
        metadata: {name: web, namespace: shop}
        spec:
          containers:
          - name: app
            image: hooli.com/shop/web:1.4
            livenessProbe: {httpGet: {port: 8080, path: /healthz}}

    Fix: Let the program answer an HTTP, gRPC or TCP probe itself.

    Sources: Kubernetes documentation, Configure Liveness, Readiness and Startup Probes.
    """
    listed = frozenset(params["commands"])
    for container in pod.containers:
        for path, handler in _handlers(container):
            argv = strings(lookup(handler, "exec", "command"))
            if not argv:
                continue
            script = script_of(argv)
            words = _words(script) if script else argv[:1]
            names = {PurePosixPath(word).name for word in words}
            for name in sorted(names & listed):
                yield container.hit(f"{path}.exec.command", f"runs {clip(name)} in {path}", name)
            if script and (tool := fetches(script)):
                yield container.hit(f"{path}.exec.command", f"fetches from the network with {tool} in {path}", tool)


def _words(script: str) -> list[str]:
    """The words of a shell script, as far as a shell would split them."""
    try:
        return shlex.split(script, comments=True)
    except ValueError:
        return script.split()
