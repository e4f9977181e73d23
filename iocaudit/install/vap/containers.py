"""Checks of what containers say of themselves: privileges, capabilities, /proc, ports."""

from __future__ import annotations

from checks.capabilities import DANGEROUS, allowed_spellings
from iocaudit.core.severity import Severity
from iocaudit.install.vap.cel import literals
from iocaudit.install.vap.rule import CelRule, DeniedHits, Finder, PodPart, first
from iocaudit.knowledge.pods.pss import USER_NAMESPACES_SINCE, minor_version

_ADDED = "it.?securityContext.?capabilities.?add.orValue([])"
_PTRACE = "SYS_PTRACE"
_ESCALATION_SINCE = 8


def own_users(denied: DeniedHits) -> str:
    """The condition that a pod is in a user namespace of its own, where the Pod Security Standards relax for that."""
    return "!@pod.?hostUsers.orValue(true)" if minor_version(denied.params) >= USER_NAMESPACES_SINCE else "false"


def without_own_users(denied: DeniedHits, bad: str) -> str:
    """A condition that counts only outside of a user namespace of the pod's own."""
    spared = own_users(denied)
    return bad if spared == "false" else f"!({spared}) && ({bad})"


def privileged_container(_denied: DeniedHits) -> CelRule:
    return CelRule(
        (
            Finder(
                PodPart.CONTAINER,
                "it.?securityContext.?privileged.orValue(false)",
                "'runs privileged'",
                "securityContext.privileged",
            ),
        )
    )


def dangerous_capability(denied: DeniedHits) -> CelRule:
    names = {name for name, severity in DANGEROUS.items() if severity in denied.severities}
    only_with_pid = Severity.CRITICAL in denied.severities and _PTRACE not in names
    only_without = Severity.CRITICAL not in denied.severities and _PTRACE in names
    bad = [_is_one_of(sorted(names - {_PTRACE} if only_without else names))] if names else []
    if only_with_pid:
        bad.append(f"@pod.?hostPID.orValue(false) && {_is_one_of([_PTRACE])}")
    elif only_without:
        bad.append(f"!@pod.?hostPID.orValue(false) && {_is_one_of([_PTRACE])}")
    condition = " || ".join(bad) if bad else "false"
    return CelRule(
        (
            Finder(
                PodPart.CONTAINER,
                f"{_ADDED}.exists(name, {condition})",
                "'adds capability ' + " + first(f"{_ADDED}.filter(name, {condition})"),
                "securityContext.capabilities.add",
            ),
        )
    )


def _is_one_of(names: list[str]) -> str:
    """In any case and with or without CAP_, as the runtimes read them."""
    return f"name.trim().upperAscii() in {literals([prefix + name for prefix in ('', 'CAP_') for name in names])}"


def capability_beyond_baseline(denied: DeniedHits) -> CelRule:
    allowed = allowed_spellings(tuple(denied.params["allowed"]))
    bad = "false" if allowed is None else f"!(name in {literals(sorted(allowed))})"
    return CelRule(
        (
            Finder(
                PodPart.CONTAINER,
                f"{_ADDED}.exists(name, {bad})",
                f"'adds capability ' + {first(f'{_ADDED}.filter(name, {bad})')} + ', which is not in the allowed list'",
                "securityContext.capabilities.add",
            ),
        )
    )


def unmasked_proc(denied: DeniedHits) -> CelRule:
    bad = "!(it.?securityContext.?procMount.orValue('') in ['', 'Default'])"
    return CelRule(
        (
            Finder(
                PodPart.CONTAINER,
                without_own_users(denied, bad) if denied.params["userNamespaces"] else bad,
                "'sees an unmasked /proc'",
                "securityContext.procMount",
            ),
        )
    )


def privilege_escalation_allowed(denied: DeniedHits) -> CelRule:
    bad = "it.?securityContext.?allowPrivilegeEscalation.orValue(true)"
    since = minor_version(denied.params) >= _ESCALATION_SINCE
    return CelRule(
        (
            Finder(
                PodPart.CONTAINER,
                f"@pod.?os.?name.orValue('') != 'windows' && {bad}" if since else "false",
                "'may gain privileges (allowPrivilegeEscalation is not false)'",
                "securityContext.allowPrivilegeEscalation",
            ),
        )
    )


def host_port(denied: DeniedHits) -> CelRule:
    ranges = [(entry["min"], entry["max"]) for entry in denied.params["allowed"]]
    bad = "port.?hostPort.orValue(0) != 0"
    for low, high in ranges:
        bad += f" && !(port.hostPort >= {low} && port.hostPort <= {high})"
    if not ranges:
        bad += " && !(@pod.?hostNetwork.orValue(false) && port.hostPort == port.containerPort)"
    ports = "it.?ports.orValue([])"
    return CelRule(
        (
            Finder(
                PodPart.CONTAINER,
                f"{ports}.exists(port, {bad})",
                f"'opens host port ' + string({ports}.filter(port, {bad})[0].hostPort)",
                "ports",
            ),
        )
    )
