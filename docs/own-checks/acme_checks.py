"""ACME's own checks. Every function under ``@check`` here is in the catalogue once the package is installed."""

from collections.abc import Iterator

from iocaudit.own_checks import WORKLOADS, Hit, IoC, Params, Resource, Severity, World, check, kind, string_list

QUOTA = kind("ResourceQuota")


@check(
    "x-acme-no-quota",
    severity=Severity.MEDIUM,
    iocs=(IoC.RESOURCE_SPIKE,),
    group="acme",
    looks_at=WORKLOADS,
    needs=(QUOTA,),
    parameters=(string_list("exemptTeams", "teams whose workloads need no quota"),),
)
def no_quota(resource: Resource, world: World, params: Params) -> Iterator[Hit]:
    """A workload runs in a namespace without a ResourceQuota.

    At ACME the teams of a cluster share its nodes. Where nothing limits what one of them takes, the others pay.

    Bad:

        apiVersion: v1
        kind: Pod
        metadata: {name: web, namespace: shop, labels: {acme.example/team: shop}}
        spec: {containers: [{name: app, image: "hooli.com/web:1"}]}

    Good:

        apiVersion: v1
        kind: Pod
        metadata: {name: web, namespace: shop, labels: {acme.example/team: shop}}
        spec: {containers: [{name: app, image: "hooli.com/web:1"}]}
        ---
        apiVersion: v1
        kind: ResourceQuota
        metadata: {name: team, namespace: shop}
        spec: {hard: {limits.memory: 8Gi}}

    Fix: Have the platform team make a ResourceQuota for the namespace.
    """
    team = str(resource.labels.get("acme.example/team", ""))
    home = world.namespace_of(resource)
    if team not in params["exemptTeams"] and not world.of(QUOTA, home, near=resource):
        yield Hit("metadata.namespace", f"runs in namespace {home}, which has no ResourceQuota", evidence=str(home))
