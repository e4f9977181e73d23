"""Real TLS on loopback: versions, client certificates, and certificates that change under load."""

import asyncio
import os
import ssl
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from iocaudit.serving.authority import KeyPair, issue_ca, issue_leaf
from iocaudit.serving.certificate_source import CertificateSource
from iocaudit.serving.errors import CertificateError
from iocaudit.serving.listener import ListenAddress, run
from iocaudit.serving.metrics import CertificateMetrics
from tests.support.loopback import NAMES, NOW, Connection, echo, identity, serving, trusting, write_pair

NewLeaf = Callable[[], KeyPair]


async def reaches(address: ListenAddress, client: ssl.SSLContext) -> bool:
    """Whether a whole call works; a refused client certificate shows at the first read in TLS 1.3."""
    try:
        connection = await Connection.open(address, client)
        response = await connection.call(body=b"hello")
    except (OSError, asyncio.IncompleteReadError):
        return False
    connection.close()
    return response.body == b"hello"


def test_a_certificate_changes_under_load_without_a_failed_call(folder: Path, ca: KeyPair, new_leaf: NewLeaf) -> None:
    async def main() -> None:
        source = CertificateSource.from_folder(folder)
        seen: set[int] = set()
        calls = 0
        stopping = asyncio.Event()

        async def client(address: ListenAddress, *, keep: bool) -> None:
            nonlocal calls
            context = trusting(ca)
            connection = await Connection.open(address, context)
            while not stopping.is_set():
                assert (await connection.call(body=b"x")).status == 200
                calls += 1
                seen.add(connection.serial)
                if not keep:
                    connection.close()
                    connection = await Connection.open(address, context)
            connection.close()

        served = {source_leaf(folder)}
        async with serving(echo, tls=source) as (address, _):
            clients = [asyncio.create_task(client(address, keep=number % 2 == 0)) for number in range(4)]
            await asyncio.sleep(0.1)
            for _ in range(6):
                pair = new_leaf()
                write_pair(folder, pair)
                assert await asyncio.to_thread(source.reload)
                served.add(pair.certificate.serial_number)
                await asyncio.sleep(0.05)
            stopping.set()
            await asyncio.gather(*clients)
        assert seen == served
        assert calls > 50
        assert source.generation == 7

    run(main())


def source_leaf(folder: Path) -> int:
    source = CertificateSource.from_folder(folder)
    source.reload()
    return source.leaf.serial_number


def test_the_kubelet_s_swap_is_seen_by_the_watch(tmp_path: Path, ca: KeyPair, new_leaf: NewLeaf) -> None:
    """The kubelet writes a new folder and renames the link ``..data`` onto it."""

    def swap(version: str) -> KeyPair:
        pair = new_leaf()
        (tmp_path / version).mkdir()
        write_pair(tmp_path / version, pair)
        (tmp_path / "..data_tmp").symlink_to(version)
        os.rename(tmp_path / "..data_tmp", tmp_path / "..data")
        return pair

    async def main() -> None:
        first = swap("..1")
        for name in ("tls.crt", "tls.key"):
            (tmp_path / name).symlink_to(f"..data/{name}")
        source = CertificateSource.from_folder(tmp_path)
        await source.load(1)
        assert source.leaf == first.certificate
        watch = asyncio.create_task(source.watch(0.02))
        second = swap("..2")
        async with asyncio.timeout(30):
            while source.leaf != second.certificate:
                await asyncio.sleep(0.01)
        watch.cancel()

    run(main())


def test_broken_files_leave_the_old_certificate_in_use(folder: Path, ca: KeyPair, new_leaf: NewLeaf) -> None:
    async def main() -> None:
        registry = CollectorRegistry()
        source = CertificateSource.from_folder(folder, metrics=CertificateMetrics(registry))
        async with serving(echo, tls=source) as (address, _):
            good = source.leaf
            pair = new_leaf()
            expired = issue_leaf(ca, NAMES, NOW - timedelta(days=1), timedelta(hours=1))
            for certificate, key, reason in (
                (pair.certificate_pem, None, "does not belong"),
                (b"not a certificate", None, "no readable PEM certificate"),
                (b"", None, "empty"),
                (pair.certificate_pem, b"not a key", "private key"),
                (expired.certificate_pem, expired.key_pem, "expired"),
            ):
                (folder / "tls.crt").write_bytes(certificate)
                if key is not None:
                    (folder / "tls.key").write_bytes(key)
                with pytest.raises(CertificateError, match=reason):
                    source.reload()
                assert source.leaf is good
                assert await reaches(address, trusting(ca))
            refused = {"name": "serving", "result": "refused"}
            assert registry.get_sample_value("iocaudit_certificate_reloads_total", refused) == 4
            write_pair(folder, pair)
            assert source.reload()
            expiry = registry.get_sample_value("iocaudit_certificate_expiry_timestamp_seconds", {"name": "serving"})
            assert expiry == source.expires_at.timestamp()
            assert datetime.fromtimestamp(expiry, NOW.tzinfo) == pair.certificate.not_valid_after_utc

    run(main())


def test_an_encrypted_key_is_an_error_not_a_question(folder: Path, new_leaf: NewLeaf) -> None:
    from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

    pair = new_leaf()
    locked = pair.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x"))
    (folder / "tls.crt").write_bytes(pair.certificate_pem)
    (folder / "tls.key").write_bytes(locked)
    with pytest.raises(CertificateError, match="unencrypted"):
        CertificateSource.from_folder(folder).reload()


def test_it_waits_for_files_and_says_what_is_missing(tmp_path: Path, new_leaf: NewLeaf) -> None:
    async def main() -> None:
        source = CertificateSource.from_folder(tmp_path)
        with pytest.raises(CertificateError, match=r"within 0.05 seconds: .*tls\.crt: No such file"):
            await source.load(0.05, interval=0.01)
        loading = asyncio.create_task(source.load(2, interval=0.01))
        await asyncio.sleep(0.03)
        write_pair(tmp_path, new_leaf())
        await loading
        assert source.generation == 1

    run(main())


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_tls_1_2_and_1_3_are_spoken_and_1_1_is_refused(folder: Path, ca: KeyPair) -> None:
    async def main() -> None:
        async with serving(echo, tls=CertificateSource.from_folder(folder)) as (address, _):
            for version, accepted in (
                (ssl.TLSVersion.TLSv1_1, False),
                (ssl.TLSVersion.TLSv1_2, True),
                (ssl.TLSVersion.TLSv1_3, True),
            ):
                client = trusting(ca)
                client.set_ciphers("DEFAULT:@SECLEVEL=0")  # else the client itself refuses 1.1
                client.minimum_version = client.maximum_version = version
                assert await reaches(address, client) is accepted, version

    run(main())


def test_weak_ciphers_are_refused(folder: Path, ca: KeyPair) -> None:
    async def main() -> None:
        async with serving(echo, tls=CertificateSource.from_folder(folder)) as (address, _):
            client = trusting(ca)
            client.maximum_version = ssl.TLSVersion.TLSv1_2
            client.set_ciphers("ECDHE-ECDSA-AES128-SHA")
            assert not await reaches(address, client)

    run(main())


def test_only_clients_of_the_given_authority_get_in_also_after_it_changes(
    folder: Path, tmp_path: Path, ca: KeyPair
) -> None:
    old, new = issue_ca(NOW, timedelta(days=1)), issue_ca(NOW, timedelta(days=1))
    client_ca = tmp_path / "clients.crt"
    client_ca.write_bytes(old.certificate_pem)
    of_old = trusting(ca, identity=identity(tmp_path / "old", old))
    of_new = trusting(ca, identity=identity(tmp_path / "new", new))
    of_serving = trusting(ca, identity=identity(tmp_path / "serving", ca))

    async def main() -> None:
        source = CertificateSource.from_folder(folder, client_ca=client_ca)
        async with serving(echo, tls=source) as (address, _):
            clients = (of_old, of_new, of_serving, trusting(ca))
            assert [await reaches(address, client) for client in clients] == [True, False, False, False]
            client_ca.write_bytes(old.certificate_pem + new.certificate_pem)
            assert source.reload()
            assert [await reaches(address, client) for client in clients] == [True, True, False, False]
            client_ca.write_bytes(new.certificate_pem)
            assert source.reload()
            assert [await reaches(address, client) for client in clients] == [False, True, False, False]
            client_ca.write_bytes(b"nothing")
            with pytest.raises(CertificateError, match=r"clients\.crt"):
                source.reload()
            assert [await reaches(address, client) for client in clients] == [False, True, False, False]

    run(main())


def test_our_certificate_serves_as_identity_towards_the_other_service(folder: Path, ca: KeyPair) -> None:
    async def main() -> None:
        source = CertificateSource.from_folder(folder, client_ca=folder / "ca.crt")
        async with serving(echo, tls=source) as (address, _):
            assert await reaches(address, source.client_context())
            generation = source.generation
            other = issue_ca(NOW, timedelta(days=1))
            (folder / "ca.crt").write_bytes(other.certificate_pem)
            source.reload()
            assert source.generation == generation + 1
            assert not await reaches(address, source.client_context())
        (folder / "ca.crt").unlink()
        with pytest.raises(CertificateError, match=r"ca\.crt"):
            source.client_context()

    run(main())
