"""Permissive CRDs for the custom kinds that checks look at, made from the kinds themselves."""

from __future__ import annotations

import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from iocaudit.cluster.client import Client
from iocaudit.cluster.discovery import discover
from iocaudit.core.kinds import Kind

_CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


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


def install(client: Client, kinds: Iterable[Kind], also: Iterable[tuple[str, str, str]]) -> int:
    """Install what the server does not serve yet; returns how many. ``also``: group, version, kind in use."""
    served = discover(client)
    used = set(also)
    crds = [
        crd_of(kind, {version for group, version, name in used if (group, name) == kind.key})
        for kind in kinds
        if served.absent(kind)
    ]
    # In threads, by a client that nothing holds back: kubectl takes 20 s for a hundred.
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda crd: client.request("POST", _CRDS, body=crd), crds))
    wanted = {crd["metadata"]["name"] for crd in crds}
    deadline = time.monotonic() + 60.0
    while missing := wanted - _established(client):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not established: {', '.join(sorted(missing))}")
        time.sleep(0.1)
    return len(crds)


def _established(client: Client) -> set[str]:
    return {
        crd["metadata"]["name"]
        for crd in client.request("GET", _CRDS)["items"]
        for condition in crd.get("status", {}).get("conditions") or ()
        if condition["type"] == "Established" and condition["status"] == "True"
    }
