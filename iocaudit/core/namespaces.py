"""The namespaces that belong to the cluster itself, and what tells any by its name.

Source: Kubernetes documentation, Initial namespaces; Automatic labelling.
"""

SYSTEM_NAMESPACES = ("kube-system", "kube-public", "kube-node-lease")
NAME_LABEL = "kubernetes.io/metadata.name"
"""The label that the API server gives every Namespace: its name, which nobody can change."""
