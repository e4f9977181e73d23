"""``iocaudit export vap``: what the policies deny, as ValidatingAdmissionPolicies that hold without the webhook."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import yaml

from iocaudit.cli.outputs import Output, OutputType, outputs_of, write_outputs
from iocaudit.cli.params import connection_options, no_connection_without_cluster, split_commas, words
from iocaudit.core.errors import IocauditError
from iocaudit.core.own_names import NAMESPACE
from iocaudit.core.shape import Json
from iocaudit.core.wording import counted
from iocaudit.engine.catalogue import Catalogue, installed_catalogue
from iocaudit.engine.presets import Preset
from iocaudit.sinks.escape import visible

if TYPE_CHECKING:
    from iocaudit.engine.policy_set import PolicySet
    from iocaudit.engine.waivers import Waivers

_WIDTH = 118


class ExportError(IocauditError):
    """What is installed cannot be read; names the file or the kind, and the reason."""


@click.command("vap")
@click.option("--policy", "files", multiple=True, metavar="FILE", help="AuditPolicies and IocWaivers; may be repeated.")
@click.option("--cluster", is_flag=True, help="The policies and waivers of a live cluster, read-only.")
@connection_options
@click.option(
    "--preset",
    type=words([preset.value for preset in Preset]),
    help="With --policy, or alone: the preset where no policy chooses one  [default: warn]",
)
@click.option("--profile", type=words(["default", "strict"]), default="default", show_default=True)
@click.option(
    "--namespace",
    metavar="NS",
    default=NAMESPACE,
    show_default=True,
    help="The namespace that the auditor is installed in; it is left out.",
)
@click.option(
    "--exclude",
    multiple=True,
    metavar="NS,…",
    callback=split_commas,
    help="Namespaces to leave out beside kube-system, as the operator is told to. May be repeated.",
)
@click.option("--check", is_flag=True, help="Write nothing: compare with what is installed, exit with 1 if it differs.")
@click.option("--installed", metavar="FILE", help="With --check: what is installed, as kubectl get -o yaml writes it.")
@click.option(
    "-o",
    "--output",
    "given",
    multiple=True,
    type=OutputType(("yaml", "json")),
    metavar="FORMAT[=FILE]",
    help="yaml or json, to standard output or to a file  [default: yaml]",
)
def command(
    files: tuple[str, ...],
    cluster: bool,
    context: str | None,
    kubeconfig: Path | None,
    preset: str | None,
    profile: str,
    namespace: str,
    exclude: tuple[str, ...],
    check: bool,
    installed: str | None,
    given: tuple[Output, ...],
) -> int:
    """Write ValidatingAdmissionPolicies that deny what the policies in force deny, as far as CEL can say it.

    The API server keeps them by itself, so they hold while the webhook is away. They deny nothing that the webhook
    would not deny. What they leave out is told on standard error, with the reason.

    Exit code, the first that applies: 2 wrong usage, or a policy that cannot be read; 1 with --check, where something
    else is installed; 3 something in the cluster could not be read; 0 otherwise.
    """
    if not (files or cluster or preset):
        raise click.UsageError("give --policy FILE, --cluster or --preset NAME")
    if cluster and (files or preset):
        raise click.UsageError("the policies of a cluster choose the preset: give --cluster, or --policy and --preset")
    no_connection_without_cluster(cluster or (check and not installed), context, kubeconfig)
    if installed and not check:
        raise click.UsageError("--installed goes with --check")
    if check and given:
        raise click.UsageError("--check writes nothing: leave out -o")
    outputs = outputs_of(given or [Output("yaml", None)], None)
    from iocaudit.install.vap.export import export  # late, as what follows: help needs none of it

    catalogue = installed_catalogue()
    now = datetime.now(UTC)
    unread: list[str] = []
    if cluster:
        policies, waivers = _of_cluster(catalogue, profile, now, context, kubeconfig, unread)
    else:
        policies, waivers = _of_files(files, catalogue, profile, now, preset)
    found = export(policies, waivers, now, namespace, exclude)
    for line in (*unread, *found.told):
        click.echo(visible(line), err=True)
    if not check:
        for file in write_outputs(outputs, lambda output: _text(found.objects, output.format), sys.stdout):
            click.echo(visible(f"wrote {counted(len(found.objects), 'object')} to {file}"), err=True)
        return 3 if unread else 0
    from iocaudit.install.vap.installed import staleness

    there = _read(installed) if installed else _live(context, kubeconfig)
    lines = staleness(found.objects, there, now)
    for line in lines:
        click.echo(visible(line))
    if not lines:
        click.echo(f"what is installed is up to date: {counted(len(found.objects), 'object')}")
    return 1 if lines else 3 if unread else 0


def _of_files(
    files: tuple[str, ...], catalogue: Catalogue, profile: str, now: datetime, preset: str | None
) -> tuple[PolicySet, Waivers]:
    from iocaudit.engine.policy_set import PolicySet
    from iocaudit.engine.waivers import Waivers
    from iocaudit.scanning.policy_files import make_policies, make_waivers, read_policy_files

    documents = read_policy_files(files, catalogue)
    policies = make_policies(documents, catalogue, profile)
    if preset is not None:
        policies = PolicySet(catalogue, policies.policies, profile, Preset(preset))
    return policies, make_waivers(documents, catalogue, now) or Waivers()


def _of_cluster(
    catalogue: Catalogue,
    profile: str,
    now: datetime,
    context: str | None,
    kubeconfig: Path | None,
    unread: list[str],
) -> tuple[PolicySet, Waivers]:
    from iocaudit.cli.live_policies import read_judgement
    from iocaudit.cluster.client import Client

    judgement = read_judgement(Client.connect(kubeconfig, context), catalogue, profile, now)
    unread += judgement.unread
    for note in judgement.notes:
        click.echo(visible(note), err=True)
    return judgement.policies, judgement.waivers


def _live(context: str | None, kubeconfig: Path | None) -> list[Json]:
    """The policies and bindings of a live cluster."""
    from iocaudit.cluster.client import Client
    from iocaudit.install.vap.objects import BINDING, POLICY

    client = Client.connect(kubeconfig, context)
    return [{**raw, "kind": kind.name} for kind in (POLICY, BINDING) for raw in client.list_all(kind)[0]]


def _read(file: str) -> list[Json]:
    """What is installed as a file has it: documents, or Lists of them."""
    from iocaudit.sources.files import read_bytes

    data = read_bytes(file, named=True)
    if not isinstance(data, bytes):
        raise ExportError(f"{file}: {data.reason}")
    try:
        documents = [one for one in yaml.safe_load_all(data) if one is not None]
    except yaml.YAMLError as error:
        reason = str(error).replace("\n", " ")
        raise ExportError(f"{file}: is not YAML or JSON: {reason}") from error
    found: list[Json] = []
    for one in documents:
        listed = one.get("items") if isinstance(one, dict) else None
        inner = listed if isinstance(listed, list) else [one]
        if not all(isinstance(item, dict) for item in inner):
            raise ExportError(f"{file}: holds something that is not a Kubernetes object")
        found += inner
    return found


class _Dumper(yaml.SafeDumper):
    """Folds what is long: CEL is to be read."""


def _folded(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    long = len(text) > _WIDTH - 40 and text.isprintable() and text == text.strip() and "  " not in text
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=">" if long else None)


_Dumper.add_representer(str, _folded)


def _text(objects: list[Json], form: str) -> str:
    # By way of JSON: an operation is an enum, which the dumper refuses.
    plain: list[Any] = json.loads(json.dumps(objects))
    if form == "json":
        return json.dumps({"apiVersion": "v1", "kind": "List", "items": plain}, indent=2, ensure_ascii=False) + "\n"
    if not plain:
        return "# nothing is denied that a ValidatingAdmissionPolicy could deny\n"
    return yaml.dump_all(
        plain, Dumper=_Dumper, sort_keys=False, width=_WIDTH, allow_unicode=True, default_flow_style=False
    )
