"""A way to the API server on which everything can be lost without a connection being closed."""

from __future__ import annotations

import contextlib
import socket
import threading
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import yaml

from devcluster.controlplane import ControlPlane


class Swallower:
    """A port that leads to the API server. ``swallow`` loses what comes back; the connections stay alive."""

    def __init__(self, cluster: ControlPlane, folder: Path) -> None:
        raw = yaml.safe_load(cluster.kubeconfig.read_text(encoding="utf-8"))
        target = raw["clusters"][0]["cluster"]
        parts = urlsplit(target["server"])
        self._target = (str(parts.hostname), int(parts.port or 443))
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._swallowed: set[int] = set()
        self._number = 0
        self._all = threading.Event()
        self.kubeconfig = folder / "through.kubeconfig"
        target["server"] = f"https://127.0.0.1:{self._listener.getsockname()[1]}"
        self.kubeconfig.write_text(yaml.safe_dump(raw), encoding="utf-8")

    def swallow(self, *, new: bool) -> None:
        """From now on nothing comes back on the connections that are there; with ``new``, nor on later ones."""
        self._swallowed = set(range(self._number + 1))
        if new:
            self._all.set()

    def release(self) -> None:
        """Later connections are as they should be; those of which something was lost stay as they are."""
        self._swallowed = set(range(self._number + 1))
        self._all.clear()

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._number += 1
            server = socket.create_connection(self._target, timeout=5)
            server.settimeout(None)
            for source, target, back in ((client, server, False), (server, client, True)):
                arguments = (source, target, self._number, back)
                threading.Thread(target=self._pump, args=arguments, daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, number: int, back: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if not (back and (self._all.is_set() or number in self._swallowed)):
                    target.sendall(data)
            if back and (self._all.is_set() or number in self._swallowed):
                return  # that the server ended it is lost as well
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
