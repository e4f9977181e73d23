"""What an audit policy records of an event: the API server's own matching of rules, for policies in files.

Source: k8s.io/apiserver 1.36, pkg/audit/policy/checker.go; users and groups of one rule have to match both.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from iocaudit.core.shape import Json, mapping, mappings, strings, text

POLICY = Path(__file__).parents[2] / "manifests" / "detections" / "audit" / "policy.yaml"
_USUAL_STAGE = "ResponseComplete"


def shipped_policy() -> Json:
    """The policy that we ship."""
    found: Json = yaml.safe_load(POLICY.read_text(encoding="utf-8"))
    return found


def recorded(policy: Json, event: Json) -> Json | None:
    """The event as the API server would write it under a policy: None where it would not.

    The event is one of the audit log, at the level RequestResponse.
    """
    rule = _rule_of(policy, event)
    level = text(rule.get("level")) if rule is not None else "None"
    stage = text(event.get("stage")) or _USUAL_STAGE
    if level == "None" or stage in [*strings(policy.get("omitStages")), *strings((rule or {}).get("omitStages"))]:
        return None
    hidden = {"Metadata": ("requestObject", "responseObject"), "Request": ("responseObject",)}.get(level, ())
    return {name: value for name, value in event.items() if name not in hidden} | {"level": level}


def _rule_of(policy: Json, event: Json) -> Json | None:
    return next((rule for rule in mappings(policy.get("rules")) if _matches(rule, event)), None)


def _matches(rule: Json, event: Json) -> bool:
    user = mapping(event.get("user"))
    if (users := strings(rule.get("users"))) and text(user.get("username")) not in users:
        return False
    if (groups := strings(rule.get("userGroups"))) and not set(groups) & set(_groups_of(user)):
        return False
    if (verbs := strings(rule.get("verbs"))) and text(event.get("verb")) not in verbs:
        return False
    if rule.get("namespaces") or rule.get("resources"):
        return _matches_resource(rule, mapping(event.get("objectRef")))
    if paths := strings(rule.get("nonResourceURLs")):
        path = text(event.get("requestURI")).partition("?")[0]
        return not event.get("objectRef") and any(_matches_path(path, one) for one in paths)
    return True


def _groups_of(user: Mapping[str, Any]) -> list[str]:
    """The groups, with those that the API server gives to every account of a sort, which samples leave out."""
    name, groups = text(user.get("username")), list(strings(user.get("groups")))
    parts = name.split(":")
    if parts[:2] == ["system", "serviceaccount"] and len(parts) == 4:
        groups += ["system:serviceaccounts", f"system:serviceaccounts:{parts[2]}"]
    if name.startswith("system:node:"):
        groups.append("system:nodes")
    return [*groups, "system:unauthenticated" if name == "system:anonymous" else "system:authenticated"]


def _matches_resource(rule: Json, target: Mapping[str, Any]) -> bool:
    resource, below = text(target.get("resource")), text(target.get("subresource"))
    if not resource:
        return False
    if (namespaces := strings(rule.get("namespaces"))) and text(target.get("namespace")) not in namespaces:
        return False
    listed = mappings(rule.get("resources"))
    whole = f"{resource}/{below}" if below else resource
    return not listed or any(
        text(one.get("group")) == text(target.get("apiGroup"))
        and _is_named(strings(one.get("resources")), resource, below, whole)
        and (not one.get("resourceNames") or text(target.get("name")) in strings(one.get("resourceNames")))
        for one in listed
    )


def _is_named(resources: tuple[str, ...] | list[str], resource: str, below: str, whole: str) -> bool:
    asked = {whole, "*", f"{resource}/*", *([f"*/{below}"] if below else [])}
    return not resources or bool(asked & set(resources))


def _matches_path(path: str, pattern: str) -> bool:
    return path == pattern or (pattern.endswith("*") and path.startswith(pattern[:-1]))
