"""What is known of kinds that no check knows: which of them hold what only looks like a pod, as data."""

from iocaudit.core.kinds.kind import Kind, PodAt

SHAPED = Kind("", "", "kind known by its shape", "", pods=(PodAt((), "shape"),))
"""Stands for the kind of an object in which pods were found by their shape. No API serves it."""

PATTERNS = frozenset(
    {
        "admissionregistration.k8s.io",
        "apiextensions.k8s.io",
        "config.gatekeeper.sh",
        "constraints.gatekeeper.sh",
        "expansion.gatekeeper.sh",
        "jspolicy.com",
        "kyverno.io",
        "mutations.gatekeeper.sh",
        "policies.kubewarden.io",
        "policies.kyverno.io",
        "policy",
        "policy.jspolicy.com",
        "policy.karmada.io",
        "policy.open-cluster-management.io",
        "policy.sigstore.dev",
        "polaris.fairwinds.com",
        "templates.gatekeeper.sh",
        "wgpolicyk8s.io",
    }
)
"""Groups whose objects say what others should look like: policies, schemas. What they hold never runs."""

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
