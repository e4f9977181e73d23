"""``iocaudit rbac``: who may do something, and how someone gets to cluster-admin."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click

from iocaudit.cli.groups import CommandGroup
from iocaudit.cli.kind_names import SHORT
from iocaudit.cli.params import connection_options, files_or_cluster, words
from iocaudit.core.kinds import KINDS, SECRET, Kind
from iocaudit.core.shape import Json
from iocaudit.core.world import World
from iocaudit.engine.catalogue import indexed_catalogue
from iocaudit.knowledge.rbac.bindings import Binding
from iocaudit.knowledge.rbac.defaults import default_cluster_roles
from iocaudit.knowledge.rbac.escalation import EscalationPath, way_to_cluster_admin
from iocaudit.knowledge.rbac.graph import Grant, Verb, graph_of, who_can
from iocaudit.knowledge.rbac.powers import POWERS
from iocaudit.knowledge.rbac.rules import rules_of
from iocaudit.knowledge.rbac.subjects import Subject, subject_of
from iocaudit.sinks.columns import columns
from iocaudit.sinks.escape import visible

_VIRTUAL = {"*": "*", "users": "", "groups": "", "uids": "authentication.k8s.io", "userextras": "authentication.k8s.io"}
"""What is not a kind: everything, and what is impersonated."""
_CHECKS = ("shared-service-account", "workload-holds-power")
"""The checks that look up all that the questions here are about."""


@click.group("rbac", cls=CommandGroup)
def command() -> None:
    """Ask who may do what, in files or in a live cluster."""


def _options(function: Any) -> Any:
    for option in reversed(
        (
            click.argument("paths", nargs=-1, metavar="PATH... | -"),
            click.option("-o", "--output", type=words(["table", "json"]), default="table", show_default=True),
            click.option("--cluster", is_flag=True, help="Ask about a live cluster, read-only."),
            connection_options,
            click.option("--require-complete", is_flag=True, help="Exit with 3 if something could not be judged."),
        )
    ):
        function = option(function)
    return function


@command.command("who-can")
@click.argument("verb")
@click.argument("resource")
@click.option("-n", "--namespace", metavar="NS", help="Only who can in this namespace.")
@click.option("--name", metavar="NAME", help="Only who can with the object of this name.")
@_options
def who_can_command(
    verb: str,
    resource: str,
    namespace: str | None,
    name: str | None,
    paths: tuple[str, ...],
    output: str,
    cluster: bool,
    context: str | None,
    kubeconfig: Path | None,
    require_complete: bool,
) -> int:
    """Who may VERB a RESOURCE: pods, pods/exec, deployments.apps, deployments.apps/scale, or a /url.

    Exit code: 2 wrong usage or an unreadable document; 3 with --require-complete if a role is not known; 0 otherwise.
    """
    asked = _asked(verb, resource, name)
    world, unreadable = _world(paths, cluster, context, kubeconfig)
    grants, problems = who_can(world, asked, namespace, scoped=_is_namespaced(asked))
    grants.sort(key=lambda grant: (grant.subject.title, _scope(grant.binding), str(grant.binding.resource.ref)))
    if output == "json":
        question = {"verb": verb, "resource": resource, "namespace": namespace, "name": name}
        found = [_grant(grant) for grant in grants]
        click.echo(json.dumps({**question, "grants": found, "notKnown": problems}, indent=2))
    else:
        rows = [(g.subject.title, _scope(g.binding), _title(g.binding), g.role, _names(g.names)) for g in grants]
        click.echo(columns(("SUBJECT", "NAMESPACE", "BINDING", "ROLE", "ONLY"), sorted(set(rows))), nl=False)
        if not grants:
            click.echo(visible(f"no subject in what was read can {verb} {resource}"))
        _notes(problems)
    return 2 if unreadable else 3 if require_complete and problems else 0


@command.command("path")
@click.argument("subject")
@_options
def path_command(
    subject: str,
    paths: tuple[str, ...],
    output: str,
    cluster: bool,
    context: str | None,
    kubeconfig: Path | None,
    require_complete: bool,
) -> int:
    """How SUBJECT gets to cluster-admin, step by step.

    SUBJECT is User:NAME, Group:NAME, ServiceAccount:NAMESPACE:NAME, system:serviceaccount:NAMESPACE:NAME, one of
    Kubernetes' own groups or the name of a user. Exit code: 2 wrong usage or an unreadable document; 1 there is a way;
    3 with --require-complete if a role is not known; 0 otherwise.
    """
    start = subject_named(subject)
    world, unreadable = _world(paths, cluster, context, kubeconfig)
    outcome = way_to_cluster_admin(start, world)
    if output == "json":
        click.echo(json.dumps(_outcome(start, outcome), indent=2))
    else:
        for number, step in enumerate(outcome.steps, 1):
            target = f" {step.to.title}" if step.to is not None else ""
            by = f"  [{_title(step.binding)}, {step.role}]" if step.binding is not None else ""
            click.echo(visible(f"{number}. {step.subject.title} {step.how}{target}{by}"))
        if not outcome.steps:
            click.echo(visible(f"no way found from {start.title} to cluster-admin"))
        _notes(outcome.problems)
    for note in _unknown(start, world, bool(outcome.steps)):
        click.echo(visible(f"note: {note}"), err=True)
    if unreadable:
        return 2
    return 1 if outcome.steps else 3 if require_complete and outcome.problems else 0


def kinds_of_rights() -> list[Kind]:
    """What has to be read of a cluster to answer these questions: all but Secrets."""
    return [kind for kind in indexed_catalogue().select(_CHECKS).file_world_kinds if kind is not SECRET]


def _world(paths: tuple[str, ...], cluster: bool, context: str | None, kubeconfig: Path | None) -> tuple[World, bool]:
    """What the question is about, and whether a document of it could not be read (which is said)."""
    files_or_cluster(paths, cluster, context, kubeconfig)
    catalogue = indexed_catalogue().select(_CHECKS)
    if cluster:
        from iocaudit.cli.live import read_world  # late: it imports the Kubernetes client

        return read_world(kinds_of_rights(), context=context, kubeconfig=kubeconfig), False
    from iocaudit.scanning.reading import Reader, Scan, note_inputs, skipped_templates
    from iocaudit.sources.files import Inputs  # late: after usage is known good

    inputs, scan = Inputs(paths), Scan()
    note_inputs(inputs, scan)
    reader = Reader(catalogue, "default", named=inputs.named)
    for file in inputs.files:
        reader.read(file, scan)
    skipped_templates(scan)
    for error in scan.errors:
        click.echo(visible(f"{error.file}:{error.line or 1}: {error.reason}"), err=True)
    for skipped in scan.report.skipped:
        where = skipped.origin.file if skipped.origin is not None else ""
        click.echo(visible(f"{where}: {skipped.reason}"), err=True)
    return reader.world, bool(scan.errors)


def _asked(verb: str, resource: str, name: str | None) -> Verb:
    if resource.startswith("/"):
        return Verb(verb, url=resource)
    whole, slash, subresource = resource.partition("/")
    word, dot, group = whole.partition(".")
    plural = _plurals().get(word.lower(), word)
    if not dot:
        groups = _groups().get(plural)
        if groups is None:
            raise click.UsageError(f"the group of {word!r} is not known: write it as {word}.GROUP")
        group = groups
    return Verb(verb, group, plural + slash + subresource, name=name)


def _plurals() -> dict[str, str]:
    """What people write in place of a plural, in lower case: the kind, and kubectl's short names."""
    return {kind.name.lower(): kind.plural for kind in KINDS.values()} | SHORT


def _groups() -> dict[str, str]:
    """Plural to group, of the kinds we know and those that a cluster's own roles name; the core group first."""
    found: dict[str, set[str]] = {}
    for kind in KINDS.values():
        found.setdefault(kind.plural, set()).add(kind.group)
    for role in default_cluster_roles():
        for rule in rules_of(role):
            for resource in rule.resources:
                found.setdefault(resource.partition("/")[0], set()).update(rule.groups - {"*"})
    return {name: min(groups, key=_built_in_first) for name, groups in found.items() if groups} | _VIRTUAL


def _built_in_first(group: str) -> tuple[bool, bool, bool, str]:
    built_in = "." not in group or group.endswith(".k8s.io")
    return (bool(group), not built_in, group == "extensions", group)


def _is_namespaced(asked: Verb) -> bool:
    if asked.resource.partition("/")[0] in ("users", "groups", "uids", "userextras"):
        return False
    outside = {pair for power in POWERS for target in power.targets if not target.scoped for pair in target.resources}
    outside |= {(kind.group, kind.plural) for kind in KINDS.values() if not kind.namespaced and not _is_space(kind)}
    whole = (asked.group, asked.resource.partition("/")[0])
    return not asked.url and whole not in outside and (asked.group, asked.resource) not in outside


def _is_space(kind: Kind) -> bool:
    """A Namespace counts as being in itself: a RoleBinding there gives rights on it."""
    return kind.name == "Namespace"


_KINDS = {"serviceaccount": "ServiceAccount", "sa": "ServiceAccount", "user": "User", "group": "Group"}
_SPELLED = re.compile(r"([A-Za-z]+)[: ](.+)")
_GROUPS = re.compile(r"system:(?:authenticated|unauthenticated|masters|nodes|serviceaccounts(?::[^:]+)?)")


def subject_named(words: str) -> Subject:
    """Whom some words mean, as this program and kubectl write them; a name without a kind is a user's."""
    match = _SPELLED.fullmatch(words)
    kind = _KINDS.get(match[1].lower(), "") if match is not None else ""
    name = match[2] if match is not None else ""
    if kind == "ServiceAccount":
        namespace, _, account = name.replace("/", ":", 1).partition(":")
        if not (namespace and account):
            raise click.UsageError(f"{words!r}: write ServiceAccount:NAMESPACE:NAME")
        return Subject(kind, account, namespace)
    if kind:
        return subject_of({"kind": kind, "name": name})
    return subject_of({"kind": "Group" if _GROUPS.fullmatch(words) else "User", "name": words})


def _unknown(subject: Subject, world: World, found: bool) -> Iterator[str]:
    """A name that no binding says is more often a slip than someone without rights.

    ``found``: there is a way, which a group of the subject has where no binding names the subject itself.
    """
    if subject.text in graph_of(world).by_subject:
        return
    if subject.kind == "User":
        yield f"no binding names {subject.title}; others are written Group:NAME or ServiceAccount:NAMESPACE:NAME"
    elif subject.kind == "ServiceAccount" and not found:
        yield f"no binding names {subject.title}"


def _scope(binding: Binding) -> str:
    if binding.selector is not None:
        return "(by labels)"
    return binding.namespace if binding.namespace is not None else "*"


def _title(binding: Binding | None) -> str:
    if binding is None:
        return ""
    built_in = " (every cluster's)" if binding.resource.origin.source == "default" else ""
    return f"{binding.resource.ref}{built_in}"


def _names(names: frozenset[str]) -> str:
    return ", ".join(sorted(names))


def _identity(subject: Subject) -> Json:
    return {"kind": subject.kind, "namespace": subject.namespace or None, "name": subject.name}


def _by(binding: Binding | None, role: str) -> Json:
    if binding is None:
        return {"binding": None, "role": None}
    ref, origin = binding.resource.ref, binding.resource.origin
    where = {"kind": ref.kind, "namespace": ref.namespace, "name": ref.name, "source": origin.source}
    return {"binding": where | {"file": origin.file, "line": origin.line}, "role": role}


def _grant(grant: Grant) -> Json:
    found = {"subject": _identity(grant.subject), "namespace": grant.binding.namespace}
    return {**found, **_by(grant.binding, grant.role), "names": sorted(grant.names)}


def _outcome(start: Subject, outcome: EscalationPath) -> Json:
    steps = [
        {
            "subject": _identity(step.subject),
            "how": step.how,
            "to": _identity(step.to) if step.to is not None else None,
            **_by(step.binding, step.role),
        }
        for step in outcome.steps
    ]
    found = {"subject": _identity(start), "clusterAdmin": bool(steps), "steps": steps}
    return {**found, "notKnown": list(outcome.problems)}


def _notes(problems: Iterable[str]) -> None:
    for problem in problems:
        click.echo(visible(f"not judged: {problem}"), err=True)
