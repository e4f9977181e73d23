"""Rules on a real control plane: the mission's policy on images in both syntaxes, and what is asked of the cluster."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from devcluster.controlplane import ControlPlane
from devcluster.ports import free_port
from tests.cluster.processes import Eventually, pod
from tests.support.children import children

Json = dict[str, Any]
REGISTRY = """package kubernetes.admission

deny contains msg if {
    some container in input.request.object.spec.containers
    not startswith(container.image, "hooli.com/")
    msg := sprintf("image %v does not come from hooli.com", [container.image])
}
"""
"""The mission's policy on images, as Kubernetes' documentation of OPA has it, in today's Rego."""
V0 = """package kubernetes.admission

deny[msg] {
    input.request.kind.kind == "Pod"
    image := input.request.object.spec.containers[_].image
    not startswith(image, "hooli.com/")
    msg := sprintf("image %v does not come from hooli.com", [image])
}
"""


def policy(name: str, *rules: Json, **spec: Any) -> Json:
    return {
        "apiVersion": "iocaudit.io/v1alpha1",
        "kind": "AuditPolicy",
        "metadata": {"name": name},
        "spec": {"rules": list(rules), **spec},
    }


def rego(name: str, module: str, **more: Any) -> Json:
    return {"name": name, "rego": {"module": module}, "kinds": ["Pod"], "mode": "deny", **more}


def config_map(name: str, **modules: str) -> Json:
    metadata = {"name": name, "namespace": "iocaudit", "labels": {"iocaudit.io/rego": "true"}}
    data = {f"{key.replace('_', '-')}.rego": text for key, text in modules.items()}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def bad(name: str = "bad", image: str = "evil.example/x:1", **more: Any) -> Json:
    body = pod("shop", name, **more)
    body["spec"]["containers"][0]["image"] = image
    return body


class Setting:
    """A control plane with webhook and operator, each with an OPA of its own."""

    def __init__(self, cluster: ControlPlane, folder: Path, eventually: Eventually) -> None:
        self.cluster, self.folder, self.eventually = cluster, folder, eventually
        self.webhook_metrics, self.operator_metrics = free_port(), free_port()
        self.webhook_pid = self.operator_pid = 0

    def tried(self, body: Json) -> str:
        """What the API server says to a dry run: empty where it would be admitted without a word."""
        done = self.cluster.kubectl("create", "--dry-run=server", "-f", "-", input=json.dumps(body), check=False)
        return done.stderr if done.returncode else "".join(done.stderr.splitlines(keepends=True))

    def denied(self, body: Json, text: str) -> bool:
        done = self.cluster.kubectl("create", "--dry-run=server", "-f", "-", input=json.dumps(body), check=False)
        return done.returncode != 0 and text in done.stderr

    def status(self, name: str) -> dict[str, tuple[str, str, str]]:
        found = json.loads(self.cluster.kubectl("get", "auditpolicy", name, "-o", "json").stdout)
        conditions = found.get("status", {}).get("conditions", [])
        return {one["type"]: (one["status"], one["reason"], one["message"]) for one in conditions}

    def rules_ready(self, name: str, reason: str) -> bool:
        return self.status(name).get("RulesReady", ("", "", ""))[1] == reason

    def opa_of(self, pid: int) -> int:
        """The process id of the OPA that a process of ours started."""
        found = children(pid, "iocaudit-opa")
        return found[0] if found else 0
