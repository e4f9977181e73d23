"""``iocaudit scan --cluster``: audit a live cluster, read-only, page by page."""

from pathlib import Path

from iocaudit.cluster.client import Client
from iocaudit.cluster.errors import ForbiddenError, NotFoundError
from iocaudit.core.kinds import NAMESPACE, Kind
from iocaudit.core.report import Skipped
from iocaudit.core.resource import CLUSTER, Resource
from iocaudit.core.world import World
from iocaudit.engine.audit import Auditor
from iocaudit.engine.catalogue import Catalogue
from iocaudit.sources.scan import Scan, ScanOptions, load_policies


def scan_cluster(
    catalogue: Catalogue, options: ScanOptions, *, context: str | None = None, kubeconfig: Path | None = None
) -> Scan:
    """Audit every object that some check looks at. What may not be read is Skipped with that reason."""
    client = Client.connect(kubeconfig, context)
    scan = Scan()
    world = World(default_namespace=options.namespace)
    auditor = Auditor(catalogue, load_policies(options, catalogue), world)
    for kind in dict.fromkeys((NAMESPACE, *catalogue.world_kinds)):
        _load(client, kind, world)
    for kind in catalogue.audited_kinds:
        try:
            for page in client.pages(kind):
                for raw in page.items:
                    scan.report.extend(auditor.audit(Resource(raw, CLUSTER, kind=kind)))
        except NotFoundError:
            continue  # not served here: there are none
        except ForbiddenError as error:
            scan.report.skipped.append(Skipped(None, None, f"{kind.plural} were not audited: {error}"))
    scan.documents = scan.report.audited
    scan.report = scan.report.sorted()
    return scan


def _load(client: Client, kind: Kind, world: World) -> None:
    try:
        items, _ = client.list_all(kind)
    except NotFoundError:
        return
    except ForbiddenError as error:
        world.mark_incomplete(kind, str(error))
        return
    world.replace(kind, (Resource(raw, CLUSTER, kind=kind) for raw in items))
