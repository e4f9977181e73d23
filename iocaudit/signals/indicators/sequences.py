"""Sequences: steps that mean little alone, taken by one account within a window.

Programs retry what they were refused and change what they own; a sequence is one only where a person acts, or someone
with a tool that people type, unless it says otherwise. Each needs the time of its events.
"""

from __future__ import annotations

import re
from datetime import timedelta

from iocaudit.core.request import service_account_of
from iocaudit.core.severity import Severity
from iocaudit.core.shape import lookup, mapping, mappings, text
from iocaudit.knowledge.clipping import clip
from iocaudit.knowledge.host_path import danger
from iocaudit.signals.accounts import is_control_plane, is_own, is_person, uses_tool_of_person
from iocaudit.signals.audit_event import AuditEvent
from iocaudit.signals.indicators import escalation, user_activity
from iocaudit.signals.indicators.declaration import Observation
from iocaudit.signals.indicators.escalation import BINDINGS, ROLES, WRITES, object_of
from iocaudit.signals.indicators.secrets import is_helms
from iocaudit.signals.indicators.sessions import EXEC, is_opened
from iocaudit.signals.memory import Recollection, Steps
from iocaudit.signals.wording import account_of, name_of, what, who

_HALF_AN_HOUR = timedelta(minutes=30)
_MASTERS = "system:masters"
_REASON = re.compile(r"(ClusterRoleBinding|RoleBinding|ClusterRole|Role) \"([^\"]{1,300})\"")
_NAMED = {
    "rolebindings": "RoleBinding",
    "clusterrolebindings": "ClusterRoleBinding",
    "roles": "Role",
    "clusterroles": "ClusterRole",
}
_POWERFUL = frozenset({"secrets", "pods/exec", "pods/attach", "serviceaccounts/token", "nodes/proxy"})


def _by_hand(event: AuditEvent) -> bool:
    return is_person(event.user) or (uses_tool_of_person(event) and not is_own(event.user))


def _ago(step: Recollection, event: AuditEvent) -> str:
    """How long before an event a step was."""
    if event.when is None:
        return "before"
    seconds = max(0, int((event.when - step.when).total_seconds()))
    return f"{seconds // 60} min before" if seconds >= 120 else f"{seconds} s before"


@escalation.INDICATOR.detects(
    "refused-then-allowed",
    severity=Severity.HIGH,
    technique="T1098.006",
    related=("rbac-management", "escalation-verb", "wildcard-rule"),
    window=_HALF_AN_HOUR,
    is_sequence=True,
)
def refused_then_allowed(event: AuditEvent, steps: Steps) -> Observation | None:
    """An account may do what it was refused shortly before.

    Someone tried, was turned away, found a way, and tried again. Reads of what leads no further do not count, nor do
    programs, which ask again until their rights are there.

    Fires:

        - verb: create
          user: {username: alice}
          objectRef: {resource: pods, subresource: exec, namespace: shop, name: web}
          responseStatus: {code: 403}
          stageTimestamp: "2026-11-30T10:00:00Z"
        - verb: create
          user: {username: alice}
          objectRef: {resource: pods, subresource: exec, namespace: shop, name: web}
          responseStatus: {code: 101}
          stageTimestamp: "2026-11-30T10:06:00Z"

    Quiet:

        - verb: list
          user: {username: "system:serviceaccount:shop:operator"}
          userAgent: operator/v1 (linux/amd64) kubernetes/$Format
          objectRef: {resource: secrets, namespace: shop}
          responseStatus: {code: 403}
          stageTimestamp: "2026-11-30T10:00:00Z"
        - verb: list
          user: {username: "system:serviceaccount:shop:operator"}
          userAgent: operator/v1 (linux/amd64) kubernetes/$Format
          objectRef: {resource: secrets, namespace: shop}
          responseStatus: {code: 200}
          stageTimestamp: "2026-11-30T10:00:20Z"

    Sources: MITRE ATT&CK T1098.006.
    """
    target = event.target
    leads_on = target.whole in _POWERFUL or target.resource in _NAMED or event.verb not in ("get", "list", "watch")
    if not target.resource or not leads_on or not _by_hand(event) or event.code == 401:
        return None
    if target.resource.endswith("reviews"):
        return None
    item = f"{event.verb} {target.group}/{target.whole} {target.namespace}"
    if event.is_refused:
        # Admission refuses with 403 as well: what goes on then was mended, not allowed.
        if event.annotations.get("authorization.k8s.io/decision") != "allow":
            steps.note(account_of(event), item, event.when, what(event))
        return None
    before = steps.recall(account_of(event), item, event.when) if event.went_on else None
    if before is None:
        return None
    return Observation(f"{who(event)} may {event.verb} {what(event)}, which was refused {_ago(before, event)}")


@user_activity.INDICATOR.detects(
    "secrets-listed-then-token-minted",
    severity=Severity.HIGH,
    technique="T1528",
    on=("secrets", "serviceaccounts/token"),
    related=("secret-access", "token-minting"),
    window=_HALF_AN_HOUR,
    is_sequence=True,
)
def secrets_listed_then_token_minted(event: AuditEvent, steps: Steps) -> Observation | None:
    """An account goes through Secrets and then mints a token.

    It looks for credentials, and takes one that it can be given.

    Fires:

        - verb: list
          user: {username: alice}
          objectRef: {resource: secrets, namespace: shop}
          responseStatus: {code: 200}
          stageTimestamp: "2026-11-30T10:00:00Z"
        - verb: create
          user: {username: alice}
          objectRef: {resource: serviceaccounts, subresource: token, namespace: shop, name: deployer}
          responseStatus: {code: 201}
          stageTimestamp: "2026-11-30T10:03:00Z"

    Quiet:

        - verb: create
          user: {username: alice}
          objectRef: {resource: serviceaccounts, subresource: token, namespace: shop, name: deployer}
          responseStatus: {code: 201}
          stageTimestamp: "2026-11-30T10:03:00Z"

    Sources: MITRE ATT&CK T1552.007 and T1528.
    """
    if not event.went_on or not _by_hand(event):
        return None
    if event.target.resource == "secrets":
        if event.verb == "list" and not is_helms(event):
            steps.note(account_of(event), "secrets", event.when, what(event))
        return None
    before = steps.recall(account_of(event), "secrets", event.when)
    if before is None or event.verb not in ("create", ""):
        return None
    target = event.target
    return Observation(
        f"{who(event)} mints a token of ServiceAccount {target.namespace}/{target.name}, having listed {before.what} "
        f"{_ago(before, event)}"
    )


@escalation.INDICATOR.detects(
    "role-edited-then-used",
    severity=Severity.HIGH,
    technique="T1098.006",
    related=("rbac-management", "escalation-verb"),
    window=_HALF_AN_HOUR,
    is_sequence=True,
)
def role_edited_then_used(event: AuditEvent, steps: Steps) -> Observation | None:
    """An account uses a right that it has just given itself.

    The reason that the API server logs with each request names the role and the binding by which it was allowed: here
    they are ones that the same account wrote shortly before. Where the log holds no reason, it counts that the account
    bound itself and then used what leads further. An administrator's requests have another reason, and members of
    `system:masters` gain nothing. A program that keeps its own roles is medium.

    Fires:

        - verb: patch
          user: {username: alice}
          objectRef: {resource: clusterroles, apiGroup: rbac.authorization.k8s.io, name: readers}
          responseStatus: {code: 200}
          stageTimestamp: "2026-11-30T10:00:00Z"
        - verb: list
          user: {username: alice}
          objectRef: {resource: secrets, namespace: shop}
          responseStatus: {code: 200}
          annotations:
            authorization.k8s.io/decision: allow
            authorization.k8s.io/reason: 'RBAC: allowed by RoleBinding "team/shop" of ClusterRole "readers" to User "alice"'
          stageTimestamp: "2026-11-30T10:02:00Z"

    Quiet:

        - verb: patch
          user: {username: admin}
          objectRef: {resource: clusterroles, apiGroup: rbac.authorization.k8s.io, name: readers}
          responseStatus: {code: 200}
          stageTimestamp: "2026-11-30T10:00:00Z"
        - verb: list
          user: {username: admin}
          objectRef: {resource: secrets, namespace: shop}
          responseStatus: {code: 200}
          annotations: {authorization.k8s.io/decision: allow, authorization.k8s.io/reason: ""}
          stageTimestamp: "2026-11-30T10:02:00Z"

    Sources: Kubernetes documentation, Auditing (annotations of authorization); MITRE ATT&CK T1098.006.
    """
    if is_own(event.user) or not event.went_on:
        return None
    target, account = event.target, account_of(event)
    reason = event.annotations.get("authorization.k8s.io/reason")
    found: Observation | None = None
    if reason:
        for kind, name in _REASON.findall(reason)[:4]:
            before = steps.recall(account, f"{kind} {name}", event.when)
            if before is not None:
                found = _used(event, before)
                break
    elif reason is None and target.whole in _POWERFUL and _MASTERS not in event.user.groups:
        before = steps.recall(account, "itself", event.when)
        found = _used(event, before) if before is not None else None
    if event.verb in WRITES and target.resource in _NAMED and not target.subresource:
        # A binding in a reason is NAME/NAMESPACE, a role in a namespace, too.
        name = f"{name_of(event)}/{target.namespace}" if target.namespace else name_of(event)
        steps.note(account, f"{_NAMED[target.resource]} {name}", event.when, what(event))
        if target.resource in BINDINGS and _names_itself(event):
            steps.note(account, "itself", event.when, what(event))
    return found


def _used(event: AuditEvent, before: Recollection) -> Observation:
    severity = None if _by_hand(event) else Severity.MEDIUM
    message = (
        f"{who(event)} may {event.verb} {what(event)} by {clip(before.what)}, which it wrote {_ago(before, event)}"
    )
    return Observation(message, severity)


def _names_itself(event: AuditEvent) -> bool:
    """Whether a binding gives the account that writes it something."""
    account = service_account_of(event.user.username)
    for subject in mappings(object_of(event).get("subjects")):
        name = text(subject.get("name"))
        if account is not None and subject.get("kind") == "ServiceAccount":
            if (subject.get("namespace"), name) == account:
                return True
        elif name and (name == event.user.username or name in event.user.groups):
            return True
    return False


@user_activity.INDICATOR.detects(
    "session-then-pod-deleted",
    severity=Severity.MEDIUM,
    technique="T1070",
    on=("pods", *EXEC, "pods/ephemeralcontainers"),
    related=("exec-session", "exec-permission"),
    window=timedelta(hours=1),
    is_sequence=True,
)
def session_then_pod_deleted(event: AuditEvent, steps: Steps) -> Observation | None:
    """An account deletes the pod that it had a session in.

    With the pod goes what was done in it: files, history, processes. A pod that the account started itself, as
    `kubectl run --rm` does, is left out.

    Fires:

        - verb: create
          user: {username: alice}
          objectRef: {resource: pods, subresource: exec, namespace: shop, name: web}
          responseStatus: {code: 101}
          stageTimestamp: "2026-11-30T10:00:00Z"
        - verb: delete
          user: {username: alice}
          objectRef: {resource: pods, namespace: shop, name: web}
          responseStatus: {code: 200}
          stageTimestamp: "2026-11-30T10:10:00Z"

    Quiet:

        - verb: create
          user: {username: alice}
          objectRef: {resource: pods, namespace: shop, name: tmp}
          responseStatus: {code: 201}
          stageTimestamp: "2026-11-30T10:00:00Z"
        - verb: create
          user: {username: alice}
          objectRef: {resource: pods, subresource: attach, namespace: shop, name: tmp}
          responseStatus: {code: 101}
          stageTimestamp: "2026-11-30T10:00:05Z"
        - verb: delete
          user: {username: alice}
          objectRef: {resource: pods, namespace: shop, name: tmp}
          responseStatus: {code: 200}
          stageTimestamp: "2026-11-30T10:10:00Z"

    Sources: MITRE ATT&CK T1070, Indicator Removal.
    """
    if is_control_plane(event.user) or not event.target.namespace:
        return None
    account, pod = account_of(event), f"{event.target.namespace}/{name_of(event)}"
    if event.target.subresource:
        if is_opened(event) and event.verb in ("get", "create", "update", "patch"):
            steps.note(account, f"in {pod}", event.when, what(event))
        return None
    if not event.went_on:
        return None
    if event.verb == "create":
        steps.note(account, f"of {pod}", event.when)
    if event.verb != "delete" or steps.recall(account, f"of {pod}", event.when) is not None:
        return None
    before = steps.recall(account, f"in {pod}", event.when)
    if before is None:
        return None
    return Observation(f"{who(event)} deletes {what(event)}, having had a session in it {_ago(before, event)}")


@escalation.INDICATOR.detects(
    "bound-then-impersonated",
    severity=Severity.MEDIUM,
    technique="T1098.006",
    related=("escalation-verb", "rbac-management"),
    window=_HALF_AN_HOUR,
    is_sequence=True,
)
def bound_then_impersonated(event: AuditEvent, steps: Steps) -> Observation | None:
    """An account gives rights and then acts in another's name.

    Who may bind and impersonate is anyone, and this is how it is used. It is high where cluster-admin was bound.
    Asking what another may do, as `kubectl auth can-i --as` does, is how administrators try their bindings: that does
    not count.

    Fires:

        - verb: create
          user: {username: alice}
          objectRef: {resource: clusterrolebindings, apiGroup: rbac.authorization.k8s.io, name: helper}
          requestObject:
            roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: edit}
            subjects: [{kind: ServiceAccount, namespace: shop, name: helper}]
          responseStatus: {code: 201}
          stageTimestamp: "2026-11-30T10:00:00Z"
        - verb: list
          user: {username: alice}
          impersonatedUser: {username: "system:serviceaccount:shop:helper"}
          objectRef: {resource: secrets, namespace: shop}
          responseStatus: {code: 200}
          stageTimestamp: "2026-11-30T10:02:00Z"

    Quiet:

        - verb: create
          user: {username: alice}
          objectRef: {resource: rolebindings, apiGroup: rbac.authorization.k8s.io, namespace: shop, name: readers}
          responseStatus: {code: 201}
          stageTimestamp: "2026-11-30T10:00:00Z"
        - verb: create
          user: {username: alice}
          impersonatedUser: {username: bob}
          objectRef: {resource: selfsubjectaccessreviews, apiGroup: authorization.k8s.io}
          responseStatus: {code: 201}
          stageTimestamp: "2026-11-30T10:02:00Z"

    Sources: Kubernetes documentation, RBAC good practices, Privilege escalation risks.
    """
    if not event.went_on or is_own(event.user):
        return None
    account, target = account_of(event), event.target
    if event.impersonated is None:
        if event.verb in WRITES and target.resource in (*BINDINGS, *ROLES) and _by_hand(event):
            role = text(lookup(object_of(event), "roleRef", "name"))
            steps.note(account, "bound", event.when, f"{'!' if role == 'cluster-admin' else ''}{what(event)}")
        return None
    before = steps.recall(account, "bound", event.when)
    if before is None or target.resource.endswith("reviews"):
        return None
    severity = Severity.HIGH if before.what.startswith("!") else None
    wrote = before.what.removeprefix("!")
    return Observation(
        f"{who(event)} may {event.verb} {what(event)}, having written {wrote} {_ago(before, event)}", severity
    )


@escalation.INDICATOR.detects(
    "powerful-pod-then-session",
    severity=Severity.HIGH,
    technique="T1611",
    on=("pods", *EXEC),
    related=("privileged-container", "host-pid", "sensitive-host-path", "exec-session"),
    window=timedelta(hours=1),
    is_sequence=True,
)
def powerful_pod_then_session(event: AuditEvent, steps: Steps) -> Observation | None:
    """An account starts a pod that holds its node, and enters it.

    A bare pod that is privileged, shares the node's processes or mounts its files, and a session in it by who made it:
    that is how a right to create pods becomes the node.

    Fires:

        - verb: create
          user: {username: alice}
          objectRef: {resource: pods, namespace: shop, name: tools}
          requestObject: {spec: {containers: [{name: a, image: "busybox:1", securityContext: {privileged: true}}]}}
          responseStatus: {code: 201}
          stageTimestamp: "2026-11-30T10:00:00Z"
        - verb: create
          user: {username: alice}
          objectRef: {resource: pods, subresource: exec, namespace: shop, name: tools}
          responseStatus: {code: 101}
          stageTimestamp: "2026-11-30T10:01:00Z"

    Quiet:

        - verb: create
          user: {username: alice}
          objectRef: {resource: pods, namespace: shop, name: tmp}
          requestObject: {spec: {containers: [{name: a, image: "busybox:1"}]}}
          responseStatus: {code: 201}
          stageTimestamp: "2026-11-30T10:00:00Z"
        - verb: create
          user: {username: alice}
          objectRef: {resource: pods, subresource: exec, namespace: shop, name: tmp}
          responseStatus: {code: 101}
          stageTimestamp: "2026-11-30T10:01:00Z"

    Sources: MITRE ATT&CK T1611, Escape to Host, and T1610, Deploy Container.
    """
    if is_own(event.user) or not event.went_on or not event.target.namespace:
        return None
    account, pod = account_of(event), f"{event.target.namespace}/{name_of(event)}"
    if event.target.resource == "pods" and not event.target.subresource:
        if event.verb == "create" and (power := _power_over_node(event)):
            steps.note(account, pod, event.when, power)
        return None
    before = steps.recall(account, pod, event.when)
    if before is None:
        return None
    return Observation(
        f"{who(event)} opens a session in {what(event)}, which it started {_ago(before, event)} and which {before.what}"
    )


def _power_over_node(event: AuditEvent) -> str:
    """By what a pod holds its node; empty where it does not."""
    spec = mapping(object_of(event).get("spec"))
    for one in ("containers", "initContainers"):
        for container in mappings(spec.get(one)):
            if lookup(container, "securityContext", "privileged") is True:
                return "is privileged"
    if spec.get("hostPID") is True:
        return "shares the node's processes"
    for volume in mappings(spec.get("volumes")):
        path = text(lookup(volume, "hostPath", "path"))
        found = danger(path) if path else None
        if found is not None and found.severity is Severity.CRITICAL:
            return f"mounts {clip(path, 30)} of the node"
    return ""


@user_activity.INDICATOR.detects(
    "token-minted-then-used",
    severity=Severity.MEDIUM,
    technique="T1550.001",
    related=("token-minting",),
    window=timedelta(hours=12),
    is_sequence=True,
)
def token_minted_then_used(event: AuditEvent, steps: Steps) -> Observation | None:
    """A token that a person had minted is used.

    The log holds the token's id both where it was issued and where it is used. What the ServiceAccount does with it is
    done by the person who asked for it. It is reported once a token.

    Fires:

        - verb: create
          user: {username: alice}
          objectRef: {resource: serviceaccounts, subresource: token, namespace: shop, name: deployer}
          responseStatus: {code: 201}
          annotations: {authentication.kubernetes.io/issued-credential-id: JTI=2e6389af}
          stageTimestamp: "2026-11-30T10:00:00Z"
        - verb: list
          user:
            username: system:serviceaccount:shop:deployer
            extra: {authentication.kubernetes.io/credential-id: [JTI=2e6389af]}
          objectRef: {resource: secrets, namespace: shop}
          responseStatus: {code: 200}
          stageTimestamp: "2026-11-30T10:05:00Z"

    Quiet:

        - verb: create
          user: {username: "system:node:worker-1", groups: ["system:nodes"]}
          objectRef: {resource: serviceaccounts, subresource: token, namespace: shop, name: web}
          responseStatus: {code: 201}
          annotations: {authentication.kubernetes.io/issued-credential-id: JTI=99aa}
          stageTimestamp: "2026-11-30T10:00:00Z"
        - verb: list
          user:
            username: system:serviceaccount:shop:web
            extra: {authentication.kubernetes.io/credential-id: [JTI=99aa]}
          objectRef: {resource: endpoints, namespace: shop}
          responseStatus: {code: 200}
          stageTimestamp: "2026-11-30T10:05:00Z"

    Sources: Kubernetes documentation, Audit annotations; MITRE ATT&CK T1550.001.
    """
    issued = event.annotations.get("authentication.kubernetes.io/issued-credential-id", "")
    if issued and event.target.whole == "serviceaccounts/token":
        if event.went_on and _by_hand(event):
            steps.note("token", issued, event.when, event.user.username)
        return None
    token = event.user.told("credential-id")
    if not token:
        return None
    before = steps.recall("token", token, event.when)
    if before is None or not before.what or steps.recall("used", token, event.when) is not None:
        return None
    steps.note("used", token, event.when)
    return Observation(
        f"{who(event)} is used by a token that {clip(before.what)} had minted {_ago(before, event)}: "
        f"{event.verb} {what(event)}"
    )
