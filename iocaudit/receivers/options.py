"""What the receivers are told at start."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ReceiverOptions:
    """``certificates`` holds tls.crt, tls.key and ca.crt; ``senders`` is the file that binds credentials.

    ``host`` empty means every interface; port 0 any free one. ``data`` holds the write-ahead file.
    """

    certificates: Path
    senders: Path
    data: Path
    operator_url: str
    """``https://host:port`` of the operator's receiver."""
    client_ca: Path | None = None
    """Client certificates of senders are of this authority; without it nothing listens at ``port``."""
    audit_log: Path | None = None
    """The API server's audit log file, to be followed."""
    host: str = ""
    port: int = 8445
    token_port: int | None = None
    """Where senders with a bearer token post; None for nowhere."""
    health_port: int = 8081
    metrics_port: int = 9090
    kubeconfig: Path | None = None
    context: str | None = None
    drain_seconds: float = 10.0
    most_bytes: int = 1 << 30
    """Of bodies that wait to be read or posted."""
