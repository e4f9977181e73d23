"""``iocaudit scan --cluster``: audit a live cluster, read-only, page by page."""

from collections.abc import Iterable
from pathlib import Path

from iocaudit.cluster.client import Client
from iocaudit.cluster.discovery import Served, discover
from iocaudit.cluster.errors import ApiError, NotFoundError
from iocaudit.core.kinds import NAMESPACE, Kind
from iocaudit.core.outline import slim
from iocaudit.core.report import Skipped
from iocaudit.core.resource import CLUSTER, Resource
from iocaudit.core.world import World
from iocaudit.engine.audit import Auditor
from iocaudit.engine.catalogue import Catalogue
from iocaudit.sources.policy_files import acceptor, make_policies, make_waivers, now_if_needed, read_policy_files
from iocaudit.sources.scan import Scan, ScanOptions


def scan_cluster(
    catalogue: Catalogue, options: ScanOptions, *, context: str | None = None, kubeconfig: Path | None = None
) -> Scan:
    """Audit every object that some check looks at. What may not be read is Skipped with that reason."""
    client = Client.connect(kubeconfig, context)
    scan = Scan()
    world = World(default_namespace=options.namespace)
    raws = read_policy_files(options.policy_files)
    now = now_if_needed(raws)
    waivers = make_waivers(raws, catalogue, now)
    auditor = Auditor(catalogue, make_policies(raws, catalogue, options.profile), world, acceptor(waivers, now))
    served = discover(client)
    world.install(served.groups)
    for kind in served.present(dict.fromkeys((NAMESPACE, *catalogue.world_kinds))):
        _load(client, kind, world, served)
    for kind in served.present(catalogue.audited_kinds):
        seen: set[str] = set()
        try:
            for raw in client.each(kind):
                resource = Resource(raw, CLUSTER, kind=kind)
                if resource.uid not in seen:
                    seen.add(resource.uid)
                    scan.report.extend(auditor.audit(resource))
                    resource.forget_pods()  # so that a page is freed without the garbage collector, which is off
        except ApiError as error:
            if isinstance(error, NotFoundError) and not served.only_as(kind):
                continue  # removed meanwhile: there are none
            scan.report.skipped.append(Skipped(None, None, f"{kind.plural} were not audited: {error}"))
    scan.documents = scan.report.audited
    scan.report = scan.report.sorted()
    if waivers is not None and now is not None:
        scan.notes = waivers.notes((one.waiver for one in scan.report.waived), now)
    return scan


def read_world(kinds: Iterable[Kind], *, context: str | None = None, kubeconfig: Path | None = None) -> World:
    """The objects of these kinds in a live cluster; a kind that may not be read is incomplete."""
    client = Client.connect(kubeconfig, context)
    world = World()
    served = discover(client)
    for kind in served.present(dict.fromkeys(kinds)):
        _load(client, kind, world, served)
    return world


def _load(client: Client, kind: Kind, world: World, served: Served) -> None:
    try:
        items, _ = client.list_all(kind)
    except ApiError as error:
        if not isinstance(error, NotFoundError) or served.only_as(kind):
            world.mark_incomplete(kind, str(error))
        return
    world.replace(kind, (slim(raw, kind) for raw in items))
