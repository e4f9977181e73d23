"""The configuration files of the control plane's programs. JSON throughout, which is YAML to Kubernetes."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from devcluster.certificates import Pair

CONTROLLERS = (
    "clusterrole-aggregation-controller",
    "cronjob-controller",
    "daemonset-controller",
    "deployment-controller",
    "garbage-collector-controller",
    "job-controller",
    "namespace-controller",
    "replicaset-controller",
    "replicationcontroller-controller",
    "resourcequota-controller",
    "root-ca-certificate-publisher-controller",
    "serviceaccount-controller",
    "serviceaccount-token-controller",
    "statefulset-controller",
    "ttl-after-finished-controller",
)
"""What runs in kube-controller-manager: all that works without nodes, storage and a cloud."""

AUDIT_POLICY: Mapping[str, Any] = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "omitManagedFields": True,
    "rules": [
        # The control plane's own reading and its leases would be most of the log.
        {
            "level": "None",
            "users": ["system:apiserver", "system:kube-controller-manager"],
            "verbs": ["get", "list", "watch"],
        },
        {
            "level": "None",
            "userGroups": ["system:serviceaccounts:kube-system"],
            "verbs": ["get", "list", "watch"],
        },
        {
            "level": "None",
            "nonResourceURLs": ["/healthz*", "/livez*", "/readyz*", "/version", "/openapi/*", "/api*"],
        },
        {"level": "None", "resources": [{"group": "coordination.k8s.io", "resources": ["leases"]}]},
        # Bodies of roles and bindings say what was granted; no rule asks for any other body, so
        # neither Secrets nor tokens are ever written out.
        {"level": "Request", "resources": [{"group": "rbac.authorization.k8s.io"}]},
        {"level": "Metadata"},
    ],
}
"""The default audit policy: Metadata for all, Request for RBAC."""


def kubeconfig(
    server: str,
    *,
    ca: bytes | None = None,
    client: Pair | None = None,
    token: str | None = None,
    user: str = "user",
) -> str:
    """A kubeconfig with one context and everything in it, so the file can be moved."""
    cluster: dict[str, str] = {"server": server}
    if ca is not None:
        cluster["certificate-authority-data"] = _base64(ca)
    credentials: dict[str, str] = {}
    if client is not None:
        credentials["client-certificate-data"] = _base64(client.certificate)
        credentials["client-key-data"] = _base64(client.key)
    if token is not None:
        credentials["token"] = token
    return text(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "devcluster", "cluster": cluster}],
            "users": [{"name": user, "user": credentials}],
            "contexts": [{"name": "devcluster", "context": {"cluster": "devcluster", "user": user}}],
            "current-context": "devcluster",
        }
    )


def webhook_credentials(client: Pair) -> str:
    """The kubeconfig from which kube-apiserver takes the client certificate it shows to every webhook."""
    return kubeconfig("https://127.0.0.1", client=client, user="*")


def admission_configuration(credentials_file: str) -> str:
    """For ``--admission-control-config-file``: the client certificate for both kinds of webhook."""
    plugin = {
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "WebhookAdmissionConfiguration",
        "kubeConfigFile": credentials_file,
    }
    return text(
        {
            "apiVersion": "apiserver.config.k8s.io/v1",
            "kind": "AdmissionConfiguration",
            "plugins": [
                {"name": name, "configuration": plugin}
                for name in ("ValidatingAdmissionWebhook", "MutatingAdmissionWebhook")
            ],
        }
    )


def text(document: Mapping[str, Any]) -> str:
    """The document as a file's content."""
    return json.dumps(document, indent=1) + "\n"


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
