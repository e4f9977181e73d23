"""Moments in time as Kubernetes writes them."""

from datetime import UTC, datetime, timedelta

LATEST = 2**33
"""Unix seconds from which on no time is believed, in the year 2242."""


def rfc3339(when: datetime) -> str:
    """RFC 3339 in UTC, whole seconds."""
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def is_past(since: str, age: timedelta, now: datetime) -> bool | None:
    """Whether a moment, as it was written, is that long ago; None where it cannot be read."""
    try:
        return now - datetime.fromisoformat(since) >= age
    except (ValueError, TypeError):
        return None
