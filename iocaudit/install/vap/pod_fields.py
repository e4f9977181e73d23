"""Checks of what a pod shares with its node, and as whom it runs."""

from __future__ import annotations

from checks.root_user import WINDOWS_ADMINISTRATORS
from iocaudit.install.vap.cel import literals
from iocaudit.install.vap.containers import without_own_users
from iocaudit.install.vap.rule import CelRule, DeniedHits, Finder, PodPart

_WINDOWS_USER = "it.?securityContext.?windowsOptions.?runAsUserName.orValue('').trim()"
_IS_ADMINISTRATOR = f"{_WINDOWS_USER}.lowerAscii() in {literals(sorted(WINDOWS_ADMINISTRATORS))}"


def _shares(field: str, what: str) -> CelRule:
    return CelRule((Finder(PodPart.POD, f"it.?{field}.orValue(false)", f"'{what} ({field}: true)'", field),))


def host_network(_denied: DeniedHits) -> CelRule:
    return _shares("hostNetwork", "shares the network of the node")


def host_pid(_denied: DeniedHits) -> CelRule:
    return _shares("hostPID", "sees the processes of the node")


def host_ipc(_denied: DeniedHits) -> CelRule:
    return _shares("hostIPC", "shares the IPC namespace of the node")


def host_process_container(_denied: DeniedHits) -> CelRule:
    field = "securityContext.windowsOptions.hostProcess"
    bad = "it.?securityContext.?windowsOptions.?hostProcess.orValue(false)"
    return CelRule(
        (
            # With the images of all containers exempt, what the pod says for its containers is said for none.
            Finder(PodPart.POD, f"size(@containers) > 0 && {bad}", "'runs as a HostProcess pod'", field),
            Finder(PodPart.CONTAINER, bad, "'runs as a HostProcess container'", field),
        )
    )


def runs_as_root(denied: DeniedHits) -> CelRule:
    user, name = "securityContext.runAsUser", "securityContext.windowsOptions.runAsUserName"
    own = "it.?securityContext.?runAsUser.orValue(1) == 0"
    inherits = "@containers.exists(one, !has(one.securityContext) || !has(one.securityContext.runAsUser))"
    unnamed = "@containers.exists(one, one.?securityContext.?windowsOptions.?runAsUserName.orValue('').trim() == '')"
    finders = [
        Finder(PodPart.CONTAINER, own, "'runs as root (runAsUser: 0)'", user),
        Finder(PodPart.CONTAINER, _IS_ADMINISTRATOR, "'runs as a Windows administrator'", name),
        Finder(PodPart.POD, f"{own} && {inherits}", "'runs its containers as root (runAsUser: 0)'", user),
        Finder(PodPart.POD, f"{_IS_ADMINISTRATOR} && {unnamed}", "'runs as a Windows administrator'", name),
    ]
    if denied.params["groups"]:
        group = "it.?securityContext.?runAsGroup.orValue(1) == 0"
        filesystem = "it.?securityContext.?fsGroup.orValue(1) == 0"
        further = "it.?securityContext.?supplementalGroups.orValue([]).exists(group, group == 0)"
        said = "'runs with the root group'"
        finders += [
            Finder(PodPart.POD, f"size(@containers) > 0 && {group}", said, "securityContext.runAsGroup"),
            Finder(PodPart.POD, filesystem, said, "securityContext.fsGroup"),
            Finder(PodPart.POD, further, "'has the root group as a supplemental group'", "securityContext"),
            Finder(PodPart.CONTAINER, group, said, "securityContext.runAsGroup"),
        ]
    return CelRule(tuple(one._replace(bad=without_own_users(denied, one.bad)) for one in finders))


def may_run_as_root(denied: DeniedHits) -> CelRule:
    non_root = (
        "it.?securityContext.?runAsNonRoot.orValue(@pod.?securityContext.?runAsNonRoot.orValue(false)) || "
        "it.?securityContext.?runAsUser.orValue(@pod.?securityContext.?runAsUser.orValue(0)) != 0"
    )
    name = f"({_WINDOWS_USER} == '' ? {_WINDOWS_USER.replace('it.', '@pod.', 1)} : {_WINDOWS_USER})"
    named = f"@pod.?os.?name.orValue('') == 'windows' && !({name}.lowerAscii() in {_WORDS})"
    return CelRule(
        (
            Finder(
                PodPart.CONTAINER,
                without_own_users(denied, f"!({non_root} || {named})"),
                "'may run as root (neither runAsNonRoot: true nor a runAsUser other than 0 holds for it)'",
                "securityContext.runAsNonRoot",
            ),
        )
    )


_WORDS = literals(["", *sorted(WINDOWS_ADMINISTRATORS)])
