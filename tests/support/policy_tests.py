"""Documents of policy tests, to be written to files and run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

Json = dict[str, Any]
POLICY: Json = {
    "apiVersion": "iocaudit.io/v1alpha1",
    "kind": "AuditPolicy",
    "metadata": {"name": "shop"},
    "spec": {
        "match": {"namespaces": ["shop"]},
        "checks": [
            {"profiles": ["default", "strict"], "mode": "audit"},
            {"ids": ["privileged-container", "host-pid"], "mode": "deny"},
        ],
        "exemptSubjects": [{"kind": "User", "name": "root"}],
    },
}


def pod(name: str = "web", **spec: Any) -> Json:
    metadata = {"name": name, "namespace": "shop"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [{"name": "app"}], **spec}}


def document(*tests: Json, **more: Any) -> Json:
    header = {"apiVersion": "cli.iocaudit.io/v1alpha1", "kind": "PolicyTest", "policies": [POLICY]}
    return {**header, "tests": list(tests), **more}


def write(folder: Path, *documents: Json, name: str = "a.policytest.yaml") -> str:
    path = folder / name
    path.write_text(yaml.safe_dump_all(documents, sort_keys=False))
    return str(path)
