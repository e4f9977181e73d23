"""What only ``iocaudit[cluster]`` installs: the webhook, the operator and whatever else talks to a cluster."""

MODULES = frozenset(
    {
        "aiohttp",
        "cryptography",
        "fastapi",
        "httptools",
        "kopf",
        "kubernetes",
        "prometheus_client",
        "pythonjsonlogger",
        "urllib3",
        "uvicorn",
        "uvloop",
    }
)
"""The modules of the packages that the extra names in ``pyproject.toml``."""


def advice(missing: ModuleNotFoundError) -> str | None:
    """What to install where a module of the extra is missing; None where it is a module of ours, or another."""
    module = (missing.name or "").partition(".")[0]
    if module not in MODULES:
        return None
    return f"this command needs {module}, which is installed for work with clusters: pip install 'iocaudit[cluster]'"
