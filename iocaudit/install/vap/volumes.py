"""Checks of host paths: which of the node's files a pod gets, and whether it may write to them."""

from __future__ import annotations

from iocaudit.core.severity import Severity
from iocaudit.install.vap.cel import literals
from iocaudit.install.vap.host_path_lookup import (
    PathCondition,
    below,
    holds_cloud_credentials,
    holds_socket,
    is_sensitive,
    normalised,
)
from iocaudit.install.vap.rule import CelRule, DeniedHits, Finder, PodPart, clipped
from iocaudit.knowledge.host_places import PUBLIC_FILES

_HOST_PATHS = ("hostPaths", normalised("@volumes"))
_UNWRITTEN = "mount.?readOnly.orValue(false)"
# It costs what the mounts and the volumes do, and each volume that may only be read is looked for among the written.
_WRITTEN = (
    "writtenVolumes",
    "@containers.map(one, one.?volumeMounts.orValue([]).filter(mount, !mount.?readOnly.orValue(false))"
    ".map(mount, string(mount.name)).join('/')).join('/').split('/')",
)
_NAMES = ("hostPathNames", "@volumes.filter(v, has(v.hostPath)).map(v, v.name)")
_IS_WRITTEN = "it.name in @writtenVolumes"
_PUBLIC = f"it.at in {literals(sorted(PUBLIC_FILES))}"
_SHOWN = clipped("it.path")
_FIELD = "hostPath.path"


def _exposes(bad: str, says: str) -> Finder:
    return Finder(PodPart.VOLUME, bad, says, _FIELD, "@hostPaths")


def _allowed(denied: DeniedHits) -> PathCondition:
    """That a policy lets ``it`` be mounted as it is."""
    free, read_only = _prefixes(denied)
    if not free and not read_only:
        return PathCondition("false")
    freely, reading = below(free, "freePaths"), below(read_only, "readOnlyPaths")
    condition = f"({freely.condition} || {reading.condition} && !({_IS_WRITTEN}))"
    return PathCondition(condition, (*freely.constants, *reading.constants))


def _covered(denied: DeniedHits) -> PathCondition:
    """That ``it`` is below an allowed path, however it is mounted."""
    free, read_only = _prefixes(denied)
    return below([*free, *read_only], "allowedPaths")


def _prefixes(denied: DeniedHits) -> tuple[list[str], list[str]]:
    """The allowed paths, and those that are to be mounted read-only."""
    everything = denied.params.get("readOnlyRequired") is True
    free: list[str] = []
    read_only: list[str] = []
    for entry in denied.params["allowed"]:
        path = entry if isinstance(entry, str) else str(entry["pathPrefix"])
        only = everything or (not isinstance(entry, str) and entry.get("readOnly") is True)
        (read_only if only else free).append(path)
    return free, read_only


def _sensitive(severities: frozenset[Severity]) -> PathCondition:
    """That ``it`` is sensitive as it is mounted."""
    found = is_sensitive(severities)
    return found._replace(condition=f"({found.condition}) && (!({_PUBLIC}) || {_IS_WRITTEN})")


def sensitive_host_path(denied: DeniedHits) -> CelRule:
    sensitive, allowed = _sensitive(denied.severities), _allowed(denied)
    return CelRule(
        (_exposes(f"{sensitive.condition} && !({allowed.condition})", f"'exposes host path ' + {_SHOWN}"),),
        (_HOST_PATHS, _WRITTEN),
        ("what is behind a PersistentVolumeClaim is looked up by the webhook alone",),
        (*sensitive.constants, *allowed.constants),
    )


def host_path_mount(denied: DeniedHits) -> CelRule:
    sensitive, allowed, covered = _sensitive(frozenset(Severity)), _allowed(denied), _covered(denied)
    bad = f"{covered.condition} ? !({allowed.condition}) : !({sensitive.condition})"
    return CelRule(
        (_exposes(bad, f"'exposes host path ' + {_SHOWN}"),),
        (_HOST_PATHS, _WRITTEN),
        constants=(*covered.constants, *allowed.constants, *sensitive.constants),
    )


def runtime_socket_mount(_denied: DeniedHits) -> CelRule:
    found = holds_socket()
    says = f"'exposes a control socket of the node by host path ' + {_SHOWN}"
    return CelRule((_exposes(found.condition, says),), (_HOST_PATHS,), constants=found.constants)


def cloud_credentials_mount(_denied: DeniedHits) -> CelRule:
    says = f"'exposes credentials of a cloud by host path ' + {_SHOWN}"
    return CelRule((_exposes(holds_cloud_credentials(), says),), (_HOST_PATHS,))


def writable_host_path(_denied: DeniedHits) -> CelRule:
    bad = f"!{_UNWRITTEN} && mount.name in @hostPathNames"
    mounts = "it.?volumeMounts.orValue([])"
    shown = clipped(f"{mounts}.filter(mount, {bad})[0].name")
    return CelRule(
        (
            Finder(
                PodPart.CONTAINER,
                f"size(@hostPathNames) > 0 && {mounts}.exists(mount, {bad})",
                f"'can write to the host path of volume ' + {shown}",
                "volumeMounts",
            ),
        ),
        (_NAMES,),
    )
