"""Free loopback ports."""

from __future__ import annotations

import random
import socket

LOOPBACK = "127.0.0.1"

# Below the range from which Linux takes the ports of outgoing connections (32768 and up), so none of
# those grabs the port while kube-apiserver is down on purpose.
_RANGE = range(20000, 32768)
_TRIES = 200


def free_port() -> int:
    """A port nobody listens on now. Someone may a moment later: callers try again with another."""
    for port in random.sample(_RANGE, _TRIES):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            # As servers do it: a connection that lingers in TIME_WAIT does not make a port unusable.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
            return port
    raise OSError(f"no free port on {LOOPBACK} among {_TRIES} tried from {_RANGE.start} to {_RANGE.stop - 1}")
