"""Policies for pods that a controller makes: nobody says of them that they select nothing."""

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.scanning.scan import ScanOptions, scan_files
from iocaudit.sources.yaml_text import named_in

COREOS, ELASTIC = "monitoring.coreos.com", "elasticsearch.k8s.elastic.co"
CHECK = "policy-selects-nothing"


def _policy(labels: str) -> str:
    return f"""
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: p, namespace: data}}
spec: {{podSelector: {{matchLabels: {{{labels}}}}}, policyTypes: [Ingress]}}
"""


def _custom(version: str, kind: str, name: str, namespace: str = "data") -> str:
    metadata = f"metadata:\n  labels: {{name: other}}\n  name: {name}\n  namespace: {namespace}\n"
    return f"apiVersion: {version}\nkind: {kind}\n{metadata}spec: {{replicas: 3}}\n"


def _definition(group: str) -> str:
    return f"""apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: x.{group}
spec:
  group: {group}
"""


def _operator(verbs: str, resources: str, group: str = "apps", namespace: str = "data") -> str:
    return f"""
apiVersion: apps/v1
kind: Deployment
metadata: {{name: operator, namespace: {namespace}}}
spec:
  template:
    metadata: {{labels: {{app: operator}}}}
    spec: {{serviceAccountName: op, containers: [{{name: c, image: "hooli.com/op:1"}}]}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {{name: op}}
rules: [{{apiGroups: ["{group}"], resources: [{resources}], verbs: [{verbs}]}}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {{name: op}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: op}}
subjects: [{{kind: ServiceAccount, name: op, namespace: {namespace}}}]
"""


def _judged(folder: Path, *documents: str) -> tuple[int, list[str]]:
    """How many hits there are, and why it was skipped."""
    (folder / "all.yaml").write_text("\n---\n".join(documents))
    catalogue = builtin_catalogue().select([CHECK])
    scan = scan_files([str(folder)], catalogue, ScanOptions())
    return len(scan.report.found), [one.reason for one in scan.report.skipped]


@pytest.mark.parametrize(
    ("labels", "other", "said"),
    [
        ("app.kubernetes.io/name: prometheus", _custom(f"{COREOS}/v1", "Prometheus", "k8s"), "Prometheus k8s"),
        ("strimzi.io/cluster: events", _custom("kafka.strimzi.io/v1beta2", "Kafka", "x"), "Kafka x"),
        ("app: events-kafka", _custom("kafka.strimzi.io/v1beta2", "Kafka", "events"), "Kafka events"),
        ("cluster-name: acid", _custom("acid.zalan.do/v1", "postgresql", "acid"), "postgresql acid"),
        (f"{ELASTIC}/cluster-name: q", _custom(f"{ELASTIC}/v1", "Elasticsearch", "q"), "Elasticsearch q"),
        ("longhorn.io/component: manager", _definition("longhorn.io"), "the controllers of longhorn.io"),
        ("app.kubernetes.io/managed-by: some-operator, app: x", "", "some-operator makes"),
        ("app: x", _operator("create", "statefulsets"), "Deployment operator makes"),
        ("app: x", _operator("'*'", "'*'", "*"), "Deployment operator makes"),
    ],
)
def test_what_may_make_the_pods_is_said(labels: str, other: str, said: str, tmp_path: Path) -> None:
    hits, (reason,) = _judged(tmp_path, _policy(labels), other)
    assert hits == 0
    assert said in reason


@pytest.mark.parametrize(
    ("labels", "other"),
    [
        ("app: wbe", ""),
        ("app: web", _custom("monitoring.coreos.com/v1", "ServiceMonitor", "web")),
        ("app: web", _custom("cert-manager.io/v1", "Certificate", "web")),
        ("app: web", _custom("kafka.strimzi.io/v1beta2", "Kafka", "events")),
        ("app: events", _custom("kafka.strimzi.io/v1beta2", "Kafka", "events", namespace="elsewhere")),
        ("app.kubernetes.io/name: x", _definition("app.example")),
        ("app: x", _operator("get, list", "statefulsets")),
        ("app: x", _operator("create", "statefulsets", namespace="elsewhere")),
    ],
)
def test_a_slip_of_the_pen_is_still_told(labels: str, other: str, tmp_path: Path) -> None:
    assert _judged(tmp_path, _policy(labels), other) == (1, [])


_NAMES = st.from_regex(r"[a-z][a-z0-9-]{0,20}[a-z0-9]", fullmatch=True)


@given(_NAMES, st.none() | _NAMES, st.sampled_from([None, False, True]), st.booleans())
def test_names_are_read_from_a_document_that_is_not_parsed(
    name: str, namespace: str | None, flow: bool | None, labelled: bool
) -> None:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    if labelled:
        metadata["labels"] = {"name": "other"}  # type: ignore[assignment]
    text = yaml.safe_dump({"apiVersion": "a.example/v1", "kind": "A", "metadata": metadata}, default_flow_style=flow)
    found = named_in(text)
    assert found in ((namespace or "", name), ("", "")), "what is said is right"
    if flow is False:
        assert found == (namespace or "", name) or json.dumps(name) in text or "'" in text
