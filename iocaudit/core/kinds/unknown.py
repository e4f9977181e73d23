"""What is known of kinds that no check knows: which of them hold what only looks like a pod, as data."""

from iocaudit.core.kinds.kind import Kind, PodLocation

SHAPED = Kind("", "", "kind known by its shape", "", pods=(PodLocation((), "shape"),))
"""Stands for the kind of an object in which pods were found by their shape. No API serves it."""

PATTERNS = frozenset(
    {
        "admission.k8s.io",
        "admissionregistration.k8s.io",
        "apiextensions.k8s.io",
        "audit.k8s.io",
        "gatekeeper.sh",
        "iocaudit.io",
        "jspolicy.com",
        "kubewarden.io",
        "kuttl.dev",
        "kyverno.io",
        "polaris.fairwinds.com",
        "policy",
        "policy.karmada.io",
        "policy.open-cluster-management.io",
        "sigstore.dev",
        "wgpolicyk8s.io",
    }
)
"""Groups, with those below them, whose objects say what others should look like or looked like: policies, schemas,
tests, records. What they hold is not run because of them."""

HISTORY = frozenset({("apps", "ControllerRevision")})
"""Kinds that keep what was, and run nothing."""

COMPOSITIONS = frozenset(
    {
        "apiextensions.crossplane.io",
        "config.kpt.dev",
        "fn.kpt.dev",
        "kpt.dev",
        "kro.run",
        "pkg.crossplane.io",
        "template.crossplane.io",
    }
)
"""Groups whose objects are recipes: other objects are made of them once their gaps are filled in."""


def holds_patterns(group: str, kind: str) -> bool:
    """Whether what an object of this kind holds is never run because of it."""
    parts = group.split(".")
    return (group, kind) in HISTORY or any(".".join(parts[start:]) in PATTERNS for start in range(len(parts)))
