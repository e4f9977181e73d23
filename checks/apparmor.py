"""Containers without the AppArmor profile that a runtime brings."""

from collections.abc import Iterator, Mapping

from iocaudit.core.check import Params, check, string_list
from iocaudit.core.hit import Hit
from iocaudit.core.kinds import PODS
from iocaudit.core.repair import put, remove
from iocaudit.core.severity import IoC, Severity
from iocaudit.knowledge.clipping import clip
from iocaudit.knowledge.image import glob
from iocaudit.knowledge.pods.pod import Container, PodSpec
from iocaudit.knowledge.pods.profile import (
    ANY,
    LOCALHOST,
    RUNTIME_DEFAULT,
    MatchingFields,
    PlacedProfile,
    Profile,
    in_context,
)

ANNOTATION = "container.apparmor.security.beta.kubernetes.io/"
_FIELD = "appArmorProfile"
_CONTROLS = {"cis-1.12": "5.6.2", "attack": "T1611", "owasp": "K01", "nsa": "Hardening container environments"}


def _annotations(pod: PodSpec) -> dict[str, PlacedProfile]:
    """Container name to what its annotation says; an empty one says nothing."""
    return {
        key.removeprefix(ANNOTATION): PlacedProfile(
            f'{pod.metadata_path}.annotations["{key}"]', Profile.from_annotation(value)
        )
        for key, value in pod.annotations.items()
        if key.startswith(ANNOTATION) and isinstance(value, str) and value
    }


def _effective(container: Container, annotations: dict[str, PlacedProfile]) -> PlacedProfile | None:
    """The container's own field, else its annotation, else the pod's field."""
    return (
        in_context(container.security_context, container.path, _FIELD)
        or annotations.get(container.name)
        or in_context(container.pod.security_context, container.pod.path, _FIELD)
    )


def _pairs(pod: PodSpec, annotations: Mapping[str, PlacedProfile]) -> list[tuple[str, str]]:
    """The annotation of each container and the field that holds for it, its own or its pod's: they must match.

    Source: validateAppArmorAnnotationsAndFieldsMatchOnCreate of kube-apiserver.
    """
    found = []
    for container in pod.containers if annotations else ():
        annotated, said = annotations.get(container.name), _field(container)
        if annotated is not None and said is not None:
            found.append((annotated.path, said.path))
    return found


def _field(container: Container) -> PlacedProfile | None:
    """The field that holds for a container: its own, else its pod's."""
    return in_context(container.security_context, container.path, _FIELD) or in_context(
        container.pod.security_context, container.pod.path, _FIELD
    )


@check(
    "apparmor-unconfined",
    severity=Severity.MEDIUM,
    iocs=(IoC.UNKNOWN_BINARY,),
    group="pods",
    looks_at=PODS,
    fields=("annotations", "appArmorProfile"),
    controls={**_CONTROLS, "pss": "baseline/appArmorProfile"},
    parameters=(
        string_list(
            "allowedProfiles",
            "profiles that may be set: RuntimeDefault, Localhost, localhost/NAME with `*` for any run, Unconfined; `*` "
            "alone is every one",
            default=(RUNTIME_DEFAULT, LOCALHOST),
            exempts=True,
        ),
    ),
)
def apparmor_unconfined(pod: PodSpec, params: Params) -> Iterator[Hit]:
    """A container switches its AppArmor profile off, or sets one that is not allowed.

    The runtime's own profile keeps a container from mounting, from writing to most of /proc and /sys and from
    tracing other processes. `Unconfined` lifts all of that. Fields count, and so do the annotations of
    Kubernetes before 1.30, whatever container they name.

    Bad:

        apiVersion: v1
        kind: Pod
        metadata: {name: web, namespace: shop}
        spec:
          securityContext: {appArmorProfile: {type: Unconfined}}
          containers: [{name: app, image: "hooli.com/shop/web:1.4"}]

    Good:

        apiVersion: v1
        kind: Pod
        metadata: {name: web, namespace: shop}
        spec:
          securityContext: {appArmorProfile: {type: RuntimeDefault}}
          containers: [{name: app, image: "hooli.com/shop/web:1.4"}]

    Fix: Remove the profile, or set `appArmorProfile.type: RuntimeDefault`.

    Sources: Kubernetes Pod Security Standards, baseline, AppArmor.
    """
    if ANY in params["allowedProfiles"]:
        return
    allowed = [Profile.from_annotation(entry) for entry in params["allowedProfiles"]]
    annotations = _annotations(pod)
    seen = {entry.path: entry.profile for entry in annotations.values()}
    fields = [in_context(container.security_context, container.path, _FIELD) for container in pod.containers]
    seen |= {
        one.path: one.profile
        for one in (in_context(pod.security_context, pod.path, _FIELD), *fields)
        if one is not None
    }
    matching = MatchingFields(_pairs(pod, annotations))
    for path, profile in seen.items():
        if not any(entry.kind == profile.kind and glob(entry.file or "*", profile.file) for entry in allowed):
            message = f"sets the AppArmor profile {clip(str(profile))}, which is not allowed"
            yield Hit(path, message, str(profile), repair=matching.undone(path))


@check(
    "apparmor-missing",
    severity=Severity.LOW,
    iocs=(IoC.UNKNOWN_BINARY,),
    group="pods",
    looks_at=PODS,
    controls=_CONTROLS,
    profile="strict",
)
def apparmor_missing(pod: PodSpec) -> Iterator[Hit]:
    """A container sets no AppArmor profile.

    On a node with AppArmor the runtime applies its own profile even then; on any other, nothing says that one is
    expected. Setting it makes the pod fail to start where it cannot be applied. An annotation that names a
    container which is not there sets nothing and is flagged. Windows pods are left out.

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
          securityContext: {appArmorProfile: {type: RuntimeDefault}}
          containers: [{name: app, image: "hooli.com/shop/web:1.4"}]

    Fix: Set `securityContext.appArmorProfile.type: RuntimeDefault` on the pod.

    Sources: Kubernetes documentation, Restrict a Container's Access to Resources with AppArmor.
    """
    if pod.is_windows:
        return
    annotations = _annotations(pod)
    for container in pod.containers:
        if _effective(container, annotations) is None:
            undo = put({"type": RUNTIME_DEFAULT})
            yield container.hit("securityContext.appArmorProfile", "sets no AppArmor profile", "unset", repair=undo)
    names = {container.name for container in pod.containers}
    for name, found in annotations.items():
        if name not in names:
            message = (
                f'names container "{clip(name)}", which is not in the pod: its AppArmor profile applies to nothing'
            )
            yield Hit(found.path, message, name, repair=remove(safe=True))
