"""Linux capabilities that a container adds."""

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

from iocaudit.core.check import Params, check, string_list
from iocaudit.core.hit import Hit
from iocaudit.core.kinds import PODS
from iocaudit.core.place import Place
from iocaudit.core.repair import Repair, discard, include
from iocaudit.core.severity import IoC, Severity
from iocaudit.core.shape import lookup, strings
from iocaudit.knowledge.clipping import clip
from iocaudit.knowledge.pods.pod import Container, PodSpec
from iocaudit.knowledge.pods.pss import PSS_VERSION, minor_version

_CONTROLS = {
    "pss": "baseline/capabilities_baseline",
    "cis-1.12": "5.2.9",
    "cis-1.11": "5.2.9",
    "cis-1.10": "5.2.9",
    "cis-1.9": "5.2.9",
    "attack": "T1611",
    "ms": "MS-TA9018",
    "owasp": "K01",
    "nsa": "Pod security enforcement",
}
"""Earlier editions of CIS had a number of its own for added capabilities."""

# Critical: alone enough to take over the node. High: a long step towards it, or a way to disturb the node.
DANGEROUS = {
    **dict.fromkeys(
        ("ALL", "SYS_ADMIN", "SYS_MODULE", "SYS_RAWIO", "BPF", "DAC_READ_SEARCH"),
        Severity.CRITICAL,
    ),
    **dict.fromkeys(
        (
            "SYS_PTRACE",
            "SYS_BOOT",
            "SYS_TIME",
            "NET_ADMIN",
            "PERFMON",
            "MAC_ADMIN",
            "MAC_OVERRIDE",
            "SYSLOG",
            "WAKE_ALARM",
            "LINUX_IMMUTABLE",
        ),
        Severity.HIGH,
    ),
}
_BASELINE = (
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
)


def capability(text: str) -> str:
    """One spelling: upper case without ``CAP_``, as the runtimes normalise it."""
    return text.strip().upper().removeprefix("CAP_")


def _added(container: Container) -> dict[str, list[str]]:
    """The capabilities the container adds, each with its spellings."""
    found: dict[str, list[str]] = {}
    for written in strings(lookup(container.security_context, "capabilities", "add")):
        found.setdefault(capability(written), []).append(written)
    return found


def _refused(container: Container, allowed: frozenset[str]) -> Iterator[tuple[str, str, Repair]]:
    """What it adds and no spelling of a policy allows: the name, how it is written, and how to take it back."""
    for name, spellings in _added(container).items():
        written = [spelling for spelling in spellings if spelling not in allowed]
        if written:
            yield name, written[-1], discard(*spellings)


@lru_cache(maxsize=64)
def allowed_spellings(allowed: tuple[str, ...]) -> frozenset[str] | None:
    """The names that may be added, as the API and as the policy writes them; None where all may."""
    names = frozenset(capability(name) for name in allowed)
    return None if "ALL" in names or "*" in names else names | frozenset(allowed)


@check(
    "dangerous-capability",
    severity=Severity.HIGH,
    worst=Severity.CRITICAL,
    denied_by_guard=True,
    iocs=(IoC.CLUSTER_ADMIN,),
    group="pods",
    looks_at=PODS,
    fields=("capabilities",),
    controls=_CONTROLS,
    implies={Place.SAME: ("capabilities-not-dropped", "capability-beyond-baseline")},
)
def dangerous_capability(pod: PodSpec) -> Iterator[Hit]:
    """A container adds a capability that leads to the node.

    ALL, SYS_ADMIN, SYS_MODULE, SYS_RAWIO, BPF and DAC_READ_SEARCH are each a known way out of a container and
    count as critical, and so does SYS_PTRACE where the pod sees the node's processes (`hostPID`). SYS_PTRACE
    otherwise, NET_ADMIN, SYS_BOOT, SYS_TIME, PERFMON, MAC_ADMIN, MAC_OVERRIDE, SYSLOG, WAKE_ALARM and
    LINUX_IMMUTABLE weaken or disturb the node. `CAP_` spellings and lower case count as well.

    Bad:

        apiVersion: v1
        kind: Pod
        metadata: {name: web, namespace: shop}
        spec:
          containers:
          - name: app
            image: hooli.com/shop/web:1.4
            securityContext: {capabilities: {add: [CAP_SYS_ADMIN]}}

    Good:

        apiVersion: v1
        kind: Pod
        metadata: {name: web, namespace: shop}
        spec:
          containers:
          - name: app
            image: hooli.com/shop/web:1.4
            securityContext: {capabilities: {drop: [ALL], add: [NET_BIND_SERVICE]}}

    Fix: Remove the capability; drop ALL and add back only what the program needs.

    Sources: Kubernetes Pod Security Standards, baseline, Capabilities; capabilities(7).
    """
    sees_node = pod.spec.get("hostPID") is True
    for container in pod.containers:
        for name, spellings in _added(container).items():
            severity = DANGEROUS.get(name)
            if severity is None:
                continue
            message, evidence = f"adds capability {clip(spellings[-1])}", name
            if name == "SYS_PTRACE" and sees_node:
                severity = Severity.CRITICAL
                message += ", and hostPID lets it trace the node's processes"
                evidence += " with hostPID"
            yield container.hit(
                "securityContext.capabilities.add",
                message,
                evidence,
                severity=severity,
                repair=discard(*spellings),
            )._replace(about=name)


@check(
    "capability-beyond-baseline",
    severity=Severity.HIGH,
    iocs=(IoC.CLUSTER_ADMIN,),
    group="pods",
    looks_at=PODS,
    fields=("capabilities",),
    controls=_CONTROLS,
    parameters=(
        string_list(
            "allowed", "capabilities that may be added, in place of the baseline list", default=_BASELINE, exempts=True
        ),
    ),
    implies={Place.SAME: ("capabilities-not-dropped",)},
)
def capability_beyond_baseline(pod: PodSpec, params: Params) -> Iterator[Hit]:
    """A container adds a capability outside the allowed list.

    The baseline of the Pod Security Standards allows those a runtime grants by default; every further one
    widens what a compromised process can do to the node and its neighbours. In the policy's own list `CAP_` and
    case do not matter, and ALL allows every one; in a manifest only the API's spelling and the policy's own count as
    allowed, since runtimes differ in what they take `CAP_CHOWN` or `chown` for.

    Bad:

        apiVersion: v1
        kind: Pod
        metadata: {name: web, namespace: shop}
        spec:
          containers:
          - name: app
            image: hooli.com/shop/web:1.4
            securityContext: {capabilities: {add: [NET_RAW]}}

    Good:

        apiVersion: v1
        kind: Pod
        metadata: {name: web, namespace: shop}
        spec:
          containers:
          - name: app
            image: hooli.com/shop/web:1.4
            securityContext: {capabilities: {add: [CHOWN]}}

    Fix: Remove the capability, or allow it in the policy for the namespace that needs it.

    Sources: Kubernetes Pod Security Standards, baseline, Capabilities.
    """
    allowed = allowed_spellings(tuple(params["allowed"]))
    if allowed is None:
        return
    for container in pod.containers:
        # No other spelling is allowed: a runtime may refuse CAP_CHOWN, or take it for another.
        for name, written, undo in _refused(container, allowed):
            yield container.hit(
                "securityContext.capabilities.add",
                f"adds capability {clip(written)}, which is not in the allowed list",
                name,
                repair=undo,
            )


_DROP_SINCE = 22
# What runtimes grant where nothing is said: dropping each of them leaves as little as dropping ALL.
_GRANTED = frozenset(_BASELINE) | {"NET_RAW"}
# What the runtimes grant beyond need and attackers like best: raw packets forge those of other pods.
_NET_RAW = "NET_RAW"


@check(
    "capabilities-not-dropped",
    severity=Severity.LOW,
    iocs=(IoC.CLUSTER_ADMIN,),
    group="pods",
    looks_at=PODS,
    profile="strict",
    controls={
        "pss": "restricted/capabilities_restricted",
        "cis-1.12": "5.2.8, 5.2.9",
        "attack": "T1611",
        "ms": "MS-TA9036",
        "owasp": "K01",
        "nsa": "Pod security enforcement",
    },
    parameters=(
        string_list("requiredDrop", "capabilities that must be dropped; dropping ALL covers each", default=("ALL",)),
        string_list(
            "allowedAdd",
            "capabilities that may be added back; ALL allows every one",
            default=("NET_BIND_SERVICE",),
            exempts=True,
        ),
        PSS_VERSION,
    ),
)
def capabilities_not_dropped(pod: PodSpec, params: Params) -> Iterator[Hit]:
    """A container keeps capabilities that it does not need.

    A runtime grants about a dozen by default, among them NET_RAW, with which a pod forges the packets of its
    neighbours. Few programs need any: drop ALL, and add back NET_BIND_SERVICE where a port below 1024 is
    opened. Pod Security Admission takes nothing but `ALL` for that: runtimes take `all` and each of those by name too,
    which is distinguished in the message. With `CAP_` in front a name drops
    nothing under containerd. Windows pods are left out.

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
            securityContext: {capabilities: {drop: [ALL], add: [NET_BIND_SERVICE]}}

    Fix: Set `securityContext.capabilities.drop: [ALL]` on the container.

    Sources: Kubernetes Pod Security Standards, restricted, Capabilities; CIS Kubernetes Benchmark 1.12, 5.2.9;
    containerd and CRI-O, which put CAP_ in front of each name and look for ALL in any case.
    """
    if pod.is_windows or minor_version(params) < _DROP_SINCE:
        return
    required = [capability(name) for name in params["requiredDrop"]]
    allowed = allowed_spellings(tuple(params["allowedAdd"]))
    for container in pod.containers:
        drop = strings(lookup(container.security_context, "capabilities", "drop"))
        missing = _undropped(drop, required)
        if missing:
            message = f"does not drop {', '.join(missing)}{_kept(drop, missing)}"
            evidence = ",".join(missing)
            yield container.hit("securityContext.capabilities.drop", message, evidence, repair=include("ALL"))
        for name, written, undo in _refused(container, allowed) if allowed is not None else ():
            message = f"adds capability {clip(written)}"
            yield container.hit("securityContext.capabilities.add", message, name, repair=undo)


def _undropped(written: Sequence[str], required: Sequence[str]) -> list[str]:
    """What has to be dropped and is not. ALL counts as Pod Security Admission reads it, a name as runtimes do."""
    if "ALL" in written:
        return []
    dropped = _at_runtime(written)
    return [name for name in required if name == "ALL" or dropped.isdisjoint((name, "ALL"))]


def _at_runtime(written: Iterable[str]) -> frozenset[str]:
    """The names that a runtime drops: in any case, and never with ``CAP_``, which it puts in front itself."""
    return frozenset(name.upper() for name in written)


def _kept(written: Sequence[str], missing: Sequence[str]) -> str:
    """What a container keeps of ALL, or why dropping it in another way is not the same."""
    dropped = _at_runtime(written)
    if "ALL" not in missing:
        return ""
    if "ALL" in dropped:
        spelling = next(name for name in written if name.upper() == "ALL")
        return f" but {clip(spelling)}: a runtime takes that for ALL, Pod Security Admission refuses it"
    if dropped >= _GRANTED:
        return ", only each that a runtime grants: Pod Security Admission refuses that"
    raw = "" if _NET_RAW in dropped else ", not even NET_RAW"
    prefixed = next((name for name in written if name.upper().startswith("CAP_")), "")
    return raw + (f" (containerd drops nothing for {clip(prefixed)}: names stand without CAP_)" if prefixed else "")
