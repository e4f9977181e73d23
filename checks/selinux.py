"""Containers that choose their own SELinux context."""

from collections.abc import Iterator, Mapping
from typing import Any

from iocaudit.core.check import Parameter, Params, check
from iocaudit.core.hit import Hit
from iocaudit.core.kinds import PODS
from iocaudit.core.repair import remove
from iocaudit.core.severity import IoC, Severity
from iocaudit.core.shape import mapping, text
from iocaudit.knowledge.clipping import clip
from iocaudit.knowledge.pods.pod import PodSpec
from iocaudit.knowledge.pods.pss import PSS_VERSION, minor_version

FIELDS = ("type", "user", "role", "level")
TYPES = frozenset({"container_t", "container_init_t", "container_kvm_t"})
ENGINE_SINCE = 31


@check(
    "selinux-custom",
    severity=Severity.MEDIUM,
    iocs=(IoC.CLUSTER_ADMIN,),
    group="pods",
    looks_at=PODS,
    fields=("seLinuxOptions",),
    controls={
        "pss": "baseline/seLinuxOptions",
        "attack": "T1611",
        "owasp": "K01",
        "nsa": "Hardening container environments",
    },
    parameters=(
        Parameter(
            "allowed",
            {
                "type": "array",
                "maxItems": 100,
                "items": {
                    "type": "object",
                    "minProperties": 1,
                    "additionalProperties": False,
                    "properties": {field: {"type": "string"} for field in FIELDS},
                },
            },
            "options that may be set, in place of the Pod Security Standards' list; one entry must cover all of them",
            default=[],
            exempts=True,
        ),
        PSS_VERSION,
    ),
)
def selinux_custom(pod: PodSpec, params: Params) -> Iterator[Hit]:
    """A container sets an SELinux type, user or role of its own.

    The type decides what a process may touch on the node: `spc_t` and `unconfined_t` lift the confinement that
    keeps containers apart. The Pod Security Standards allow `container_t`, `container_init_t`,
    `container_kvm_t` and, since 1.31, `container_engine_t`, and neither a user nor a role.

    Bad:

        apiVersion: v1
        kind: Pod
        metadata: {name: web, namespace: shop}
        spec:
          containers:
          - name: app
            image: hooli.com/shop/web:1.4
            securityContext: {seLinuxOptions: {type: spc_t}}

    Good:

        apiVersion: v1
        kind: Pod
        metadata: {name: web, namespace: shop}
        spec:
          containers:
          - name: app
            image: hooli.com/shop/web:1.4
            securityContext: {seLinuxOptions: {type: container_t, level: "s0:c123,c456"}}

    Fix: Remove `seLinuxOptions`, or keep only a level and one of the allowed types.

    Sources: Kubernetes Pod Security Standards, baseline, SELinux.
    """
    allowed = params["allowed"]
    types = TYPES | {"container_engine_t"} if minor_version(params) >= ENGINE_SINCE else TYPES
    places = [(pod.path, "the pod", pod.security_context)]
    places += [(container.path, container.title, container.security_context) for container in pod.containers]
    for path, who, context in places:
        options = mapping(context.get("seLinuxOptions"))
        if not options:
            continue
        where = f"{path}.securityContext.seLinuxOptions"
        if allowed:
            said = {field: text(options.get(field)) for field in FIELDS if text(options.get(field))}
            if said and not any(_covers(entry, said) for entry in allowed):
                shown = ", ".join(f"{field} {clip(value)}" for field, value in said.items())
                yield Hit(
                    where, f"{who} sets the SELinux options {shown}, which are not allowed", str(said), repair=remove()
                )
            continue
        for field in ("type", "user", "role"):
            value = text(options.get(field))
            if value and not (field == "type" and value in types):
                yield Hit(f"{where}.{field}", f"{who} sets the SELinux {field} {clip(value)}", value, repair=remove())


def _covers(entry: Mapping[str, Any], said: Mapping[str, str]) -> bool:
    """Whether an allowed entry names every option that is set, with this very value."""
    return all(entry.get(field) == value for field, value in said.items())
