"""Checks of what confines a container: seccomp, AppArmor, SELinux, and the kernel parameters of a pod."""

from __future__ import annotations

from collections.abc import Iterable

from checks import apparmor, seccomp
from checks.selinux import ENGINE_SINCE, FIELDS, TYPES
from checks.sysctls import ANNOTATIONS, SAFE
from iocaudit.core.severity import Severity
from iocaudit.install.vap.cel import any_of, either_of, glob, literals, pattern, quoted
from iocaudit.install.vap.rule import CelRule, DeniedHits, Finder, PodPart, clipped
from iocaudit.knowledge.pods.profile import ANY, LOCALHOST, Profile
from iocaudit.knowledge.pods.pss import minor_version

_NOTHING = CelRule((Finder(PodPart.POD, "false", "''", ""),))
_BEYOND = "container_engine_t"
_LOCALHOST_FILE = "localhost/"


def seccomp_unconfined(denied: DeniedHits) -> CelRule:
    profiles, files = denied.params["allowedProfiles"], denied.params["allowedLocalhostFiles"]
    if ANY in profiles:
        return _NOTHING
    kinds, globs = _seccomp_allowed(profiles, files)
    return _confined("seccompProfile", kinds, globs, _seccomp_annotations(kinds, globs))


def _seccomp_allowed(profiles: Iterable[str], files: Iterable[str]) -> tuple[list[str], list[str]]:
    """The kinds that may be set, and globs of the files that Localhost may name."""
    read = [Profile.from_annotation(entry) for entry in profiles]
    globs: list[str] = []
    for one in read:
        if one.kind != LOCALHOST:
            continue
        if not one.file:  # nothing after it decides
            globs += files or ["*"]
            break
        globs.append(one.file)
    return sorted({one.kind for one in read if one.kind != LOCALHOST}), globs


def _seccomp_annotations(kinds: list[str], globs: list[str]) -> list[Finder]:
    """An annotation counts where no field does: a container's for itself, the pod's for those with neither."""
    own = "it.?securityContext.?seccompProfile.?type.orValue('') != ''"
    key = f"{quoted(seccomp.CONTAINER_ANNOTATION)} + it.name"
    pod = quoted(seccomp.POD_ANNOTATION)
    of_pod = "@pod.?securityContext.?seccompProfile.?type.orValue('') != ''"
    value = f"@annotations[{key}]"
    inherits = (
        f"@containers.exists(one, !({own.replace('it.', 'one.', 1)}) && "
        f"@annotations[?{quoted(seccomp.CONTAINER_ANNOTATION)} + one.name].orValue('') == '')"
    )
    return [
        Finder(
            PodPart.CONTAINER,
            f"!({own}) && @annotations[?{key}].orValue('') != '' && !({_annotation_allowed(value, kinds, globs)})",
            f"'sets by annotation the seccomp profile ' + {clipped(value)}",
            "",
        ),
        Finder(
            PodPart.POD,
            f"!({of_pod}) && @annotations[?{pod}].orValue('') != '' && {inherits} && "
            f"!({_annotation_allowed(f'@annotations[{pod}]', kinds, globs)})",
            f"'sets by annotation the seccomp profile ' + {clipped(f'@annotations[{pod}]')}",
            "",
        ),
    ]


def apparmor_unconfined(denied: DeniedHits) -> CelRule:
    if ANY in denied.params["allowedProfiles"]:
        return _NOTHING
    read = [Profile.from_annotation(entry) for entry in denied.params["allowedProfiles"]]
    kinds = sorted({one.kind for one in read if one.kind != LOCALHOST})
    globs = [one.file or "*" for one in read if one.kind == LOCALHOST]
    bad = f"@annotations[it] != '' && !({_annotation_allowed('@annotations[it]', kinds, globs)})"
    by_annotation = Finder(
        PodPart.ANNOTATION,
        f"it.startsWith({quoted(apparmor.ANNOTATION)}) && {bad}",
        f"'sets the AppArmor profile ' + {clipped('@annotations[it]')}",
        "",
    )
    return _confined("appArmorProfile", kinds, globs, [by_annotation])


def _confined(field: str, kinds: list[str], globs: list[str], further: list[Finder]) -> CelRule:
    """The field of the pod and of each container, and what annotations say."""
    kind = f"it.?securityContext.?{field}.?type.orValue('')"
    file = f"it.?securityContext.?{field}.?localhostProfile.orValue('')"
    allowed = f"{kind} in {literals(['', *kinds])}"
    if globs:
        allowed += f" || {kind} == {quoted(LOCALHOST)} && {_fits(file, globs)}"
    shown = f"'sets {field} ' + {clipped(kind)}"
    path = f"securityContext.{field}.type"
    # The pod's own field counts even where every container has another: the next one added would inherit it.
    whole = f"!({allowed})"
    return CelRule(
        (
            Finder(PodPart.POD, _of_containers(whole), shown, path),
            Finder(PodPart.CONTAINER, whole, shown, path),
            *further,
        )
    )


def _of_containers(bad: str) -> str:
    """What a pod says for its containers counts where there is one: a policy may exempt the images of all."""
    return f"size(@containers) > 0 && {bad}"


def _fits(text: str, globs: Iterable[str]) -> str:
    """That a string is one of these or fits a glob among them."""
    written = list(globs)
    found = [f"{text} in {literals(plain)}"] if (plain := [one for one in written if "*" not in one]) else []
    if regexes := [glob(one) for one in written if "*" in one]:
        found.append(f"{text}.matches({pattern(f'(?s:^{any_of(regexes)}$)')})")
    return either_of(found)


def _annotation_allowed(value: str, kinds: list[str], globs: list[str]) -> str:
    """Whether an annotation's value means a profile that is allowed. Source: `Profile.from_annotation`."""
    plain = [word for word in ("runtime/default", "docker/default") if "RuntimeDefault" in kinds]
    plain += ["unconfined"] if "Unconfined" in kinds else []
    plain += [kind for kind in kinds if Profile.from_annotation(kind).kind == kind]
    plain += ["localhost", LOCALHOST] if any(glob_ == "*" or not glob_.strip("*") for glob_ in globs) else []
    found = f"{value} in {literals(dict.fromkeys(plain))}"
    if globs:
        file = f"{value}.substring({len(_LOCALHOST_FILE)})"
        found += f" || {value}.lowerAscii().startsWith('{_LOCALHOST_FILE}') && {_fits(file, globs)}"
    return found


def selinux_custom(denied: DeniedHits) -> CelRule:
    allowed = denied.params["allowed"]
    options = "it.?securityContext.?seLinuxOptions"
    texts = {field: f"{options}.?{field}.orValue('')" for field in FIELDS}
    if allowed:
        covered = " || ".join(
            "("
            + " && ".join(
                f"{text} in {literals(['', entry[field]] if entry.get(field) else [''])}"
                for field, text in texts.items()
            )
            + ")"
            for entry in allowed
        )
        bad = f"!({covered})"
    else:
        types = TYPES | {_BEYOND} if minor_version(denied.params) >= ENGINE_SINCE else TYPES
        bad = (
            f"!({texts['type']} in {literals(['', *sorted(types)])}) || {texts['user']} != '' || {texts['role']} != ''"
        )
    shown = "'sets SELinux options of its own'"
    path = "securityContext.seLinuxOptions"
    # Both levels say it for themselves; what a pod says for its containers counts where there is one.
    return CelRule(
        (
            Finder(PodPart.POD, _of_containers(f"({bad})"), shown, path),
            Finder(PodPart.CONTAINER, bad, shown, path),
        )
    )


def unsafe_sysctl(denied: DeniedHits) -> CelRule:
    conditions = []
    if Severity.CRITICAL in denied.severities:
        conditions.append("({value}.contains('+') || {value}.contains('='))")
    if Severity.MEDIUM in denied.severities:
        conditions.append(f"({_refused(denied)})")
    bad = " || ".join(conditions) if conditions else "false"
    field = _with(bad, "one.name", "one.?value.orValue('')")
    sysctls = "it.?securityContext.?sysctls.orValue([])"
    parts = "one.split('=', 2)"
    by_annotation = _with(bad, f"{parts}[0].trim()", f"(size({parts}) > 1 ? {parts}[1] : '')")
    written = f"@annotations[it].split(',').exists(one, {parts}[0].trim() != '' && ({by_annotation}))"
    return CelRule(
        (
            Finder(
                PodPart.POD,
                f"{sysctls}.exists(one, {field})",
                f"'sets sysctl ' + {clipped(f'{sysctls}.filter(one, {field})[0].name')}",
                "securityContext.sysctls",
            ),
            Finder(
                PodPart.ANNOTATION,
                f"it in {literals(ANNOTATIONS)} && {written}",
                f"'sets the sysctls ' + {clipped('@annotations[it]')}",
                "",
            ),
        )
    )


def _with(condition: str, name: str, value: str) -> str:
    """A condition about a parameter, its name in one spelling: dots between the parts."""
    swapped = f"{name}.replace('.', '\\n').replace('/', '.').replace('\\n', '/')"
    normal = f"({name}.matches('^[^./]*/') ? {swapped} : {name})"
    return condition.replace("{name}", normal).replace("{value}", value)


def _refused(denied: DeniedHits) -> str:
    allowed, forbidden = denied.params["allowed"], denied.params["forbidden"]
    found = []
    if forbidden:
        found.append(_fits("{name}", forbidden))
    if allowed is not None:
        found.append(f"!({_fits('{name}', allowed)})" if allowed else "true")
    elif not forbidden:
        version = minor_version(denied.params)
        safe = sorted(name for name, since in SAFE.items() if since <= version)
        found.append(f"!({{name}} in {literals(safe)})")
    return " || ".join(found)
