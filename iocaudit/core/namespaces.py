"""The namespaces that belong to the cluster itself. Source: Kubernetes documentation, Initial namespaces."""

SYSTEM_NAMESPACES = ("kube-system", "kube-public", "kube-node-lease")
