"""A real Kubernetes control plane without containers: etcd, kube-apiserver and kube-controller-manager.

There is no kubelet: pods stay Pending. ``python -m devcluster.controlplane`` starts one and runs until
Ctrl-C.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from devcluster import configuration, flags, kubectl
from devcluster.binaries import Binaries, ensure
from devcluster.errors import ControlPlaneError, DevclusterError
from devcluster.folder import ADMIN_KUBECONFIG, Folder
from devcluster.ports import LOOPBACK, free_port
from devcluster.supervisor import ProcessSupervisor

ETCD = "etcd"
APISERVER = "kube-apiserver"
CONTROLLER_MANAGER = "kube-controller-manager"

_PORT_TRIES = 5
_POLL = 0.05
_TAIL_LINES = 25
_PORT_IN_USE = re.compile(r"address already in use")


class ControlPlane:
    """One control plane in a folder of its own, on one free loopback port. Use it as a context manager.

    RBAC, TLS with an own CA, privileged pods allowed, the controllers of ``configuration.CONTROLLERS`` and an
    audit log. However this process ends, the programs end and the folder is removed (``keep`` keeps it).

    :param binaries: which programs to run; found or compiled by ``binaries.ensure`` if not given.
    :param audit_policy: an audit policy object in place of ``configuration.AUDIT_POLICY``.
    :param audit_webhook_url: where audit events are delivered as EventLists, within a second.
    :param audit_webhook_ca: PEM that the audit webhook's certificate is verified with.
    :param audit_webhook_token: bearer token sent to the audit webhook.
    :param webhook_client_certificate: have kube-apiserver show admission webhooks a client certificate of an
        own CA, whose certificate is then in ``webhook_client_ca_file``.
    :param apiserver_args: more flags of kube-apiserver; they come last and so win.
    :param controllers: False leaves kube-controller-manager out (no ServiceAccounts, no garbage collector).
    :param timeout: seconds until the control plane must be ready.
    """

    def __init__(
        self,
        *,
        binaries: Binaries | None = None,
        audit_policy: Mapping[str, Any] | None = None,
        audit_webhook_url: str | None = None,
        audit_webhook_ca: bytes | None = None,
        audit_webhook_token: str | None = None,
        webhook_client_certificate: bool = False,
        apiserver_args: Sequence[str] = (),
        controllers: bool = True,
        keep: bool = False,
        timeout: float = 90.0,
    ) -> None:
        self._binaries = binaries
        self._audit_policy = audit_policy if audit_policy is not None else configuration.AUDIT_POLICY
        self._audit_webhook = (audit_webhook_url, audit_webhook_ca, audit_webhook_token)
        self._webhook_client_certificate = webhook_client_certificate
        self._apiserver_args = tuple(apiserver_args)
        self._controllers = controllers
        self._keep = keep
        self._timeout = timeout
        self._supervisor: ProcessSupervisor | None = None
        self._folder: Folder | None = None
        self._pids: dict[str, int] = {}
        self._port = 0

    # -- what callers use once it runs ---------------------------------------------------------------------

    @property
    def folder(self) -> Path:
        """Where everything is; private to this user."""
        return self._files().path

    @property
    def url(self) -> str:
        """``https://127.0.0.1:PORT``"""
        return f"https://{LOOPBACK}:{self._port}"

    @property
    def kubeconfig(self) -> Path:
        """A kubeconfig of a cluster administrator (group system:masters)."""
        return self.folder / ADMIN_KUBECONFIG

    @property
    def ca_file(self) -> Path:
        """PEM of the CA that signed kube-apiserver's certificate."""
        return self.folder / "ca.crt"

    @property
    def audit_log(self) -> Path:
        """Audit events, one JSON object a line."""
        return self.folder / "audit.log"

    @property
    def webhook_client_ca_file(self) -> Path:
        """PEM of the CA of the client certificate that kube-apiserver shows to admission webhooks."""
        if not self._webhook_client_certificate:
            raise ControlPlaneError("start the control plane with webhook_client_certificate=True")
        return self.folder / "webhook-client-ca.crt"

    @property
    def binaries(self) -> Binaries:
        """The programs in use."""
        if self._binaries is None:
            self._binaries = ensure()
        return self._binaries

    def log(self, name: str) -> Path:
        """The output of ``etcd``, ``kube-apiserver`` or ``kube-controller-manager``."""
        return self.folder / f"{name}.log"

    def user_kubeconfig(self, name: str, groups: Sequence[str] = ()) -> Path:
        """A kubeconfig with a client certificate for any user, in any groups; for tests of RBAC."""
        return self._files().of_user(self.url, name, groups)

    def serviceaccount_kubeconfig(self, namespace: str, name: str, *, seconds: int = 3600) -> Path:
        """A kubeconfig with a fresh token of an existing ServiceAccount; for running a component outside."""
        token = self.kubectl("create", "token", name, f"--namespace={namespace}", f"--duration={seconds}s")
        return self._files().of_serviceaccount(self.url, namespace, name, token.stdout.strip())

    def kubectl(
        self,
        *arguments: str,
        input: str | None = None,
        check: bool = True,
        kubeconfig: Path | None = None,
        timeout: float = 60.0,
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl as the administrator, or with another kubeconfig.

        Raises KubectlError with what it printed when it fails (unless ``check`` is False) or hangs.
        """
        environment = self._environment() | {
            "KUBECONFIG": str(kubeconfig or self.kubeconfig),
            "KUBECACHEDIR": str(self.folder / "kubectl-cache"),
        }
        return kubectl.run(self.binaries.kubectl, arguments, environment, input=input, check=check, timeout=timeout)

    # -- life ----------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start everything and return when it is ready: the API, namespace default and its ServiceAccount.

        Raises ControlPlaneError with the tail of the log of the program that failed; nothing is left then.
        """
        if self._supervisor is not None:
            raise ControlPlaneError("the control plane runs already")
        binaries = self.binaries
        self._folder = Folder()
        try:
            self._supervisor = ProcessSupervisor(self.folder, keep=self._keep)
        except OSError:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise
        try:
            deadline = time.monotonic() + self._timeout
            self._pids = {}
            self._folder.lay_out(
                self._audit_policy,
                self._audit_webhook,
                webhook_client_certificate=self._webhook_client_certificate,
            )
            self._context = ssl.create_default_context(cafile=str(self.ca_file))
            self._context.load_cert_chain(self.folder / "admin.crt", self.folder / "admin.key")
            self._run(ETCD, [str(binaries.etcd), *flags.etcd(self.folder)])
            self._await(self._etcd_listens, "etcd to listen", deadline)
            self._start_on_free_port(deadline)
            if self._controllers:
                self._run(
                    CONTROLLER_MANAGER,
                    [str(binaries.kube_controller_manager), *flags.controller_manager(self.folder)],
                )
                account = "/api/v1/namespaces/default/serviceaccounts/default"
                self._await(lambda: self._answers(account), "the default ServiceAccount", deadline)
            else:
                self._await(lambda: self._answers("/api/v1/namespaces/default"), "namespace default", deadline)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End all programs and remove the folder (unless kept). May be called at any time, also twice."""
        supervisor, self._supervisor = self._supervisor, None
        if supervisor is not None:
            # What they have stored goes away with the folder: nothing is gained by waiting for them.
            supervisor.end(grace=0.0)

    def stop_apiserver(self, *, grace: float = 2.0) -> None:
        """Take the API away: SIGTERM, then SIGKILL after ``grace`` seconds (at once if zero).

        Left alone, kube-apiserver waits up to a minute for its watchers to go.
        """
        self._running().stop(APISERVER, grace)

    def start_apiserver(self) -> None:
        """Bring the API back on the same port, and wait until it is ready."""
        deadline = time.monotonic() + self._timeout
        while True:
            if self._run_apiserver(deadline):
                return
            if time.monotonic() > deadline:
                raise ControlPlaneError(f"port {self._port} was taken by another process meanwhile")
            time.sleep(_POLL)

    def pids(self) -> dict[str, int]:
        """Process ids by program name, ``supervisor`` among them."""
        return {"supervisor": self._running().pid, **self._pids}

    # -- how it is started ---------------------------------------------------------------------------------

    def _files(self) -> Folder:
        if self._folder is None:
            raise ControlPlaneError("the control plane is not running: call start() first")
        return self._folder

    def _running(self) -> ProcessSupervisor:
        if self._supervisor is None:
            raise ControlPlaneError("the control plane is not running: call start() first")
        return self._supervisor

    def _start_on_free_port(self, deadline: float) -> None:
        for _ in range(_PORT_TRIES):
            self._port = free_port()
            if self._run_apiserver(deadline):
                break
        else:
            raise ControlPlaneError(f"no free port: {_PORT_TRIES} were taken by others while starting")
        self._files().point_to(self.url)

    def _run_apiserver(self, deadline: float) -> bool:
        """Start kube-apiserver on the current port and wait for it; False if the port was taken."""
        log = self.log(APISERVER)
        seen = log.stat().st_size if log.exists() else 0
        self._run(APISERVER, [str(self.binaries.kube_apiserver), *self._apiserver_flags()])
        try:
            self._await(lambda: self._answers("/readyz"), "kube-apiserver to be ready", deadline)
        except ControlPlaneError:
            if self._running().exits().get(APISERVER) is None:
                raise
            with log.open("rb") as file:
                file.seek(seen)
                if not _PORT_IN_USE.search(file.read().decode("utf-8", "replace")):
                    raise
            self._running().stop(APISERVER, 0.0)
            return False
        return True

    def _run(self, name: str, command: Sequence[str]) -> None:
        self._pids[name] = self._running().start(name, command, self.log(name), self._environment())

    def _environment(self) -> dict[str, str]:
        """Nothing of the caller's: a proxy or a KUBECONFIG of theirs must not reach these programs."""
        return {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(self.folder)}

    def _apiserver_flags(self) -> list[str]:
        own = flags.apiserver(
            self.folder,
            self._port,
            controllers=self._controllers,
            audit_webhook=self._audit_webhook[0] is not None,
            webhook_client_certificate=self._webhook_client_certificate,
        )
        return [*own, *self._apiserver_args]

    def _etcd_listens(self) -> bool:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            try:
                client.connect(str(self.folder / flags.ETCD_SOCKET))
            except OSError:
                return False
        return True

    def _answers(self, path: str) -> bool:
        """Whether a GET as administrator is answered with 200."""
        connection = http.client.HTTPSConnection(LOOPBACK, self._port, timeout=2, context=self._context)
        with contextlib.closing(connection):
            try:
                connection.request("GET", path)
                return connection.getresponse().status == http.client.OK
            except (OSError, http.client.HTTPException):
                return False

    def _await(self, condition: Callable[[], bool], what: str, deadline: float) -> None:
        """Wait for ``condition``; raises as soon as a program has exited, or when time is up."""
        while not condition():
            for name, code in self._running().exits().items():
                if code is not None:
                    raise ControlPlaneError(
                        f"{name} exited with code {code} while waiting for {what}. {self._tail(name)}"
                    )
            if time.monotonic() > deadline:
                name = list(self._pids)[-1]
                raise ControlPlaneError(f"gave up waiting for {what} after {self._timeout:.0f} s. {self._tail(name)}")
            time.sleep(_POLL)

    def _tail(self, name: str) -> str:
        """The end of a program's log, and where the whole of it is if it is kept."""
        with self.log(name).open(encoding="utf-8", errors="replace") as lines:
            tail = "".join(deque(lines, maxlen=_TAIL_LINES)).rstrip() or "(nothing)"
        where = f"its log {self.log(name)}" if self._keep else "its log (keep=True keeps it)"
        return f"The end of {where}:\n{tail}"


def main() -> int:
    """Start one, print where its kubeconfig is, and run until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m devcluster.controlplane", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="keep the folder with logs and data")
    options = parser.parse_args()
    asked_to_end = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _signal, _frame: asked_to_end.set())
    try:
        since = time.monotonic()
        with ControlPlane(keep=options.keep) as cluster:
            print(f"ready in {time.monotonic() - since:.1f} s; Ctrl-C ends it", file=sys.stderr)
            print(cluster.kubeconfig, flush=True)
            asked_to_end.wait()
    except DevclusterError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
