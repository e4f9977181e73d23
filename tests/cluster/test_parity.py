"""The same stored object, world and policy: a scan of files and a scan of the cluster say the same."""

import json
from pathlib import Path

import yaml

from devcluster.controlplane import ControlPlane
from iocaudit.cli.live import scan_cluster
from iocaudit.core.check_doc import doc_of
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.sources.scan import ScanOptions, scan_files

CATALOGUE = builtin_catalogue()


def _hits(report: object) -> set[tuple[str, str, str, str, str]]:
    return {
        (f.check, str(f.subject), f.hit.path, f.hit.evidence, f.severity.label)
        for f in report.found  # type: ignore[attr-defined]
        if (f.subject.namespace or "").startswith("parity-")
    }


def custom(document: dict[str, str]) -> bool:
    """Whether it is of a group that a bare API server does not serve; test_gateways.py has CRDs for those."""
    group = document["apiVersion"].rpartition("/")[0]
    return "." in group and not group.endswith(".k8s.io")


def test_files_before_and_objects_after_the_api_server_give_the_same_hits(
    control_plane: ControlPlane, tmp_path: Path
) -> None:
    files = tmp_path / "manifests"
    files.mkdir()
    for check in CATALOGUE:
        namespace = f"parity-{check.id}"
        if check.admission_only:
            continue
        documents = list(yaml.safe_load_all(doc_of(check).bad))
        if any(document["kind"] == "Namespace" or custom(document) for document in documents):
            continue
        control_plane.kubectl("create", "namespace", namespace)
        for document in documents:
            if document["kind"].startswith("Cluster"):
                continue
            document["metadata"]["namespace"] = namespace
            (files / f"{namespace}.yaml").write_text(yaml.safe_dump_all(documents))
            control_plane.kubectl("apply", "-f", "-", input=json.dumps(document))
    from_files = scan_files([str(files)], CATALOGUE, ScanOptions(profile="strict"))
    from_cluster = scan_cluster(CATALOGUE, ScanOptions(profile="strict"), kubeconfig=Path(control_plane.kubeconfig))
    expected = _hits(from_files.report)
    assert len({check for check, *_ in expected}) > 15
    assert _hits(from_cluster.report) == expected
    for entry in control_plane.kubectl("get", "namespaces", "-o", "name").stdout.split():
        if entry.startswith("namespace/parity-"):
            control_plane.kubectl("delete", entry, "--wait=false")
