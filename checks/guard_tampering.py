"""Grants over this auditor's own objects."""

from collections.abc import Iterator

from checks._rbac import (
    CONTROLS,
    GRANTS,
    LOOKED_UP,
    Reach,
    bound_in,
    grants,
    may_hold,
    names_resources,
    once,
    own_rules,
    rule_hit,
    subject_hit,
)
from iocaudit.core import own_names
from iocaudit.core.check import check
from iocaudit.core.guard import TAMPERING
from iocaudit.core.hit import Hit, Skip
from iocaudit.core.kinds import RBAC_DEFINITION, ROLE
from iocaudit.core.kinds.ours import GROUP
from iocaudit.core.resource import Resource
from iocaudit.core.severity import IoC, Severity
from iocaudit.core.world import World
from iocaudit.knowledge.rbac.bindings import BINDINGS
from iocaudit.knowledge.rbac.own import is_own
from iocaudit.knowledge.rbac.own_powers import FINDINGS, GUARD, OWN_OBJECTS, given_where_we_run
from iocaudit.knowledge.rbac.powers import CONFIG_MAPS, EXEC, IMPERSONATE, SECRETS, TOKENS, WORKLOADS_CREATED
from iocaudit.knowledge.rbac.rules import PolicyRule, listed


@check(
    TAMPERING,
    severity=Severity.CRITICAL,
    denied_by_guard=True,
    iocs=(IoC.CLUSTER_ADMIN,),
    group="self",
    looks_at=GRANTS,
    uses=LOOKED_UP,
    controls=CONTROLS | {"attack": "T1562, T1098.006", "owasp": "K02, K04"},
)
def guard_tampering(resource: Resource, world: World) -> Iterator[Hit | Skip]:
    """Someone may switch this auditor off, or rewrite what it found.

    Anyone who writes AuditPolicies turns every check off; an IocWaiver, or its status, accepts a risk in another's
    name; findings and reports that are deleted or changed hide what was found. The webhook configuration, the
    operator's ClusterRole (which the configuration goes with), its Lease and the Secrets of its keys count where a rule
    names them, and so does every right in the namespace of the auditor that changes such objects, changes ConfigMaps
    (its rules in Rego lie there) or leads to its keys or tokens. Rights on all webhooks are webhook-tampering. Reading
    is free. Findings in a single namespace weigh less: high. The objects of this auditor's own install are known by
    name, namespace and content. Its ClusterRole iocaudit-waiver-editor may be bound to the people who accept risks, and
    to no group of everybody.

    Bad:

        apiVersion: rbac.authorization.k8s.io/v1
        kind: ClusterRole
        metadata: {name: tuning}
        rules:
        - {apiGroups: [iocaudit.io], resources: [auditpolicies], verbs: [get, list, create, update]}

    Good:

        apiVersion: rbac.authorization.k8s.io/v1
        kind: ClusterRole
        metadata: {name: tuning}
        rules:
        - {apiGroups: [iocaudit.io], resources: [auditpolicies, iocfindings], verbs: [get, list, watch]}

    Fix: Let the pipeline that installs the auditor change its policies, and bind iocaudit-view to who reads findings.

    Sources: Kubernetes SIG Security, admission control threat model, threats 4 and 5; MITRE ATT&CK T1562.
    """
    ours = world.own_namespace

    def here(_rule: PolicyRule, namespace: str | None) -> bool:
        return namespace == ours

    def by_name(_rule: PolicyRule, namespace: str | None) -> bool:
        return namespace in (None, ours)

    # Most roles and bindings are about something else: told once, not in four rounds.
    elsewhere = world.namespace_of(resource) != ours and resource.kind is not RBAC_DEFINITION
    if elsewhere and not may_hold(resource, world, _OVER_US):
        return
    editors = _waiver_editors(resource, world)
    for hit in once(
        grants(resource, world, (GUARD,), lambda _: Severity.CRITICAL, only=_names_the_guard),
        grants(resource, world, (OWN_OBJECTS,), lambda _: Severity.CRITICAL, only=by_name),
        grants(
            resource, world, _KEYS, lambda _: Severity.CRITICAL, only=here, everything=True, because=_where_keys_are
        ),
        grants(
            resource, world, (CONFIG_MAPS,), lambda _: Severity.CRITICAL, only=here, everything=True, because=_of_rules
        ),
        _where_we_run(resource, world),
        grants(resource, world, (FINDINGS,), _of_findings, only=_names_the_guard),
    ):
        if isinstance(hit, Skip) or hit.evidence not in editors:
            yield hit


_OVER_US = frozenset({GUARD, OWN_OBJECTS, FINDINGS})
_KEYS = (SECRETS, TOKENS, IMPERSONATE, WORKLOADS_CREATED, EXEC)
"""What leads to the webhook's key or to the token of the operator, where those are kept."""


def _names_the_guard(rule: PolicyRule, namespace: str | None) -> bool:
    """Whether a rule speaks of us: what ``*`` takes in of every group besides is wildcard-rule's business."""
    return GROUP in rule.groups or names_resources(rule, namespace)


def _where_we_run(resource: Resource, world: World) -> Iterator[Hit]:
    """The hits of rules that give what the guard runs on with all else of its kind, in our own namespace."""
    ours = world.own_namespace
    if resource.kind is ROLE and world.namespace_of(resource) == ours and not is_own(resource, world):
        for index, rule in own_rules(resource):
            if texts := given_where_we_run(rule):
                yield rule_hit(index, rule, f"may {listed(texts)}, this auditor's own among them", Severity.CRITICAL)
    for binding, bound in bound_in(resource, world):
        texts = [text for rule in bound.rules for text in given_where_we_run(rule)] if binding.namespace == ours else []
        if texts:
            what = f"{OWN_OBJECTS.title}{binding.where} through {bound.role}: {listed(texts)}"
            for named in binding.named:
                message = f"lets {named.subject.title} {what}"
                yield subject_hit(named, message, bound, Severity.CRITICAL, through=binding)


def _where_keys_are(_: Reach) -> str:
    return ", and there this auditor's keys and tokens"


def _of_rules(_: Reach) -> str:
    return ", and there the rules in Rego that this auditor judges by"


def _of_findings(reach: Reach) -> Severity:
    return Severity.CRITICAL if reach.namespace is None else Severity.HIGH


def _waiver_editors(resource: Resource, world: World) -> frozenset[str]:
    """The evidence of hits on subjects to whom our own role for waivers is bound as it is meant to be."""
    if resource.kind not in BINDINGS:
        return frozenset()
    return frozenset(
        f"{named.subject.text} to {bound.role}"
        for binding, bound in bound_in(resource, world)
        if binding.role_name == own_names.WAIVER_EDITOR and bound.source is not None and is_own(bound.source, world)
        for named in binding.named
        if not named.subject.is_everyone
    )
