"""Grants of Secrets and of tokens."""

from collections.abc import Iterator

from checks._rbac import CONTROLS, GRANTS, LOOKED_UP, Reach, grants, once
from checks._reach import GrantJudge
from iocaudit.core.check import check
from iocaudit.core.hit import Hit, Skip
from iocaudit.core.resource import Resource
from iocaudit.core.severity import IoC, Severity
from iocaudit.core.world import World
from iocaudit.knowledge.rbac.bindings import BINDINGS
from iocaudit.knowledge.rbac.powers import SECRETS, SECRETS_DELETED, TOKENS


def _secrets(reach: Reach) -> Severity:
    if reach.named and not reach.is_clusters:
        return Severity.LOW
    return Severity.CRITICAL if reach.is_clusters and not reach.named else Severity.HIGH


@check(
    "secret-access",
    severity=Severity.HIGH,
    worst=Severity.CRITICAL,
    iocs=(IoC.USER_ACTIVITY,),
    group="rbac",
    looks_at=GRANTS,
    uses=LOOKED_UP,
    controls=CONTROLS | {"cis-1.12": "5.1.2", "attack": "T1552.007", "ms": "MS-TA9025", "owasp": "K02, K03"},
)
def secret_access(resource: Resource, world: World) -> Iterator[Hit | Skip]:
    """Someone may read or write Secrets.

    Secrets hold what opens other systems, and tokens of ServiceAccounts: `list` and `watch` return their content as
    `get` does, and anyone who creates one can have a token of any ServiceAccount of the namespace put into it. Bound in
    the whole cluster or in kube-system that is the cluster, and critical; Secrets named by resourceNames elsewhere
    are low, `delete` alone is medium.

    Bad:

        apiVersion: rbac.authorization.k8s.io/v1
        kind: Role
        metadata: {name: reader, namespace: shop}
        rules:
        - {apiGroups: [""], resources: [secrets], verbs: [get, list]}

    Good:

        apiVersion: rbac.authorization.k8s.io/v1
        kind: Role
        metadata: {name: reader, namespace: shop}
        rules:
        - {apiGroups: [""], resources: [configmaps], verbs: [get, list]}

    Fix: Mount the Secret where it is needed, or name the very Secret in resourceNames.

    Sources: Kubernetes, RBAC good practices, listing Secrets; CIS Kubernetes Benchmark 1.12, 5.1.2.
    """
    yield from once(
        grants(resource, world, (SECRETS,), _secrets, everything=True),
        grants(resource, world, (SECRETS_DELETED,), lambda _: Severity.MEDIUM),
    )


@check(
    "token-minting",
    severity=Severity.HIGH,
    worst=Severity.CRITICAL,
    iocs=(IoC.USER_ACTIVITY,),
    group="rbac",
    looks_at=GRANTS,
    uses=(*LOOKED_UP, *BINDINGS),
    controls=CONTROLS | {"cis-1.12": "5.1.13", "attack": "T1528", "ms": "MS-TA9016"},
)
def token_minting(resource: Resource, world: World) -> Iterator[Hit | Skip]:
    """Someone may mint tokens of ServiceAccounts.

    `create` on `serviceaccounts/token` gives a token of any ServiceAccount within reach, and so its rights. Where one
    of these gets to cluster-admin it is critical, as in kube-system and so in the whole cluster, where controllers
    hold everything.

    Bad:

        apiVersion: rbac.authorization.k8s.io/v1
        kind: Role
        metadata: {name: issuer, namespace: shop}
        rules:
        - {apiGroups: [""], resources: [serviceaccounts/token], verbs: [create]}

    Good:

        apiVersion: rbac.authorization.k8s.io/v1
        kind: Role
        metadata: {name: issuer, namespace: shop}
        rules:
        - {apiGroups: [""], resources: [serviceaccounts], verbs: [get, list]}

    Fix: Let the kubelet mint tokens for pods; name the one ServiceAccount in resourceNames where that cannot be.

    Sources: Kubernetes, RBAC good practices, token request; CIS Kubernetes Benchmark 1.12, 5.1.13.
    """
    reached = GrantJudge(resource, world)
    yield from grants(resource, world, (TOKENS,), reached.by_tokens)
    yield from reached.problems
