"""Moments in time as Kubernetes writes them."""

from datetime import UTC, datetime


def rfc3339(when: datetime) -> str:
    """RFC 3339 in UTC, whole seconds."""
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
