"""Versions of the Pod Security Standards: a policy can name one, and the checks then follow that one's rules.

Source: kubernetes/pod-security-admission, ``policy/``, which says for each rule since which version it holds.
"""

from __future__ import annotations

from functools import lru_cache

from iocaudit.core.check import Parameter, Params
from iocaudit.knowledge.pods.pod import PodSpec

NEWEST = 10_000
"""What ``latest`` means: a minor version above all."""

PSS_VERSION = Parameter(
    "pssVersion",
    {"type": "string", "pattern": r"^(latest|v?1\.\d{1,3})$"},
    "the version of the Pod Security Standards to follow, such as v1.31",
    default="latest",
)
USER_NAMESPACES_SINCE = 35
"""From this minor version on ``hostUsers: false`` relaxes the rules about users and /proc."""


def minor_version(params: Params) -> int:
    """The minor version that ``pssVersion`` asks for; NEWEST where it says ``latest`` or nothing."""
    return _minor(str(params.get("pssVersion") or "latest"))


@lru_cache(maxsize=64)
def _minor(text: str) -> int:
    _, dot, minor = text.partition(".")
    return int(minor) if dot else NEWEST


def has_own_users(pod: PodSpec, params: Params) -> bool:
    """Whether the pod runs in a user namespace of its own and the version in force takes that into account."""
    return pod.spec.get("hostUsers") is False and minor_version(params) >= USER_NAMESPACES_SINCE
