"""Containers without the filter on system calls that a runtime brings."""

from collections.abc import Iterator

from iocaudit.core.check import Parameter, Params, check, string_list
from iocaudit.core.hit import Hit
from iocaudit.core.kinds import PODS
from iocaudit.core.repair import Edit, Repair, put
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
from iocaudit.knowledge.pods.pss import PSS_VERSION, minor_version

POD_ANNOTATION = "seccomp.security.alpha.kubernetes.io/pod"
CONTAINER_ANNOTATION = "container.seccomp.security.alpha.kubernetes.io/"
_UNSET = "not configured"
_RESTRICTED_SINCE = 19
_ANNOTATIONS_UNTIL = 27
_FIELD = "seccompProfile"
_CONTROLS = {"cis-1.12": "5.6.2", "attack": "T1611", "owasp": "K01", "nsa": "Hardening container environments"}


def _annotation(pod: PodSpec, key: str) -> PlacedProfile | None:
    value = pod.annotations.get(key)
    if not isinstance(value, str) or not value:
        return None
    return PlacedProfile(f'{pod.metadata_path}.annotations["{key}"]', Profile.from_annotation(value))


def _effective(container: Container) -> PlacedProfile | None:
    """The container's own field, else its annotation, else the pod's field, else the pod's annotation."""
    pod = container.pod
    return (
        in_context(container.security_context, container.path, _FIELD)
        or _annotation(pod, CONTAINER_ANNOTATION + container.name)
        or in_context(pod.security_context, pod.path, _FIELD)
        or _annotation(pod, POD_ANNOTATION)
    )


def _pairs(pod: PodSpec) -> list[tuple[str, str]]:
    """The annotations and the fields that must match: the pod's, and each container's.

    Source: validateSeccompAnnotationsAndFields of kube-apiserver.
    """
    holders = [(POD_ANNOTATION, pod.path, pod.security_context)]
    holders += [(CONTAINER_ANNOTATION + one.name, one.path, one.security_context) for one in pod.containers]
    found = []
    for key, path, context in holders if pod.annotations else ():
        annotated, said = _annotation(pod, key), in_context(context, path, _FIELD)
        if annotated is not None and said is not None:
            found.append((annotated.path, said.path))
    return found


def _allowed(profile: Profile, profiles: tuple[str, ...], files: tuple[str, ...]) -> bool:
    """Whether a policy's lists allow it: ``RuntimeDefault``, ``Localhost`` (its file in ``files``), ``localhost/x``."""
    if ANY in profiles:
        return True
    for entry in profiles:
        wanted = Profile.from_annotation(entry)
        if wanted.kind != profile.kind:
            continue
        if profile.kind != LOCALHOST or glob(wanted.file or "*", profile.file):
            return (
                profile.kind != LOCALHOST
                or bool(wanted.file)
                or not files
                or any(glob(pattern, profile.file) for pattern in files)
            )
    return False


@check(
    "seccomp-unconfined",
    severity=Severity.MEDIUM,
    iocs=(IoC.UNKNOWN_BINARY,),
    group="pods",
    looks_at=PODS,
    fields=("annotations", "seccompProfile"),
    controls={**_CONTROLS, "pss": "baseline/seccompProfile_baseline"},
    parameters=(
        string_list(
            "allowedProfiles",
            "profiles that may be set: RuntimeDefault, Localhost, localhost/FILE, Unconfined; `*` is every one",
            default=(RUNTIME_DEFAULT, LOCALHOST),
            exempts=True,
        ),
        string_list(
            "allowedLocalhostFiles",
            "files that Localhost may name, `*` for any run; all where it is empty",
            exempts=True,
        ),
    ),
)
def seccomp_unconfined(pod: PodSpec, params: Params) -> Iterator[Hit]:
    """A container runs without any filter on system calls.

    With `Unconfined` every system call of the kernel is within reach of a compromised process, and most kernel
    exploits start from one that the runtime's own profile refuses. What counts is the container's field, else
    the pod's; the annotations of Kubernetes before 1.27 are read where no field is set.

    Bad:

        apiVersion: v1
        kind: Pod
        metadata: {name: web, namespace: shop}
        spec:
          securityContext: {seccompProfile: {type: Unconfined}}
          containers: [{name: app, image: "hooli.com/shop/web:1.4"}]

    Good:

        apiVersion: v1
        kind: Pod
        metadata: {name: web, namespace: shop}
        spec:
          securityContext: {seccompProfile: {type: RuntimeDefault}}
          containers: [{name: app, image: "hooli.com/shop/web:1.4"}]

    Fix: Set `seccompProfile.type: RuntimeDefault`, or `Localhost` with a profile made for the program.

    Sources: Kubernetes Pod Security Standards, baseline, Seccomp; CIS Kubernetes Benchmark 1.12, 5.6.2.
    """
    profiles, files = tuple(params["allowedProfiles"]), tuple(params["allowedLocalhostFiles"])
    # The pod's own field is judged even where every container has another: the next one added would inherit it.
    whole = in_context(pod.security_context, pod.path, _FIELD)
    found = [whole, *(_effective(container) for container in pod.containers)]
    seen = {one.path: one.profile for one in found if one is not None}
    wrong = {path: profile for path, profile in seen.items() if not _allowed(profile, profiles, files)}
    matching = MatchingFields(_pairs(pod) if wrong else ())
    for path, profile in wrong.items():
        message = f"sets the seccomp profile {clip(str(profile))}, which is not allowed"
        yield Hit(path, message, str(profile), repair=matching.undone(path))


@check(
    "seccomp-missing",
    severity=Severity.LOW,
    iocs=(IoC.UNKNOWN_BINARY,),
    group="pods",
    looks_at=PODS,
    controls={**_CONTROLS, "pss": "restricted/seccompProfile_restricted"},
    profile="strict",
    parameters=(
        Parameter(
            "allowedProfiles",
            {"type": "array", "items": {"type": "string", "minLength": 1}, "maxItems": 1000},
            "as for seccomp-unconfined; with `not configured` or `*` in it a container may go without",
            default=[],
            exempts=True,
        ),
        PSS_VERSION,
    ),
)
def seccomp_missing(pod: PodSpec, params: Params) -> Iterator[Hit]:
    """A container sets no seccomp profile.

    Unless the kubelet runs with `seccompDefault`, no profile means Unconfined: every system call is allowed. The
    annotations have no effect since Kubernetes 1.27; they count where the policy names an older version, or
    lists their values (`runtime/default`). Windows pods are left out.

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
            securityContext: {seccompProfile: {type: RuntimeDefault}}

    Fix: Set `securityContext.seccompProfile.type: RuntimeDefault` on the pod.

    Sources: Kubernetes Pod Security Standards, restricted, Seccomp.
    """
    may_go_without = not {_UNSET, ANY}.isdisjoint(params["allowedProfiles"])
    if pod.is_windows or may_go_without or minor_version(params) < _RESTRICTED_SINCE:
        return
    annotated = minor_version(params) < _ANNOTATIONS_UNTIL or any("/" in entry for entry in params["allowedProfiles"])
    for container in pod.containers:
        found = _effective(container)
        if found is None or (not annotated and ".annotations[" in found.path):
            undo = put({"type": RUNTIME_DEFAULT})
            if (own := _annotation(pod, CONTAINER_ANNOTATION + container.name)) is not None:
                undo = Repair((*undo.edits, Edit("set", own.path, "runtime/default")))
            yield container.hit("securityContext.seccompProfile", "sets no seccomp profile", "unset", repair=undo)
