"""AuditPolicies that take away from what is denied."""

from collections.abc import Iterator

from checks._webhook_rules import GUARD_CONTROLS
from iocaudit.core.check import check
from iocaudit.core.errors import PolicyError
from iocaudit.core.guard import WEAKENS, Denials
from iocaudit.core.hit import Hit, Skip
from iocaudit.core.kinds import NAMESPACE
from iocaudit.core.kinds.ours import AUDIT_POLICY
from iocaudit.core.resource import Resource
from iocaudit.core.severity import IoC, Severity


@check(
    WEAKENS,
    severity=Severity.HIGH,
    iocs=(IoC.CLUSTER_ADMIN,),
    group="self",
    looks_at=(AUDIT_POLICY,),
    uses=(NAMESPACE,),
    audit_only=True,
    controls=GUARD_CONTROLS,
)
def policy_weakens_guard(resource: Resource, guard: Denials) -> Iterator[Hit | Skip]:
    """An AuditPolicy turns off, lowers or exempts what the preset in force would deny.

    Judged is what the policy does where it decides: a weaker preset than that of the policies below it, a mode or
    severity that no longer denies, subjects, images or paths that are exempt, `onFault: allow`. One that is overridden
    by another or that only denies more is left alone; where the preset denies nothing, nothing is taken away.
    Exempting everybody or nearly every image is high; exempting some, which every cluster needs somewhere, medium.
    At admission the change itself is reported to its author and kept for a week with the user, also where
    a policy is removed; it is never denied. So is a change of a ConfigMap that holds rules in Rego: a rule that is
    denied and goes, is called otherwise, or judges less. A policy that denies by a rule which is not there, in a
    cluster whose rules are known, is found as long as it is so. No policy turns this check off or lowers it: accept a
    policy by an IocWaiver, which has an owner, a reason and an end.

    Bad:

        apiVersion: iocaudit.io/v1alpha1
        kind: AuditPolicy
        metadata: {name: quiet}
        spec:
          priority: 1000
          preset: guard
          match: {namespaces: [legacy]}
          checks:
          - {profiles: [default, strict], mode: "off"}

    Good:

        apiVersion: iocaudit.io/v1alpha1
        kind: AuditPolicy
        metadata: {name: stricter}
        spec:
          priority: 1000
          match: {namespaces: [shop]}
          checks:
          - {ids: [host-network, host-pid], mode: deny}

    Fix: Narrow the policy to the namespaces, checks and images that need it.

    Sources: Kubernetes SIG Security, admission control threat model, threats 3 and 4; MITRE ATT&CK T1562.
    """
    try:
        for found in guard.taken_by(resource):
            yield Hit(found.path, found.message, found.evidence, found.severity, found.at or None)
    except PolicyError as error:
        yield Skip(str(error))
