"""Certificates, TLS listeners, limits, drain, health, metrics and logs: the HTTP edge under every door.

Knows nothing of checks or of Kubernetes objects.
"""
