"""A listener in a process of its own: ``python -m tests.support.flooded FOLDER|- CLIENT_CA|-``, port printed."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry

from iocaudit.serving.asgi import AsgiReceive, AsgiScope, AsgiSend, answer
from iocaudit.serving.certificate_source import CertificateSource
from iocaudit.serving.drain import Drain
from iocaudit.serving.health import Readiness
from iocaudit.serving.heap import keep_large_blocks_apart
from iocaudit.serving.limits import Limits
from iocaudit.serving.listener import ListenAddress, ListenerSpec, run, serve
from iocaudit.serving.metrics import ConnectionMetrics, metrics_app


async def echo(_scope: AsgiScope, receive: AsgiReceive, send: AsgiSend) -> None:
    await answer(send, 200, (await receive())["body"].decode())


def _main(folder: str, client_ca: str) -> None:
    def started(addresses: Mapping[str, ListenAddress]) -> None:
        print(addresses["main"].port, addresses["metrics"].port, flush=True)

    async def main() -> None:
        registry = CollectorRegistry()
        drain = Drain(Readiness([]), grace=0.0, finish=1.0)
        drain.on_signals()
        tls = None
        if folder != "-":
            tls = CertificateSource.from_folder(Path(folder), client_ca=Path(client_ca) if client_ca != "-" else None)
        listens = [
            ListenerSpec("main", Limits(echo), "127.0.0.1", 0, tls),
            ListenerSpec.plain("metrics", metrics_app(registry), "127.0.0.1", 0),
        ]
        await serve(listens, drain, started=started, metrics=ConnectionMetrics(registry))

    keep_large_blocks_apart()  # as the webhook
    run(main())


@dataclass(frozen=True)
class Flooded:
    """The running process."""

    address: ListenAddress
    metrics: ListenAddress
    pid: int

    @property
    def peak(self) -> int:
        """The most memory it ever had, in MiB."""
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii").splitlines()
        return int(next(line for line in status if line.startswith("VmHWM")).split()[1]) // 1024

    @property
    def seconds(self) -> float:
        """The processor time it has taken."""
        fields = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def descriptors(self) -> int:
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))


@contextlib.contextmanager
def flooded(folder: Path | None, client_ca: Path | None = None) -> Iterator[Flooded]:
    command = [sys.executable, "-m", "tests.support.flooded", str(folder or "-"), str(client_ca or "-")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            main, metrics = map(int, process.stdout.readline().split())
            address = ListenAddress("127.0.0.1", main, folder is not None)
            yield Flooded(address, ListenAddress("127.0.0.1", metrics, False), process.pid)
            assert process.poll() is None
        finally:
            process.terminate()
            process.wait(30)


if __name__ == "__main__":
    _main(*sys.argv[1:])
