"""The rules for Prometheus that we ship, and the PrometheusRule that ``make gen`` makes of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

FOLDER = Path("manifests") / "detections" / "prometheus"
"""Below the root of the repository."""
_HEAD = "# Generated from the files in rules/ by make gen, for clusters with the Prometheus operator.\n"
_METADATA = {
    "name": "iocaudit-detections",
    "namespace": "iocaudit",
    "labels": {"app.kubernetes.io/name": "iocaudit", "app.kubernetes.io/part-of": "iocaudit"},
}


class _Dumper(yaml.SafeDumper):
    """Writes expressions as they stand in the files."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def groups(root: Path) -> list[dict[str, Any]]:
    """The groups of all files, in the order of the files' names."""
    found: list[dict[str, Any]] = []
    for path in sorted((root / FOLDER / "rules").glob("*.yaml")):
        found += yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]
    return found


def prometheus_rule(root: Path) -> str:
    """The text of manifests/detections/prometheus/prometheus-rule.yaml."""
    raw = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": _METADATA,
        "spec": {"groups": groups(root)},
    }
    return _HEAD + yaml.dump(raw, Dumper=_Dumper, sort_keys=False, width=1000)
