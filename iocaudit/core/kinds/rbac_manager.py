"""The kind of rbac-manager, which makes bindings from it. Source: the project's CRD."""

from iocaudit.core.kinds.kind import Kind

RBAC_DEFINITION = Kind("rbacmanager.reactiveops.io", "v1beta1", "RBACDefinition", "rbacdefinitions", namespaced=False)
