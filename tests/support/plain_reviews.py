"""AdmissionReviews as the API server sends them, read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from iocaudit.sources.admission_review import Review, read_review

Json = dict[str, Any]


def review(
    operation: str,
    new: Json | None = None,
    old: Json | None = None,
    *,
    user: str = "alice",
    groups: Sequence[str] = ("system:authenticated",),
    dry_run: bool = False,
) -> Review:
    """A request of a user for an object, or for another one in its place."""
    about = new or old or {}
    group, _, version = about["apiVersion"].rpartition("/")
    request = {
        "uid": "u",
        "operation": operation,
        "kind": {"group": group, "version": version, "kind": about["kind"]},
        "name": about["metadata"]["name"],
        "namespace": about["metadata"].get("namespace", ""),
        "object": new,
        "oldObject": old,
        "userInfo": {"username": user, "groups": list(groups)},
        "dryRun": dry_run,
    }
    body = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
    return read_review(orjson.dumps(body))
