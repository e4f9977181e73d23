"""Routes and limits as a real API server stores them: what a scan of it says equals a scan of the files."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from devcluster.controlplane import ControlPlane
from iocaudit.cli.live import scan_cluster
from iocaudit.cluster.client import Client
from iocaudit.core.report import Report
from iocaudit.core.resource import CLUSTER, Resource
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.scanning.scan import ScanOptions, scan_files
from tests.cluster.custom_kinds import install
from tests.unit.knowledge.rate_limit import test_gateways as gateways

CATALOGUE = builtin_catalogue().select(["no-rate-limit", "ineffective-rate-limit"])
TRAEFIK = """
apiVersion: traefik.containo.us/v1alpha1
kind: Middleware
metadata: {name: old, namespace: shop}
spec: {rateLimit: {average: 30, burst: 50}}
---
apiVersion: traefik.containo.us/v1alpha1
kind: IngressRoute
metadata: {name: old, namespace: shop}
spec:
  routes: [{match: Host(`old.example`), kind: Rule, middlewares: [{name: old}], services: [{name: web, port: 80}]}]
---
apiVersion: traefik.io/v1alpha1
kind: Middleware
metadata: {name: calm, namespace: shop}
spec: {rateLimit: {average: 30, burst: 50}}
---
apiVersion: traefik.io/v1alpha1
kind: Middleware
metadata: {name: chain, namespace: shop}
spec: {chain: {middlewares: [{name: calm}]}}
---
apiVersion: traefik.io/v1alpha1
kind: IngressRoute
metadata: {name: limited, namespace: shop}
spec:
  routes: [{match: Host(`a.example`), kind: Rule, middlewares: [{name: chain}], services: [{name: web, port: 80}]}]
---
apiVersion: traefik.io/v1alpha1
kind: IngressRoute
metadata: {name: open, namespace: shop}
spec:
  routes: [{match: Host(`b.example`), kind: Rule, middlewares: [{name: old}], services: [{name: web, port: 80}]}]
"""
# What limits the routes of a whole cluster can't stand beside the other examples.
_FOR_ALL = ('global: "true"', "ApisixGlobalRule", "ContourConfiguration", "istio-system")


def examples() -> list[str]:
    """Every gateway's routes, limited and open, under names of their own."""
    texts = [TRAEFIK, *(text for _, text in gateways.LIMITED), *(text for _, text, _ in gateways.OPEN)]
    found = []
    for at, text in enumerate(text for text in texts if not any(word in text for word in _FOR_ALL)):
        for name in ("shop", "infra", "edge"):
            text = text.replace(name, f"{name}-{at}")
        found.append(text)
    return found


def said(report: Report) -> set[tuple[str, str, str]]:
    spaces = ("shop-", "infra-")
    return {
        (found.check, str(found.subject), found.message)
        for found in report.found
        if (found.subject.namespace or "").startswith(spaces)
    }


@pytest.fixture(scope="module")
def stored(control_plane: ControlPlane) -> Iterator[ControlPlane]:
    documents = [document for text in examples() for document in yaml.safe_load_all(text)]
    resources = [Resource(document, CLUSTER) for document in documents]
    kinds = {one.kind for one in resources if one.kind is not None}
    used = {(one.group, one.version, one.kind_name) for one in resources}
    install(Client.connect(control_plane.kubeconfig), kinds, used)
    names = {document["metadata"].get("namespace") for document in documents} - {None}
    spaces = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in sorted(names)]
    control_plane.kubectl("apply", "-f", "-", input=yaml.safe_dump_all(spaces))
    control_plane.kubectl("apply", "-f", "-", input=yaml.safe_dump_all(documents))
    yield control_plane
    control_plane.kubectl("delete", "-f", "-", "--wait=false", input=yaml.safe_dump_all(spaces))


def test_files_and_cluster_agree_on_every_gateway(stored: ControlPlane, tmp_path: Path) -> None:
    for at, text in enumerate(examples()):
        (tmp_path / f"{at}.yaml").write_text(text)
    files = scan_files([str(tmp_path)], CATALOGUE, ScanOptions())
    cluster = scan_cluster(CATALOGUE, ScanOptions(), kubeconfig=Path(stored.kubeconfig))
    assert not cluster.report.faults
    assert said(cluster.report) == said(files.report)
    hit = {(check, subject) for check, subject, _ in said(files.report)}
    assert ("no-rate-limit", "IngressRoute shop-0/open") in hit
    assert ("no-rate-limit", "IngressRoute shop-0/limited") not in hit
    assert ("ineffective-rate-limit", "Middleware shop-0/old") in hit
    assert len(hit) > 20


def test_the_flow_schemas_of_a_fresh_cluster_are_its_own(control_plane: ControlPlane) -> None:
    catalogue = builtin_catalogue().select(["apiserver-flow-exempt"])
    report = scan_cluster(catalogue, ScanOptions(), kubeconfig=Path(control_plane.kubeconfig)).report
    assert report.audited >= 10, "the API server brings its own FlowSchemas"
    assert not report.found
    assert not report.skipped
