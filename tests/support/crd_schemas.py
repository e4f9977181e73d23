"""The schemas of our kinds, as the API server enforces them, for tests without one."""

from pathlib import Path
from typing import Any

import jsonschema
import yaml

CRDS = Path(__file__).parents[2] / "manifests" / "crds"


def content_schema(plural: str, field: str) -> jsonschema.Draft202012Validator:
    """What checks the content that a kind carries under ``field``."""
    crd = yaml.safe_load((CRDS / f"{plural}.yaml").read_text(encoding="utf-8"))
    found = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"][field]
    return jsonschema.Draft202012Validator(_closed(found))


def _closed(schema: Any) -> Any:
    """What a schema of Kubernetes means and JSON Schema has to be told: fields that are not named are unknown."""
    if isinstance(schema, list):
        return [_closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: _closed(value) for key, value in schema.items()}
    if found.get("type") == "object" and "properties" in found:
        found.setdefault("additionalProperties", False)
    return found
