"""A bad and a good example for every pair of a check and a kind it looks at.

Most follow from the check's documentation: its pod put into every kind that holds pods, its rules bound in every
way in which they can be bound. The rest stands in ``examples/<check>.yaml``: a list of ``kinds``, ``bad`` and ``good``,
each of those two the documents of an example, its subject first: without apiVersion and kind, which are the pair's, or
a Pod that is put into the kind. A pair that cannot be is listed there with ``kinds`` and ``reason``, or below where it
goes for many.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from iocaudit.core.check import Check
from iocaudit.core.kinds import (
    CLUSTER_ROLE,
    CLUSTER_ROLE_BINDING,
    DAEMON_SET,
    PODS,
    RBAC_DEFINITION,
    ROLE,
    ROLE_BINDING,
    Kind,
    kind_of,
)
from iocaudit.engine.catalogue import builtin_catalogue
from tests.support.carriers import carried

Json = dict[str, Any]
FOLDER = Path(__file__).parent / "examples"
CATALOGUE = builtin_catalogue()
NAMESPACE = "shop"
_RBAC = "rbac.authorization.k8s.io"
_BINDINGS = (ROLE_BINDING, CLUSTER_ROLE_BINDING, RBAC_DEFINITION)
_GRANTS = (ROLE, CLUSTER_ROLE)


@dataclass(frozen=True)
class Example:
    """``companions`` are the other objects that the subject is judged among."""

    check: str
    kind: Kind
    bad: bool
    subject: Json
    companions: tuple[Json, ...] = ()

    def __str__(self) -> str:
        return f"{self.check} {self.kind} {'bad' if self.bad else 'good'}"


_TASKS = tuple(kind for kind in PODS if any(at.style in ("tekton", "tekton-pipeline") for at in kind.pods))
_RUNS = tuple(kind for kind in PODS if any(at.style in ("tekton-run", "tekton-pipeline-run") for at in kind.pods))
_SPARK = tuple(kind for kind in PODS if any(at.style == "spark" for at in kind.pods))
_EVERYWHERE = tuple(kind for kind in PODS if not kind.namespaced)

IMPOSSIBLE: dict[str, tuple[tuple[tuple[Kind, ...], str], ...]] = {
    **{
        check: (((*_TASKS, *_RUNS), f"a task of Tekton has no {field}"),)
        for check, field in {
            "host-ipc": "hostIPC",
            "host-pid": "hostPID",
            "shared-process-namespace": "shareProcessNamespace",
        }.items()
    },
    "host-network": ((_TASKS, "a TaskSpec of Tekton has no hostNetwork"),),
    **dict.fromkeys(("memory-unlimited", "requests-missing"), ((_SPARK, "Spark always sets it"),)),
    "unsafe-sysctl": ((_TASKS, "a TaskSpec of Tekton has no sysctls"),),
    "preset-node": (
        (_TASKS, "a TaskSpec of Tekton has no tolerations"),
        ((DAEMON_SET,), "a DaemonSet is meant for every node"),
    ),
    **dict.fromkeys(
        ("token-automounted", "workload-holds-power"),
        ((_EVERYWHERE, "it is in no namespace, and so runs as no ServiceAccount, until it is used"),),
    ),
    "workload-in-system-namespace": ((_EVERYWHERE, "it is in no namespace"),),
    **dict.fromkeys(
        (
            "dns-egress-blocked",
            "metadata-service-reachable",
            "no-egress-policy",
            "no-ingress-policy",
            "no-workload-rate-limit",
        ),
        ((_EVERYWHERE, "it runs in no namespace of its own, and so under no policy, until it is used"),),
    ),
}
"""Pairs that cannot be, whatever an object says: the kinds, and why."""


def reason_against(check: Check, kind: Kind) -> str | None:
    """Why no object of ``kind`` can have what ``check`` flags; None where one can."""
    for kinds, reason in IMPOSSIBLE.get(check.id, ()):
        if kind in kinds:
            return reason
    for entry in _written(check.id):
        if "reason" in entry and str(kind) in entry["kinds"]:
            return str(entry["reason"])
    return None


@cache
def _written(check: str) -> tuple[Json, ...]:
    """The entries of the check's own file."""
    file = FOLDER / f"{check}.yaml"
    return tuple(yaml.safe_load(file.read_text())) if file.exists() else ()


def examples_of(check: Check) -> Iterator[Example]:
    """Every example of a check that is about objects as they are written."""
    by_kind = {name: entry for entry in _written(check.id) for name in entry["kinds"]}
    for kind in check.looks_at:
        if reason_against(check, kind) is not None:
            continue
        entry = by_kind.get(str(kind))
        for word, text in (("bad", check.doc.bad), ("good", check.doc.good)):
            documents: list[Json] | None
            if entry is not None:
                documents = _of_kind(copy.deepcopy(entry[word]), kind)
            else:
                documents = _derived([document for document in yaml.safe_load_all(text) if document], kind)
            if documents:
                yield Example(check.id, kind, word == "bad", documents[0], tuple(documents[1:]))


def _of_kind(documents: list[Json], kind: Kind) -> list[Json]:
    """A written example, its subject made one of ``kind``."""
    subject, *rest = documents
    if subject.get("kind") == "Pod":
        return [carried(subject, kind), *rest]
    if not kind.namespaced:
        subject["metadata"].pop("namespace", None)
    return [{"apiVersion": kind.api_version, "kind": kind.name, **subject}, *rest]


def _derived(documents: list[Json], kind: Kind) -> list[Json] | None:
    """The documented example turned into one of ``kind``, its subject first; None where that is not possible."""
    for index, document in enumerate(documents):
        known = _kind(document)
        rest = documents[:index] + documents[index + 1 :]
        if known is kind:
            return [document, *rest]
        if known in PODS and kind in PODS:
            namespace = document["metadata"].get("namespace", NAMESPACE)
            return [carried(_pod(document), kind, namespace), *rest]
        if known is not None and (known in _GRANTS or known in _BINDINGS):
            return _rbac(document, kind, rest)
        if known is not None and not kind.pods and (known.name, known.namespaced) == (kind.name, kind.namespaced):
            return [{**document, "apiVersion": kind.api_version}, *rest]
    return None


def _kind(document: Json) -> Kind | None:
    return kind_of(document["apiVersion"].rpartition("/")[0], document["kind"])


def _pod(document: Json) -> Json:
    """The pod of a documented Pod, or of a workload with a template."""
    return document if document["kind"] == "Pod" else dict(document["spec"]["template"])


def _rbac(document: Json, kind: Kind, rest: list[Json]) -> list[Json] | None:
    """A role as a role of the other scope or bound, a binding as one of the other kinds."""
    known, name = _kind(document), document["metadata"]["name"]
    if known in _GRANTS:
        if kind in _GRANTS:
            return [_object(kind, name, rules=document["rules"]), *rest]
        role = _object(CLUSTER_ROLE, name, rules=document["rules"])
        subjects = [{"apiGroup": _RBAC, "kind": "User", "name": "alice"}]
        return [_binding(kind, name, {"apiGroup": _RBAC, "kind": "ClusterRole", "name": name}, subjects), role, *rest]
    return [_binding(kind, name, document["roleRef"], document["subjects"]), *rest]


def _object(kind: Kind, name: str, **content: Any) -> Json:
    metadata = {"name": name, "namespace": NAMESPACE} if kind.namespaced else {"name": name}
    return {"apiVersion": kind.api_version, "kind": kind.name, "metadata": metadata, **content}


def _binding(kind: Kind, name: str, role: Json, subjects: list[Json]) -> Json:
    if kind is not RBAC_DEFINITION:
        return _object(kind, name, roleRef=role, subjects=subjects)
    entry = {"name": name, "subjects": subjects, "clusterRoleBindings": [{"clusterRole": role["name"]}]}
    return _object(kind, name, rbacBindings=[entry])


def parameters_of(check: Check) -> Json:
    """The parameters under which a check's examples are documented."""
    return dict(yaml.safe_load(check.doc.policy or "{}"))


def alone(check: Check, mode: str, **spec: Any) -> Json:
    """An AuditPolicy under which nothing but ``check`` runs."""
    entry = {"ids": [check.id], "mode": mode, "parameters": parameters_of(check)}
    if not entry["parameters"]:
        del entry["parameters"]
    return {
        "apiVersion": "iocaudit.io/v1alpha1",
        "kind": "AuditPolicy",
        "metadata": {"name": "pairs"},
        "spec": {"priority": 100, "checks": [{"profiles": ["default", "strict"], "mode": "off"}, entry], **spec},
    }


def written_to(folder: Path, examples: list[Example]) -> dict[str, Example]:
    """Each example in a file of its own, its Namespace with it as in a cluster; by file."""
    found = {}
    for number, example in enumerate(examples):
        documents = [example.subject, *example.companions]
        namespace = example.subject["metadata"].get("namespace")
        if namespace and not any(d["kind"] == "Namespace" for d in documents):
            documents.append({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        file = folder / f"{number}.yaml"
        file.write_text(yaml.safe_dump_all(documents))
        found[str(file)] = example
    return found


__all__ = ["CATALOGUE", "Example", "alone", "examples_of", "reason_against", "written_to"]
