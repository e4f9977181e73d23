"""``iocaudit uninstall``: what goes with the auditor, and how to keep what people wrote. It deletes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from iocaudit.cli.extras import advice
from iocaudit.cli.params import connection_options
from iocaudit.core.errors import IocauditError
from iocaudit.core.kinds.ours import ACTIVITY_PROFILE, AUDIT_POLICY, IOC_WAIVER
from iocaudit.core.moments import is_past
from iocaudit.core.shape import Json, mapping, text
from iocaudit.core.wording import counted
from iocaudit.core.yaml_write import block
from iocaudit.sinks.escape import visible

if TYPE_CHECKING:
    from iocaudit.cluster.api import Api
    from iocaudit.cluster.client import Client
    from iocaudit.core.kinds import Kind

_WRITTEN = (AUDIT_POLICY, IOC_WAIVER, ACTIVITY_PROFILE)
_HOW = """\
keep policies, waivers and profiles in a file:
  iocaudit uninstall --save iocaudit-kept.yaml
remove everything:
  iocaudit manifests --receivers | kubectl delete --ignore-not-found -f -
remove the programs alone; policies, waivers, profiles, findings and incidents stay in the cluster:
  iocaudit uninstall --programs | kubectl delete --ignore-not-found -f -
after it is installed again:
  kubectl apply --server-side -f iocaudit-kept.yaml
  (a waiver that is made again covers what stands by then)"""


class UninstallError(IocauditError):
    """What people wrote cannot be saved; names the file and what to do."""


@click.command("uninstall")
@click.option("--save", "target", metavar="FILE", help="Write the policies, waivers and profiles of the cluster there.")
@click.option("--programs", is_flag=True, help="Print what is installed, without the kinds and what people wrote.")
@connection_options
def command(target: str | None, programs: bool, context: str | None, kubeconfig: Path | None) -> int:
    """Say how much goes with the auditor, and how to keep policies, waivers and profiles. Nothing is deleted.

    Exit code: 2 wrong usage, or what is to be saved cannot be read or written; 0 otherwise.
    """
    if programs:
        if target is not None:
            raise click.UsageError("--programs does not read a cluster: run --save on its own first")
        click.echo("---\n".join(_programs()), nl=False)
        return 0
    if target is not None:
        count = _save(_connected(kubeconfig, context), target)
        click.echo(f"{target}: {counted(count, 'object')} written", err=True)
        return 0
    try:
        said = _what_goes(_connected(kubeconfig, context))
    except (IocauditError, ModuleNotFoundError) as error:
        why = advice(error) if isinstance(error, ModuleNotFoundError) else error
        goes = "all AuditPolicies, IocWaivers, ActivityProfiles, findings, incidents and reports"
        said = f"uninstalling also deletes {goes} (not counted: {why})"
    click.echo(visible(said))
    click.echo(_HOW)
    return 0


def _connected(kubeconfig: Path | None, context: str | None) -> Client:
    from iocaudit.cluster.client import Client  # late: it imports the Kubernetes client

    return Client.connect(kubeconfig, context)


def _programs() -> Iterator[str]:
    """The manifests without policies and without the definitions of our kinds, with which their objects go."""
    from iocaudit.cli.manifests_command import receivers_manifest, shipped

    for name, manifest in shipped():
        if not name.startswith("crds/") and f"kind: {AUDIT_POLICY.name}" not in manifest.splitlines():
            yield manifest
    yield receivers_manifest()


def _save(client: Api, target: str) -> int:
    """Policies, waivers and profiles as they can be applied again, without what the cluster added."""
    from iocaudit.cli.writing import save_file

    bodies = [_as_written(raw) for kind in _WRITTEN for raw in _each(client, kind)]
    save_file(target, "".join(f"---\n{block(body)}\n" for body in bodies).encode(), UninstallError)
    return len(bodies)


def _each(client: Api, kind: Kind) -> Iterator[Json]:
    """The objects of a kind; none where an older install lacks it."""
    from iocaudit.cluster.errors import NotFoundError

    try:
        yield from client.each(kind)
    except NotFoundError:
        return


def _as_written(raw: Json) -> Json:
    given = mapping(raw.get("metadata"))
    metadata = {"name": given["name"], **({"labels": given["labels"]} if given.get("labels") else {})}
    metadata |= {"namespace": given["namespace"]} if given.get("namespace") else {}
    return {"apiVersion": raw["apiVersion"], "kind": raw["kind"], "metadata": metadata, "spec": raw.get("spec", {})}


def _what_goes(client: Api) -> str:
    from iocaudit.records.kinds import CLUSTER_IOC_FINDING, IOC_FINDING, IOC_INCIDENT

    now = datetime.now(UTC)
    policies = sum(1 for _ in client.each(AUDIT_POLICY))
    ends = [text(mapping(raw.get("spec")).get("expires")) for raw in client.each(IOC_WAIVER)]
    over = sum(1 for end in ends if is_past(end, timedelta(), now) is True)
    findings = sum(1 for kind in (IOC_FINDING, CLUSTER_IOC_FINDING) for _ in client.each(kind))
    incidents = sum(1 for _ in _each(client, IOC_INCIDENT))
    profiles = sum(1 for _ in _each(client, ACTIVITY_PROFILE))
    ended = f" ({over} of them ended)" if over else ""
    return (
        f"uninstalling also deletes {counted(policies, 'AuditPolicy', 'AuditPolicies')}, "
        f"{counted(len(ends), 'IocWaiver')}{ended}, {counted(profiles, 'ActivityProfile')}, "
        f"{counted(findings, 'finding')}, "
        f"{counted(incidents, 'incident')} and all reports"
    )
