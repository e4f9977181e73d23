"""What a fresh cluster and kubeadm bring along gives no finding; what is resolved is what the authorizer allows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from devcluster.controlplane import ControlPlane
from devcluster.default_roles import reduced
from iocaudit.cli.live import scan_cluster
from iocaudit.core.report import Report
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.knowledge.rbac.defaults import default_bindings, default_cluster_roles
from iocaudit.scanning.scan import ScanOptions

CATALOGUE = builtin_catalogue()
RBAC_CHECKS = CATALOGUE.select(check.id for check in CATALOGUE if check.group == "rbac")

KUBEADM = """
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: "kubeadm:cluster-admins"},
 roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin},
 subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: "kubeadm:cluster-admins"}]}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: "kubeadm:get-nodes"},
 rules: [{apiGroups: [""], resources: [nodes], verbs: [get]}]}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: "kubeadm:get-nodes"},
 roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: "kubeadm:get-nodes"},
 subjects: [{kind: Group, name: "system:bootstrappers:kubeadm:default-node-token"}]}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: "kubeadm:kubelet-bootstrap"},
 roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: "system:node-bootstrapper"},
 subjects: [{kind: Group, name: "system:bootstrappers:kubeadm:default-node-token"}]}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding,
 metadata: {name: "kubeadm:node-autoapprove-bootstrap"},
 roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole,
           name: "system:certificates.k8s.io:certificatesigningrequests:nodeclient"},
 subjects: [{kind: Group, name: "system:bootstrappers:kubeadm:default-node-token"}]}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: "kubeadm:node-proxier"},
 roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: "system:node-proxier"},
 subjects: [{kind: ServiceAccount, name: kube-proxy, namespace: kube-system}]}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: kube-proxy, namespace: kube-system},
 rules: [{apiGroups: [""], resources: [configmaps], resourceNames: [kube-proxy], verbs: [get]}]}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: kube-proxy, namespace: kube-system},
 roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: kube-proxy},
 subjects: [{kind: Group, name: "system:bootstrappers:kubeadm:default-node-token"}]}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: Role,
 metadata: {name: "kubeadm:bootstrap-signer-clusterinfo", namespace: kube-public},
 rules: [{apiGroups: [""], resources: [configmaps], resourceNames: [cluster-info], verbs: [get]}]}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding,
 metadata: {name: "kubeadm:bootstrap-signer-clusterinfo", namespace: kube-public},
 roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: "kubeadm:bootstrap-signer-clusterinfo"},
 subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: "system:anonymous"}]}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: "system:coredns"},
 rules: [{apiGroups: ["", discovery.k8s.io], resources: [endpointslices, services, pods, namespaces],
          verbs: [list, watch]}]}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: "system:coredns"},
 roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: "system:coredns"},
 subjects: [{kind: ServiceAccount, name: coredns, namespace: kube-system}]}
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[ControlPlane]:
    """Its own: nothing may be in it but what a fresh cluster holds."""
    with ControlPlane() as control_plane:
        yield control_plane


def report_of(cluster: ControlPlane) -> Report:
    return scan_cluster(RBAC_CHECKS, ScanOptions(profile="strict"), kubeconfig=Path(cluster.kubeconfig)).report


def test_a_fresh_cluster_and_kubeadms_bindings_give_no_finding(cluster: ControlPlane) -> None:
    cluster.kubectl("apply", "-f", "-", input=KUBEADM)
    report = report_of(cluster)
    assert report.audited > 120
    assert [found.message for found in report.found] == []
    assert report.skipped == []
    assert report.faults == []


def test_the_kept_file_is_what_this_cluster_holds(cluster: ControlPlane) -> None:
    live = json.loads(cluster.kubectl("get", "clusterroles,clusterrolebindings", "-o", "json").stdout)["items"]
    theirs = {(raw["kind"], raw["metadata"]["name"]): reduced(raw) for raw in live}
    checked = 0
    for resource in (*default_cluster_roles(), *default_bindings()):
        kept = theirs.get((resource.kind_name, resource.name))
        if resource.namespace is None and kept is not None and not resource.name.startswith("kubeadm:"):
            assert kept == resource.raw
            checked += 1
    assert checked > 110


def test_a_default_role_edited_to_hold_more_is_found(cluster: ControlPlane) -> None:
    name = "system:kube-scheduler"
    added = [{"op": "add", "path": "/rules/-", "value": {"apiGroups": [""], "resources": ["users"], "verbs": ["*"]}}]
    cluster.kubectl("patch", "clusterrole", name, "--type=json", "-p", json.dumps(added))
    try:
        found = {(f.check, str(f.subject)) for f in report_of(cluster).found}
    finally:
        length = len(json.loads(cluster.kubectl("get", "clusterrole", name, "-o", "json").stdout)["rules"])
        removed = [{"op": "remove", "path": f"/rules/{length - 1}"}]
        cluster.kubectl("patch", "clusterrole", name, "--type=json", "-p", json.dumps(removed))
    assert {
        ("wildcard-rule", f"ClusterRole {name}"),
        ("escalation-verb", f"ClusterRole {name}"),
        ("escalation-verb", f"ClusterRoleBinding {name}"),
    } <= found


def test_questions_about_a_live_cluster(cluster: ControlPlane) -> None:
    cluster.kubectl("create", "namespace", "asked")
    cluster.kubectl("create", "role", "deploy", "-nasked", "--verb=create", "--resource=deployments.apps")
    cluster.kubectl("create", "rolebinding", "ci", "-nasked", "--role=deploy", "--user=carol")
    cluster.kubectl(
        "create", "clusterrolebinding", "asked", "--clusterrole=cluster-admin", "--serviceaccount=asked:bot"
    )

    def rbac(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "iocaudit.cli", "rbac", *arguments, "--cluster"]
        environment = {**os.environ, "KUBECONFIG": str(cluster.kubeconfig)}
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)

    found = rbac("who-can", "create", "deployments", "-n", "asked", "-o", "json")
    assert found.returncode == 0, found.stderr
    who = {grant["subject"]["name"] for grant in json.loads(found.stdout)["grants"]}
    assert {"carol", "bot", "system:masters"} <= who
    path = rbac("path", "carol", "--require-complete")
    assert path.returncode == 1, path.stderr
    assert path.stdout.splitlines()[0].startswith("1. User carol runs a pod as ServiceAccount asked/bot")
    assert rbac("path", "nobody", "--require-complete").returncode == 0


# Verb, resource, group, name: asked of the API server's authorizer and of our rules.
QUESTIONS = [
    ("get", "pods", "", ""),
    ("get", "pods/exec", "", ""),
    ("create", "pods/exec", "", "one"),
    ("create", "secrets", "", ""),
    ("get", "secrets", "", "one"),
    ("get", "secrets", "", "two"),
    ("deletecollection", "secrets", "", ""),
    ("update", "deployments/scale", "apps", "one"),
    ("list", "nodes", "", ""),
    ("get", "nodes/proxy", "", "one"),
]
ROLES = [
    {"apiGroups": [""], "resources": ["pods/*"], "verbs": ["*"]},
    {"apiGroups": ["*"], "resources": ["*/exec", "*/scale"], "verbs": ["create", "update"]},
    {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["one"], "verbs": ["*"]},
    {"apiGroups": [""], "resources": ["*"], "verbs": ["get", "list"]},
    {"apiGroups": ["apps"], "resources": ["*"], "verbs": ["*"]},
]


@pytest.mark.parametrize("wide", [True, False], ids=["cluster", "namespace"])
def test_our_rules_agree_with_the_authorizer(cluster: ControlPlane, wide: bool) -> None:
    from iocaudit.knowledge.rbac.graph import Verb
    from iocaudit.knowledge.rbac.rules import PolicyRule

    rbac = "rbac.authorization.k8s.io"
    for index, raw in enumerate(ROLES):
        name = f"agree-{index}-{'c' if wide else 'n'}"
        reference = {"apiGroup": rbac, "kind": "ClusterRole", "name": name}
        subjects = [{"apiGroup": rbac, "kind": "User", "name": name}]
        metadata = {"name": name} | ({} if wide else {"namespace": "default"})
        kind = "ClusterRoleBinding" if wide else "RoleBinding"
        role = {"apiVersion": f"{rbac}/v1", "kind": "ClusterRole", "metadata": {"name": name}, "rules": [raw]}
        bound = {"apiVersion": f"{rbac}/v1", "kind": kind, "metadata": metadata, "roleRef": reference}
        for document in (role, bound | {"subjects": subjects}):
            cluster.kubectl("apply", "-f", "-", input=json.dumps(document))
    for index, raw in enumerate(ROLES):
        name = f"agree-{index}-{'c' if wide else 'n'}"
        for verb, resource, group, object_name in QUESTIONS:
            in_namespace = not resource.startswith("nodes")
            plural, _, subresource = resource.partition("/")
            attributes = {"verb": verb, "resource": plural, "group": group, "subresource": subresource}
            attributes |= {"name": object_name} if object_name else {}
            attributes |= {"namespace": "default"} if in_namespace else {}
            review = {
                "apiVersion": "authorization.k8s.io/v1",
                "kind": "SubjectAccessReview",
                "spec": {"user": name, "resourceAttributes": attributes},
            }
            answer = json.loads(cluster.kubectl("create", "-f", "-", "-o", "json", input=json.dumps(review)).stdout)
            asked = Verb(verb, group, resource, name=object_name)
            ours = (wide or in_namespace) and asked.given_by(PolicyRule.of(raw), clusterwide=wide)
            assert answer["status"]["allowed"] is ours, (raw, verb, resource, object_name)
