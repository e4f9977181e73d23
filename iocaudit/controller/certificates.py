"""Our certificates in the cluster: the authority's Secret, which only the operator reads, and those it signs."""

from __future__ import annotations

import base64
import logging
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from iocaudit.cluster.api import Api
from iocaudit.cluster.errors import NotFoundError
from iocaudit.cluster.writer import put
from iocaudit.core.kinds import SECRET
from iocaudit.core.own_names import AUTHORITY_SECRET, LABELS, RECEIVERS, SERVING_SECRET
from iocaudit.core.shape import Json, mapping
from iocaudit.serving.authority import Names, issue_leaf
from iocaudit.serving.errors import CertificateError
from iocaudit.serving.rotation import (
    CertificateState,
    Lifetimes,
    first_state,
    from_data,
    kept_leaf,
    rotate,
    to_data,
    to_serving_data,
)

_log = logging.getLogger(__name__)


class Certificates:
    """Keeps the Secrets, and the files for processes outside the cluster, as the rotation says."""

    def __init__(
        self,
        client: Api,
        namespace: str,
        names: Names,
        *,
        folder: Path | None = None,
        lifetimes: Lifetimes | None = None,
        receivers: Names | None = None,
    ) -> None:
        """``receivers`` are the names of those who receive signals: they get a certificate of their own."""
        self._client, self._namespace, self._names = client, namespace, names
        self._receivers = receivers
        self._folder, self._lifetimes = folder, lifetimes or Lifetimes()

    def step(self, published: bytes, now: datetime | None = None) -> CertificateState:
        """At most one step of the rotation, stored before it is returned.

        ``published`` is the bundle as it was read back from the webhook configuration; empty where there is
        none yet.
        """
        moment = now or datetime.now(UTC)
        known = self._read(AUTHORITY_SECRET)
        if known is None:
            state = first_state(self._names, moment, self._lifetimes)
        else:
            try:
                before = from_data(known)
            except CertificateError as error:
                raise CertificateError(
                    f"Secret {self._namespace}/{AUTHORITY_SECRET}: {error}; delete it to have a new one made"
                ) from error
            state = rotate(before, moment, names=self._names, published=published, lifetimes=self._lifetimes)
        data = to_data(state)
        if data != known:
            self._write(AUTHORITY_SECRET, "Opaque", data, create=known is None)
        serving = to_serving_data(state)
        stored = self._read(SERVING_SECRET)
        if serving != stored:
            self._write(SERVING_SECRET, "kubernetes.io/tls", serving, create=stored is None)
        if self._folder is not None:
            write_files(self._folder, serving)
        if self._receivers is not None:
            self._step_receivers(self._receivers, state, moment)
        return state

    def _step_receivers(self, names: Names, state: CertificateState, now: datetime) -> None:
        """The receivers' Secret, with a leaf of the authority that signs now."""
        stored = self._read(RECEIVERS)
        leaf = kept_leaf(stored, state.ca, names, now, self._lifetimes)
        if leaf is None:
            leaf = issue_leaf(state.ca, names, now, self._lifetimes.leaf, common_name=RECEIVERS)
        data = {"tls.crt": leaf.certificate_pem, "tls.key": leaf.key_pem, "ca.crt": state.ca_bundle}
        if data != stored:
            self._write(RECEIVERS, "kubernetes.io/tls", data, create=stored is None)

    def _read(self, name: str) -> dict[str, bytes] | None:
        try:
            raw = self._client.get(SECRET, self._namespace, name)
        except NotFoundError:
            return None
        return {key: base64.b64decode(value) for key, value in mapping(raw.get("data")).items()}

    def _write(self, name: str, kind: str, data: Mapping[str, bytes], *, create: bool) -> None:
        body: Json = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": name,
                "namespace": self._namespace,
                "labels": LABELS,
            },
            "type": kind,
            "data": {key: base64.b64encode(value).decode("ascii") for key, value in data.items()},
        }
        put(self._client, SECRET, body)
        _log.info("certificates written", extra={"secret": name, "new": create})


def write_files(folder: Path, data: Mapping[str, bytes]) -> None:
    """Write the files that changed, each whole at once; readable by this user alone."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name, content in data.items():
        path = folder / name
        if path.exists() and path.read_bytes() == content:
            continue
        fresh = folder / f".{name}.new"
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        fresh.replace(path)
