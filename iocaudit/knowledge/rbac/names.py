"""Which names objects can have: a rule that names none of them gives nothing.

``resourceNames`` are compared letter by letter, so ``*`` and ``app-*`` are names like any other. Source: the
API server's validation of names (apimachinery, api/validation and util/validation).
"""

import re
from functools import lru_cache

_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LONGEST_NAME = 253
_OF_ANY_NAME = frozenset(
    {
        "roles",
        "clusterroles",
        "rolebindings",
        "clusterrolebindings",
        "certificatesigningrequests",
        "users",
        "groups",
        "uids",
        "userextras",
        "signers",
    }
)
"""Whatever fits into a path; those from ``users`` on are not objects, but what a request says."""


def may_be_named(resource: str, name: str) -> bool:
    """Whether an object of a resource (``pods``, ``pods/exec``) can have that name."""
    return resource.partition("/")[0] in _OF_ANY_NAME or (0 < len(name) <= _LONGEST_NAME and _is_subdomain(name))


@lru_cache(maxsize=4096)
def _is_subdomain(name: str) -> bool:
    return _SUBDOMAIN.fullmatch(name) is not None
