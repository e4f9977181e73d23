"""The folder of one control plane: the keys, certificates and configuration files in it."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from devcluster import configuration, flags
from devcluster.certificates import Authority, Pair, signing_key
from devcluster.errors import ControlPlaneError
from devcluster.ports import LOOPBACK

ADMIN_KUBECONFIG = "admin.kubeconfig"

_SOCKET_PATH_LIMIT = 100
_FILE_NAME = re.compile(r"[^A-Za-z0-9.-]+")


class Folder:
    """A new folder of mode 0700, so nobody else may enter it. Files come with ``lay_out``."""

    def __init__(self) -> None:
        self.path = _private_folder()
        self._user_files: dict[tuple[str, tuple[str, ...]], Path] = {}

    def lay_out(
        self,
        audit_policy: Mapping[str, Any],
        audit_webhook: tuple[str | None, bytes | None, str | None],
        *,
        webhook_client_certificate: bool,
    ) -> None:
        """Write what does not depend on the port. ``audit_webhook`` is URL, CA and token."""
        self._authority = Authority("iocaudit devcluster")
        self._ca = self._authority.certificate
        self._write("ca.crt", self._ca)
        service = ("kubernetes", "kubernetes.default", "kubernetes.default.svc")
        hosts = (LOOPBACK, "localhost", flags.SERVICE_ADDRESS, *service)
        self._write_pair("apiserver", self._authority.serving("kube-apiserver", hosts))
        self._write_pair("admin", self._authority.client("devcluster-admin", ["system:masters"]))
        private, public = signing_key()
        self._write("serviceaccount.key", private)
        self._write("serviceaccount.pub", public)
        self._write("audit-policy.json", configuration.text(audit_policy))
        url, ca, token = audit_webhook
        if url is not None:
            self._write("audit-webhook.kubeconfig", configuration.kubeconfig(url, ca=ca, token=token))
        if webhook_client_certificate:
            authority = Authority("iocaudit devcluster webhook clients")
            self._write("webhook-client-ca.crt", authority.certificate)
            client = authority.client("kube-apiserver")
            credentials = self._write("webhook-client.kubeconfig", configuration.webhook_credentials(client))
            self._write("admission.json", configuration.admission_configuration(str(credentials)))

    def point_to(self, url: str) -> None:
        """Write the kubeconfigs of the administrator and of kube-controller-manager."""
        admin = Pair((self.path / "admin.crt").read_bytes(), (self.path / "admin.key").read_bytes())
        self._write(ADMIN_KUBECONFIG, configuration.kubeconfig(url, ca=self._ca, client=admin, user="devcluster-admin"))
        manager = self._authority.client("system:kube-controller-manager")
        self._write(
            "controller-manager.kubeconfig",
            configuration.kubeconfig(url, ca=self._ca, client=manager, user="controller-manager"),
        )

    def of_user(self, url: str, name: str, groups: Sequence[str]) -> Path:
        """A kubeconfig with a client certificate for any user, in any groups."""
        key = (name, tuple(groups))
        if key not in self._user_files:
            safe = _FILE_NAME.sub("-", name)
            client = self._authority.client(name, groups)
            content = configuration.kubeconfig(url, ca=self._ca, client=client, user=name)
            self._user_files[key] = self._write(f"user-{len(self._user_files)}-{safe}.kubeconfig", content)
        return self._user_files[key]

    def of_serviceaccount(self, url: str, namespace: str, name: str, token: str) -> Path:
        """A kubeconfig with a ServiceAccount's token."""
        content = configuration.kubeconfig(url, ca=self._ca, token=token, user=name)
        return self._write(f"serviceaccount-{namespace}-{name}.kubeconfig", content)

    def _write(self, name: str, content: str | bytes) -> Path:
        path = self.path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def _write_pair(self, name: str, pair: Pair) -> None:
        self._write(f"{name}.crt", pair.certificate)
        self._write(f"{name}.key", pair.key)


def _private_folder() -> Path:
    """Its path has to be short enough for a Unix socket in it."""
    folder = Path(tempfile.mkdtemp(prefix="iocaudit-")).resolve()
    if len(str(folder / flags.ETCD_SOCKET)) > _SOCKET_PATH_LIMIT:
        folder.rmdir()
        raise ControlPlaneError(
            f"the folder for temporary files, {folder.parent}, has too long a path for a Unix socket: "
            f"set TMPDIR to a shorter one, such as /tmp"
        )
    return folder
