"""iocaudit: a Kubernetes admission and configuration auditor keyed to indicators of compromise."""

__version__ = "0.1.0"
