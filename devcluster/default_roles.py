"""``python -m devcluster.default_roles``: reads what a cluster is born with from a fresh control plane.

Writes iocaudit/knowledge/rbac/defaults.json. To be run when the newest supported release changes.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

from devcluster.controlplane import ControlPlane
from iocaudit.core.shape import Json

_TARGET = Path(__file__).resolve().parents[1] / "iocaudit" / "knowledge" / "rbac" / "defaults.json"
_KINDS = "clusterroles,roles,clusterrolebindings,rolebindings"
_AGGREGATE = "rbac.authorization.k8s.io/aggregate-to-"


def reduced(raw: Json) -> Json:
    """The parts of a role or binding that say what it gives; an aggregated role's rules follow from others."""
    metadata = raw["metadata"]
    kept: Json = {"name": metadata["name"]}
    if "namespace" in metadata:
        kept["namespace"] = metadata["namespace"]
    labels = {name: value for name, value in metadata.get("labels", {}).items() if name.startswith(_AGGREGATE)}
    if labels:
        kept["labels"] = labels
    found: Json = {"apiVersion": raw["apiVersion"], "kind": raw["kind"], "metadata": kept}
    parts = ("aggregationRule",) if raw.get("aggregationRule") else ("rules", "roleRef", "subjects")
    return found | {part: raw[part] for part in parts if raw.get(part)}


def as_text(raws: list[Json]) -> str:
    """One object a line, sorted, so a change of release reads as a diff."""
    found = sorted((reduced(raw) for raw in raws), key=lambda raw: (raw["kind"], *map(str, raw["metadata"].values())))
    lines = (json.dumps(raw, sort_keys=True, separators=(",", ":")) for raw in found)
    return "[\n" + ",\n".join(lines) + "\n]\n"


def main() -> None:
    with ControlPlane() as cluster:
        before: list[Json] = []
        # The API server makes them one by one after it is ready: take them once two looks see the same.
        while True:
            found = json.loads(cluster.kubectl("get", _KINDS, "-A", "-o", "json").stdout)["items"]
            if found and len(found) == len(before):
                break
            before = found
            time.sleep(2)
    _TARGET.write_text(as_text(found), encoding="utf-8")
    print(f"wrote {len(found)} objects to {_TARGET}")


if __name__ == "__main__":
    main()
