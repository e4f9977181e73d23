"""AuditPolicies for tests: what is in force decides what is denied, and by default nothing is."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]


def preset_policy(preset: str, name: str = "iocaudit-default") -> Json:
    """The AuditPolicy that chooses a preset for everything, as `iocaudit manifests --preset` writes it."""
    return {
        "apiVersion": "iocaudit.io/v1alpha1",
        "kind": "AuditPolicy",
        "metadata": {"name": name},
        "spec": {"priority": -1_000_000, "preset": preset},
    }


LOCKDOWN = preset_policy("lockdown")
"""Critical is denied, high warned about, the rest recorded."""
