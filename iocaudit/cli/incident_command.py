"""``iocaudit incident``: show an incident, export its evidence, and verify what was exported."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from iocaudit.cli.groups import CommandGroup
from iocaudit.cli.params import connection_options, words
from iocaudit.core.errors import IocauditError
from iocaudit.core.shape import Json, integer, mapping, text
from iocaudit.sinks.escape import json_text, visible

if TYPE_CHECKING:
    from iocaudit.incidents.evidence_chain import EvidenceFile

_MOST_BYTES = 256 << 20


class IncidentInputError(IocauditError):
    """What was named is not there, or cannot be read; says what to do."""


@click.group("incident", cls=CommandGroup)
def command() -> None:
    """Show incidents, export their evidence, and verify it."""


@command.command("show")
@click.argument("name", metavar="NAME|FILE")
@click.option("-o", "--output", type=words(["table", "json", "markdown", "html"]), default="table", show_default=True)
@connection_options
def show_command(name: str, output: str, context: str | None, kubeconfig: Path | None) -> int:
    """Show an IocIncident of the cluster, or one of a file that `incident export` wrote.

    Its steps by time, accounts and targets, the weaknesses behind it, what its accounts can reach (in a cluster), the
    records of a file, and commands for what to do next. Exit code: 2 it is not there, or the file was changed; 0
    otherwise.
    """
    from iocaudit.incidents.page import incident_page  # late, as what follows: --help needs none of it
    from iocaudit.sinks.blocks.html import as_html
    from iocaudit.sinks.blocks.markdown import as_markdown
    from iocaudit.sinks.blocks.terminal import show

    records: list[Json] = []
    ways: list[str] = []
    if Path(name).is_file():
        found = _verified(Path(name))
        name, incident, records = found.name, found.incident, found.records
    else:
        incident = _stored(name, context, kubeconfig)
        ways = _ways(incident, context, kubeconfig)
    if output == "json":
        content = {"name": name, "incident": incident, "records": records, "waysToClusterAdmin": ways}
        click.echo(json_text(json.dumps(content, indent=2, ensure_ascii=False)))
        return 0
    page = list(incident_page(name, incident, records, ways))
    if output == "table":
        show(page)
    else:
        click.echo(as_markdown(page) if output == "markdown" else as_html(page, name), nl=False)
    return 0


@command.command("export")
@click.argument("name")
@click.option(
    "--data",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    required=True,
    help="The folder that the receivers were given as --data.",
)
@click.option("--output", "target", metavar="FILE", help="Write it there  [default: standard output]")
def export_command(name: str, data: Path, target: str | None) -> int:
    """Write the evidence of an incident as one file, from the folder of the receivers.

    In a cluster: kubectl exec -n iocaudit iocaudit-receivers-0 -- iocaudit incident export NAME --data /data. Exit
    code: 2 there is no evidence of that name, or it cannot be read; 0 otherwise.
    """
    from iocaudit.cli.writing import save_file
    from iocaudit.incidents.evidence_chain import file_of
    from iocaudit.incidents.evidence_store import EvidenceStore

    store = EvidenceStore(data, is_read_only=True)
    try:
        if name not in store.incidents():
            raise IncidentInputError(
                f"there is no evidence of {name!r} in {data} (kubectl get iocincidents lists names)"
            )
        written = file_of(name, store.description(name), store.records(name))
    finally:
        store.close()
    if target is not None:
        save_file(target, written, IncidentInputError)
    else:
        click.echo(written, nl=False)
    return 0


@command.command("verify")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--head", metavar="DIGEST", help="The head of the chain, as the IocIncident has it.")
@click.option("--count", type=click.IntRange(min=0), help="How many records that head is of.")
@click.option("--cluster", is_flag=True, help="Take both from the IocIncident of the cluster.")
@connection_options
def verify_command(
    file: Path, head: str | None, count: int | None, cluster: bool, context: str | None, kubeconfig: Path | None
) -> int:
    """Verify that nothing in an exported FILE was changed, dropped, swapped or added.

    The head and the count of the IocIncident, by --cluster or by hand, also show whether the file was made anew as a
    whole. Exit code: 2 it was changed, or it cannot be read; 0 otherwise.
    """
    if (head is None) != (count is None) or (cluster and head is not None):
        raise click.UsageError("give --head and --count together, or --cluster")
    if not cluster and (context or kubeconfig):
        raise click.UsageError("--context and --kubeconfig go with --cluster")
    found = _verified(file, head, count)
    if cluster:
        chain = mapping(_stored(found.name, context, kubeconfig).get("evidence"))
        if not chain:
            raise IncidentInputError(f"the IocIncident {found.name} has no evidence to compare with")
        head, count = text(chain.get("head")), integer(chain.get("count")) or 0
        found = _verified(file, head, count)
    known = "" if head is not None else "; without --cluster, or --head and --count, a file made anew is not told apart"
    click.echo(visible(f"{file}: {len(found.records)} records of {found.name} are as they were written{known}"))
    click.echo(f"head {found.head}")
    return 0


def _verified(file: Path, head: str | None = None, count: int | None = None) -> EvidenceFile:
    from iocaudit.incidents.evidence_chain import EvidenceError, verified

    try:
        size = file.stat().st_size
        data = file.read_bytes() if size <= _MOST_BYTES else None
    except OSError as error:
        raise IncidentInputError(f"{file}: cannot be read ({error.strerror})") from error
    if data is None:
        raise IncidentInputError(f"{file}: larger than {_MOST_BYTES >> 20} MiB, which no export is")
    try:
        return verified(data, head, count)
    except EvidenceError as error:
        raise IncidentInputError(f"{file}: {error}") from error


def _stored(name: str, context: str | None, kubeconfig: Path | None) -> Json:
    from iocaudit.cluster.client import Client  # late: it imports the Kubernetes client
    from iocaudit.cluster.errors import NotFoundError
    from iocaudit.records.kinds import IOC_INCIDENT

    try:
        body = Client.connect(kubeconfig, context).get(IOC_INCIDENT, None, name)
    except NotFoundError as error:
        raise IncidentInputError(
            f"there is no file and no IocIncident {name!r} (kubectl get iocincidents lists them)"
        ) from error
    return dict(mapping(body.get("incident")))


def _ways(incident: Json, context: str | None, kubeconfig: Path | None) -> list[str]:
    """How the accounts of an incident get to cluster-admin, one line each."""
    from iocaudit.cli.live import read_world
    from iocaudit.cli.rbac_command import kinds_of_rights, subject_named
    from iocaudit.knowledge.rbac.escalation import way_to_cluster_admin

    world = read_world(kinds_of_rights(), context=context, kubeconfig=kubeconfig)
    lines = []
    for account in list(incident.get("accounts") or ())[:8]:
        steps = way_to_cluster_admin(subject_named(account), world).steps
        said = "; ".join(f"{one.subject.title} {one.how}" for one in steps)
        lines.append(f"{account}: {said}" if said else f"{account}: no way to cluster-admin was found")
    return lines
