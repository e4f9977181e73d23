"""Credentials written where anyone who may read the object reads them, and Secrets that end up in environments."""

from collections.abc import Iterator, Sequence
from itertools import islice
from operator import itemgetter
from typing import Any

from checks._argvs import RUNS, argvs
from iocaudit.core.check import check
from iocaudit.core.hit import Hit, Skip
from iocaudit.core.kinds import PODS
from iocaudit.core.kinds.builtin import CONFIG_MAP
from iocaudit.core.paths import key
from iocaudit.core.resource import Resource
from iocaudit.core.severity import IoC, Severity
from iocaudit.core.shape import items, lookup, mapping, mappings, text
from iocaudit.core.wording import counted
from iocaudit.knowledge.clipping import clip
from iocaudit.knowledge.credentials.credential import (
    LONGEST,
    Credential,
    by_format,
    by_name,
    in_text,
    is_without,
    remember_without,
)
from iocaudit.knowledge.pods.pod import Container, PodSpec

_CONTROLS = {
    "cis-1.12": "5.4.1",
    "attack": "T1552.001, T1552.007",
    "ms": "MS-TA9027, MS-TA9025",
    "owasp": "K03",
    "nsa": "Secrets",
}
_MOST = 20


@check(
    "secret-in-configmap",
    severity=Severity.HIGH,
    iocs=(IoC.USER_ACTIVITY,),
    group="secrets",
    looks_at=(CONFIG_MAP,),
    controls=_CONTROLS,
)
def secret_in_configmap(resource: Resource) -> Iterator[Hit | Skip]:
    """A ConfigMap holds a credential.

    ConfigMaps are read by far more people and programs than Secrets, are never encrypted apart, and end up in
    logs and backups. Known formats (private keys, tokens of well-known services, passwords in URLs and connection
    strings) are found wherever they stand, other literals by the name they stand under, in configuration files and
    scripts of any format.

    The last word of a name says what the value is: `DB_PASSWORD` is a password, `PASSWORD_ENCODER` is an encoder. A
    reference (`${PASSWORD}`, `$__file{}`, `vault:`), code (`os.environ[...]`), a place to be filled in (`<password>`,
    `REDACTED`), the name of a file, a public key and a hashed or encrypted password are not credentials; `changeme`
    is one, because it is what is applied. The value is never shown.

    On generated configuration files of more than 60 formats whose truth is known, some of them kept from the rules, at
    least 98 % of what is reported is a credential, and at least 98 % of the credentials are reported.

    Bad:

        apiVersion: v1
        kind: ConfigMap
        metadata: {name: web, namespace: shop}
        data: {db_password: correct-horse}

    Good:

        apiVersion: v1
        kind: ConfigMap
        metadata: {name: web, namespace: shop}
        data: {db_user: shop, db_password_file: /run/secrets/db}

    Fix: Move it into a Secret, or better an external store, and change the credential: it is known by now.

    Sources: CIS Kubernetes Benchmark 1.12, 5.4.1; OWASP Kubernetes Top 10 2025, K03.
    """
    for path, name, value, is_text in _values(resource):
        for credential in islice(_credentials(name, value, is_text), _MOST):
            yield Hit(
                path, f"holds {clip(credential.words)}", f"{credential.kind} {credential.name} {credential.length}"
            )
        if len(value) > LONGEST:
            yield Skip(f"{path} is longer than {LONGEST} characters: the rest was not read")


def _credentials(name: str, value: str, is_text: bool) -> Iterator[Credential]:
    found = by_name(name, value) if is_text and "\n" not in value.strip() else None
    if found is not None:
        yield found
    elif is_text:
        yield from in_text(value)
    elif (within := by_format(value)) is not None:
        yield within


def _values(resource: Resource) -> Iterator[tuple[str, str, str, bool]]:
    """Path, name and value of each entry, and whether it is text: in binaryData some are text, and some are not
    base64."""
    for name, value in mapping(resource.raw.get("data")).items():
        if isinstance(value, str):
            yield f"data{key(name)}", name, value, True
    for name, value in mapping(resource.raw.get("binaryData")).items():
        held = _decoded(value) if isinstance(value, str) else b""
        try:
            yield f"binaryData{key(name)}", name, held.decode(), True
        except ValueError:
            yield f"binaryData{key(name)}", name, held.decode("ascii", "replace"), False


def _decoded(value: str) -> bytes:
    import base64  # late: next to no ConfigMap has binary data

    try:
        return base64.b64decode(value)
    except ValueError:
        return b""


@check(
    "secret-in-env",
    severity=Severity.HIGH,
    iocs=(IoC.USER_ACTIVITY,),
    group="secrets",
    looks_at=PODS,
    fields=("env", *sorted(RUNS)),
    controls=_CONTROLS,
)
def secret_in_env(pod: PodSpec) -> Iterator[Hit]:
    """A container's environment or command line holds a credential in plain text.

    Everybody who may read the workload reads it, and so does every process of the container, every crash report
    and `kubectl describe`; a command line is in the list of processes too. Known formats are found in any variable
    and argument, other literals by the name of the variable, by the option they follow (`--requirepass`, `-p` of
    mysql) or by a name within the value (`host=db password=...`). `command`, `args`, scripts and the commands of probes
    and lifecycle handlers are read. What counts as a credential is described at `secret-in-configmap`. The value is
    never shown.

    Bad:

        apiVersion: v1
        kind: Pod
        metadata: {name: web, namespace: shop}
        spec:
          containers:
          - name: app
            image: hooli.com/shop/web:1.4
            env: [{name: DB_PASSWORD, value: correct-horse}]

    Good:

        apiVersion: v1
        kind: Pod
        metadata: {name: web, namespace: shop}
        spec:
          containers:
          - name: app
            image: hooli.com/shop/web:1.4
            env: [{name: DB_PASSWORD_FILE, value: /run/secrets/db/password}]

    Fix: Mount a Secret as a file, and change the credential: it is known by now.

    Sources: CIS Kubernetes Benchmark 1.12, 5.4.1; OWASP Kubernetes Top 10 2025, K03.
    """
    for container in pod.containers:
        raw = container.raw
        variables = items(raw.get("env"))
        commands = [] if RUNS.isdisjoint(raw) else [(path, " ".join(argv)) for path, argv in argvs(container)]
        # All of it at once: asking about each of a hundred variables by itself costs more than the other checks do.
        whole = "\n".join([_joined(variables, "name"), _joined(variables, "value"), *map(itemgetter(1), commands)])
        if is_without(whole, read_as="container"):
            continue
        found = [*_in_variables(container, variables), *_in_commands(container, commands)]
        if not found:
            remember_without(whole, read_as="container")
        yield from found


def _in_variables(container: Container, variables: Sequence[Any]) -> Iterator[Hit]:
    for variable in mappings(variables):
        name, value = text(variable.get("name")), text(variable.get("value"))
        # Nearly every one of a hundred variables holds nothing, whatever the others do.
        if not value or is_without(f"{name}\n{value}", read_as="variable"):
            continue
        found = by_format(value) or by_name(name, value) or next(in_text(value, argv=True), None)
        if found is not None:
            under = f" under {clip(found.name)}" if found.name not in ("", name) else ""
            yield container.hit(
                f"env{key(name)}",
                f"has {found.kind} of {counted(found.length, 'character')}{under} in variable {clip(name)}",
                f"{found.kind} {found.length}",
            )


def _in_commands(container: Container, commands: Sequence[tuple[str, str]]) -> Iterator[Hit]:
    for path, command in commands:
        for found in islice(in_text(command, argv=True), _MOST):
            yield container.hit(path, f"has {clip(found.words)} in {path}", f"{found.kind} {found.name} {found.length}")


def _joined(variables: Sequence[Any], field: str) -> str:
    """The texts of one field of all of them, a line each."""
    try:
        return "\n".join(map(itemgetter(field), variables))
    except (KeyError, TypeError):  # one of them has no such field, or it is not text
        return "\n".join([text(variable.get(field)) for variable in mappings(variables)])


@check(
    "secret-ref-in-env",
    severity=Severity.LOW,
    iocs=(IoC.USER_ACTIVITY,),
    group="secrets",
    looks_at=PODS,
    fields=("env", "envFrom"),
    profile="strict",
    controls=_CONTROLS,
)
def secret_ref_in_env(pod: PodSpec) -> Iterator[Hit]:
    """A Secret is handed to a container through its environment.

    Environments are inherited by every child process, printed by crash handlers and never change while the
    container runs, so a rotated Secret stays old. A file can be read by the one process that needs it.

    Bad:

        apiVersion: v1
        kind: Pod
        metadata: {name: web, namespace: shop}
        spec:
          containers:
          - name: app
            image: hooli.com/shop/web:1.4
            env: [{name: DB_PASSWORD, valueFrom: {secretKeyRef: {name: db, key: password}}}]

    Good:

        apiVersion: v1
        kind: Pod
        metadata: {name: web, namespace: shop}
        spec:
          containers:
          - name: app
            image: hooli.com/shop/web:1.4
            volumeMounts: [{name: db, mountPath: /run/secrets/db, readOnly: true}]
          volumes: [{name: db, secret: {secretName: db}}]

    Fix: Mount the Secret as a volume and let the program read the file.

    Sources: CIS Kubernetes Benchmark 1.12, 5.4.1.
    """
    for container in pod.containers:
        for variable in mappings(container.raw.get("env")):
            secret = text(lookup(variable, "valueFrom", "secretKeyRef", "name"))
            if secret:
                name = text(variable.get("name"))
                message = f"takes Secret {clip(secret)} through variable {clip(name)}"
                yield container.hit(f"env{key(name)}", message, secret)
        for source in mappings(container.raw.get("envFrom")):
            secret = text(lookup(source, "secretRef", "name"))
            if secret:
                yield container.hit(
                    "envFrom", f"takes every key of Secret {clip(secret)} through its environment", secret
                )
