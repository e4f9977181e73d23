"""Permissive CRDs for the custom kinds that checks look at, made from the kinds themselves."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from devcluster.controlplane import ControlPlane
from iocaudit.cluster.client import Client
from iocaudit.cluster.discovery import discover
from iocaudit.core.kinds import Kind


def crd_of(kind: Kind, versions: Iterable[str]) -> dict[str, Any]:
    """A CRD that takes anything, served in these versions and stored in the kind's own."""
    group = {"api-approved.kubernetes.io": "https://example.com/test"} if kind.group.endswith(".k8s.io") else {}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{kind.group}", "annotations": group},
        "spec": {
            "group": kind.group,
            "scope": "Namespaced" if kind.namespaced else "Cluster",
            "names": {"kind": kind.name, "listKind": f"{kind.name}List", "plural": kind.plural},
            "versions": [
                {
                    "name": version,
                    "served": True,
                    "storage": version == kind.version,
                    "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
                }
                for version in sorted({kind.version, *versions})
            ],
        },
    }


def install(cluster: ControlPlane, client: Client, kinds: Iterable[Kind], also: Iterable[tuple[str, str, str]]) -> int:
    """Install what the server does not serve yet; returns how many. ``also``: group, version, kind in use."""
    served = discover(client)
    used = set(also)
    crds = [
        crd_of(kind, {version for group, version, name in used if (group, name) == kind.key})
        for kind in kinds
        if served.absent(kind)
    ]
    if crds:
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": crds})
        cluster.kubectl("create", "-f", "-", input=text)
        names = [f"crd/{crd['metadata']['name']}" for crd in crds]
        cluster.kubectl("wait", "--for=condition=Established", "--timeout=30s", *names)
    return len(crds)
