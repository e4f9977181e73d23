"""A Kubernetes control plane for the demo and the cluster tests: development only, never shipped."""
