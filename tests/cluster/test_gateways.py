"""Routes and limits as a real API server stores them: what a scan of it says equals a scan of the files."""

import json
from pathlib import Path
from typing import Any

import pytest

from devcluster.controlplane import ControlPlane
from iocaudit.cli.live import scan_cluster
from iocaudit.core.kinds import Kind
from iocaudit.core.kinds.gateways import (
    LEGACY_TRAEFIK_INGRESS_ROUTE,
    LEGACY_TRAEFIK_MIDDLEWARE,
    TRAEFIK_INGRESS_ROUTE,
    TRAEFIK_MIDDLEWARE,
)
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.sources.scan import ScanOptions, scan_files

CHECKS = ("no-rate-limit", "ineffective-rate-limit")
CATALOGUE = builtin_catalogue().select(CHECKS)
CUSTOM = (
    TRAEFIK_INGRESS_ROUTE,
    TRAEFIK_MIDDLEWARE,
    LEGACY_TRAEFIK_INGRESS_ROUTE,
    LEGACY_TRAEFIK_MIDDLEWARE,
)
OBJECTS = """
apiVersion: traefik.containo.us/v1alpha1
kind: Middleware
metadata: {name: old, namespace: gateways}
spec: {rateLimit: {average: 30, burst: 50}}
---
apiVersion: traefik.containo.us/v1alpha1
kind: IngressRoute
metadata: {name: old, namespace: gateways}
spec:
  routes:
  - match: Host(`old.example`)
    kind: Rule
    middlewares: [{name: old}]
    services: [{name: web, port: 80}]
---
apiVersion: traefik.io/v1alpha1
kind: Middleware
metadata: {name: calm, namespace: gateways}
spec: {rateLimit: {average: 30, burst: 50}}
---
apiVersion: traefik.io/v1alpha1
kind: Middleware
metadata: {name: chain, namespace: gateways}
spec: {chain: {middlewares: [{name: calm}]}}
---
apiVersion: traefik.io/v1alpha1
kind: IngressRoute
metadata: {name: limited, namespace: gateways}
spec:
  routes:
  - match: Host(`a.example`)
    kind: Rule
    middlewares: [{name: chain}]
    services: [{name: web, port: 80}]
---
apiVersion: traefik.io/v1alpha1
kind: IngressRoute
metadata: {name: open, namespace: gateways}
spec:
  routes:
  - match: Host(`b.example`)
    kind: Rule
    middlewares: [{name: old}]
    services: [{name: web, port: 80}]
"""


def crd(kind: Kind) -> dict[str, Any]:
    """A CRD that serves a kind and accepts anything."""
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{kind.group}"},
        "spec": {
            "group": kind.group,
            "scope": "Namespaced" if kind.namespaced else "Cluster",
            "names": {"kind": kind.name, "plural": kind.plural, "singular": kind.name.lower()},
            "versions": [
                {"name": kind.version, "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
            ],
        },
    }


@pytest.fixture(scope="module")
def gateways(control_plane: ControlPlane) -> ControlPlane:
    crds = json.dumps({"apiVersion": "v1", "kind": "List", "items": [crd(kind) for kind in CUSTOM]})
    control_plane.kubectl("apply", "--server-side", "-f", "-", input=crds)
    control_plane.kubectl("wait", "--for=condition=Established", "-f", "-", "--timeout=20s", input=crds)
    control_plane.kubectl("create", "namespace", "gateways")
    control_plane.kubectl("apply", "-f", "-", input=OBJECTS)
    return control_plane


def test_files_and_cluster_agree(gateways: ControlPlane, tmp_path: Path) -> None:
    (tmp_path / "objects.yaml").write_text(OBJECTS)
    files = scan_files([str(tmp_path)], CATALOGUE, ScanOptions())
    cluster = scan_cluster(CATALOGUE, ScanOptions(), kubeconfig=Path(gateways.kubeconfig))
    expected = {(found.check, str(found.subject), found.message) for found in files.report.found}
    assert {
        (found.check, str(found.subject), found.message)
        for found in cluster.report.found
        if found.subject.namespace == "gateways"
    } == expected
    hit = {(check, subject) for check, subject, _ in expected}
    assert ("no-rate-limit", "IngressRoute gateways/open") in hit
    assert ("no-rate-limit", "IngressRoute gateways/limited") not in hit
    assert ("ineffective-rate-limit", "Middleware gateways/old") in hit
