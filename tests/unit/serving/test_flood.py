"""Ten thousand connections that do nothing, or never come to an end, leave the others served."""

import asyncio
import ssl
import urllib.request
from pathlib import Path

import pytest

from iocaudit.serving.authority import KeyPair
from iocaudit.serving.descriptors import RESERVE
from iocaudit.serving.listener import ListenAddress, run
from iocaudit.serving.protocol import ConnectionBounds
from tests.support.flood import flooding
from tests.support.flooded import flooded
from tests.support.loopback import Connection, identity, trusting

TIMEOUT = 2.0
"""Seconds: less than the API server gives a webhook."""
CALLS = 40
TRIES = 3
PATIENCE = 1.0
"""Seconds between two tries: a burst of more connections than there is room for leaves none to others meanwhile."""
MANY = 10_000
BOUND = ConnectionBounds().connections


async def served(address: ListenAddress, client: ssl.SSLContext | None, tries: int = 1) -> None:
    """Call on one kept connection and on a new one, in turn; none fails or takes too long.

    ``tries``: how often a call may be made until it is answered, as a caller that proves nothing has no right to a
    place; the kubelet probes three times before it draws a conclusion.
    """
    kept = await Connection.open(address, client)
    for _ in range(CALLS):
        for left in reversed(range(tries)):
            try:
                async with asyncio.timeout(TIMEOUT):
                    assert (await kept.call(body=b"kept")).body == b"kept"
                    new = await Connection.open(address, client)
                    assert (await new.call(body=b"new")).body == b"new"
                new.close()
                break
            except (OSError, EOFError, TimeoutError):
                if not left:
                    raise
                kept.close()
                await asyncio.sleep(PATIENCE)
                kept = await Connection.open(address, client)
        await asyncio.sleep(0.02)
    kept.close()


def open_connections(metrics: ListenAddress) -> dict[str, int]:
    with urllib.request.urlopen(f"{metrics.url}/metrics", timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    start = 'iocaudit_connections{listener="main",state="'
    found = [line.removeprefix(start).split('"} ') for line in lines if line.startswith(start)]
    return {state: int(float(number)) for state, number in found}


@pytest.mark.parametrize(
    "kinds",
    [{"silent": MANY // 2, "half": MANY // 2}, {"kept": 3 * BOUND}, {"silent": 2_000, "half": 1_000, "slow": 200}],
    ids=["half-open", "idle", "mixed"],
)
def test_any_client_is_served_although_others_keep_thousands_of_connections(
    kinds: dict[str, int], folder: Path, ca: KeyPair
) -> None:
    with flooded(folder) as server, flooding(server.address.port, sources=16, **kinds):
        run(served(server.address, trusting(ca), TRIES))
        assert sum(open_connections(server.metrics).values()) <= BOUND
        assert server.descriptors < BOUND + RESERVE
        assert server.peak < 200, "MiB; the webhook itself has about 40 more, and 512 at most"


def test_the_holder_of_a_certificate_is_served_although_its_own_address_keeps_ten_thousand(
    folder: Path, tmp_path: Path, ca: KeyPair
) -> None:
    known = trusting(ca, identity=identity(tmp_path / "client", ca))
    kinds = {"silent": MANY // 2, "half": MANY // 2 - 500, "kept": 500}
    with flooded(folder, folder / "ca.crt") as server, flooding(server.address.port, sources=0, **kinds):
        run(served(server.address, known))
        found = open_connections(server.metrics)
        assert found["idle"] == 0, "nobody gets further without a certificate"
        assert found["opening"] <= ConnectionBounds().by_source


def test_a_probe_is_answered_although_others_keep_ten_thousand_connections_without_tls() -> None:
    with flooded(None) as server, flooding(server.address.port, sources=16, plain=MANY):
        run(served(server.address, None, TRIES))
        assert sum(open_connections(server.metrics).values()) <= BOUND
