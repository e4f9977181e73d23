"""What the domain means: pods, images, paths, credentials, RBAC, networks, rate limits. Standard library only."""
