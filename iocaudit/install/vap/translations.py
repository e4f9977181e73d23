"""Which checks can be said in CEL, each by the function that says it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from iocaudit.core.check import Check
from iocaudit.core.parameters import EXEMPT_IMAGES
from iocaudit.engine.languages.rule_fields import RULE_PREFIXES
from iocaudit.install.vap import containers, images, pod_fields, profiles, volumes
from iocaudit.install.vap.rule import POD_VARIABLES, CelRule, DeniedHits, NotExpressibleError

LONGEST = 90_000
"""Characters that are left of the 100,000 that an API server takes in an expression."""
Translation = Callable[[DeniedHits], CelRule]
TRANSLATIONS: Mapping[str, Translation] = {
    "apparmor-unconfined": profiles.apparmor_unconfined,
    "capability-beyond-baseline": containers.capability_beyond_baseline,
    "cloud-credentials-mount": volumes.cloud_credentials_mount,
    "dangerous-capability": containers.dangerous_capability,
    "host-ipc": pod_fields.host_ipc,
    "host-network": pod_fields.host_network,
    "host-path-mount": volumes.host_path_mount,
    "host-pid": pod_fields.host_pid,
    "host-port": containers.host_port,
    "host-process-container": pod_fields.host_process_container,
    "may-run-as-root": pod_fields.may_run_as_root,
    "privilege-escalation-allowed": containers.privilege_escalation_allowed,
    "privileged-container": containers.privileged_container,
    "runs-as-root": pod_fields.runs_as_root,
    "runtime-socket-mount": volumes.runtime_socket_mount,
    "seccomp-unconfined": profiles.seccomp_unconfined,
    "selinux-custom": profiles.selinux_custom,
    "sensitive-host-path": volumes.sensitive_host_path,
    "unmasked-proc": containers.unmasked_proc,
    "unsafe-sysctl": profiles.unsafe_sysctl,
    "untrusted-registry": images.untrusted_registry,
    "writable-host-path": volumes.writable_host_path,
}
"""By the id of a check. A translation raises NotExpressibleError where it cannot say what is denied."""


def translated(check: Check, denied: DeniedHits) -> CelRule:
    """A check in CEL; raises NotExpressibleError with the reason where that cannot be."""
    translation = TRANSLATIONS.get(check.id)
    if translation is None:
        raise NotExpressibleError(reason(check))
    rule = translation(denied)
    exempt = tuple(denied.params.get(EXEMPT_IMAGES.name) or ())
    if exempt:
        rule = _without(rule, exempt)
    texts = (sum(len(one.bad) for one in rule.finders), *(len(text) for _, text in (*rule.variables, *rule.constants)))
    if max(texts) > LONGEST:
        raise NotExpressibleError("its lists are longer than an expression may be")
    return rule


def _without(rule: CelRule, exempt: tuple[str, ...]) -> CelRule:
    """The same, but for containers with images that are exempt."""
    found = images.exempt(exempt)
    left = f"({dict(POD_VARIABLES)['containers']}).filter(it, !({found.condition}))"
    return rule._replace(
        variables=(("containers", left), *rule.variables),
        notes=(*found.notes, *rule.notes),
        constants=(*found.constants, *rule.constants),
    )


def reason(check: Check) -> str:
    """Why a check is not translated."""
    if check.id.startswith(RULE_PREFIXES):
        return "it is a rule of a policy or a folder, which are not exported"
    if not check.on_pods:
        return "it is not about pods"
    if check.needs or check.uses:
        return "it looks up other objects"
    return "it has no translation to CEL"
