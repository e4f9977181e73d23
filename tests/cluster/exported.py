"""An export of ValidatingAdmissionPolicies on a real API server: installed, waited for, asked."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeVar

import orjson
import urllib3

from devcluster.controlplane import ControlPlane
from iocaudit.cluster.client import Client
from iocaudit.core.kinds import KINDS, Kind
from iocaudit.core.shape import mapping, text
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.engine.policy_reader import read_policies
from iocaudit.engine.policy_set import PolicySet
from iocaudit.engine.waivers import Waivers
from iocaudit.install.vap.export import VapExport, export

Json = dict[str, Any]
_Answer = TypeVar("_Answer")
CATALOGUE = builtin_catalogue()
MARKER = "vap-marker"
"""A namespace in which a policy of the test denies everything named so: where it does, the others hold, too."""
_CHECK = re.compile(r"\(([a-z0-9-]+)\)$")
_DENIED = re.compile(r"ValidatingAdmissionPolicy '([^']+)' with binding")
_WARNING = re.compile(r'^299 \S+ "(.*)"$', re.DOTALL)


def policies_of(*specs: Json, profile: str = "default") -> PolicySet:
    """AuditPolicies of these specs, named by their positions."""
    raws = [
        {"apiVersion": "iocaudit.io/v1alpha1", "kind": "AuditPolicy", "metadata": {"name": f"p{at}"}, "spec": spec}
        for at, spec in enumerate(specs)
    ]
    return read_policies(raws, CATALOGUE, profile=profile)


def exported(policies: PolicySet, waivers: Waivers | None = None) -> VapExport:
    return export(policies, waivers or Waivers(), datetime.now(UTC), "iocaudit")


class Said(NamedTuple):
    """An answer of the API server: ``checks`` are those that denied or warned, ``body`` the object if it was made."""

    status: int
    message: str
    checks: frozenset[str]
    body: Json
    seconds: float


class Asker:
    """Asks by many connections at once."""

    def __init__(self, cluster: ControlPlane, connections: int = 6) -> None:
        found = Client.connect(cluster.kubeconfig).configuration
        self._host = str(found.host).rstrip("/")
        self._connections = connections
        self._pool = urllib3.PoolManager(
            maxsize=connections,
            block=True,
            ca_certs=found.ssl_ca_cert,
            cert_file=found.cert_file,
            key_file=found.key_file,
        )

    def ask(
        self, method: str, path: str, body: object = None, *, user: str = "", dry: bool = True, kind: str = "json"
    ) -> Said:
        headers = {"Content-Type": f"application/{kind}"} if body is not None else {}
        if user:
            headers |= {"Impersonate-User": user, "Impersonate-Group": "system:masters"}
        since = time.monotonic()
        response = self._pool.request(
            method,
            f"{self._host}{path}{'?dryRun=All' if dry else ''}",
            body=None if body is None else body if isinstance(body, bytes) else orjson.dumps(body),
            headers=headers,
            timeout=120.0,
            retries=False,
        )
        spent = time.monotonic() - since
        try:
            found = orjson.loads(response.data)
        except orjson.JSONDecodeError:
            found = {"message": response.data.decode("utf-8", "replace")}
        lines = (line.encode("latin-1").decode("utf-8") for line in response.headers.getlist("Warning"))
        said = [re.sub(r"\\(.)", r"\1", match[1]) for line in lines if (match := _WARNING.match(line))]
        message = text(mapping(found).get("message")) if response.status >= 400 else ""
        checks = {
            match[1]
            for line in (*said, message)
            if "ValidatingAdmissionPolicy" in line and (match := _CHECK.search(line))
        }
        return Said(response.status, message or "\n".join(said), frozenset(checks), found, spent)

    def create(self, raw: Json, *, user: str = "", dry: bool = True) -> Said:
        return self.ask("POST", path_of(raw), raw, user=user, dry=dry)

    def replace(self, raw: Json, *, user: str = "", dry: bool = True) -> Said:
        return self.ask("PUT", f"{path_of(raw)}/{raw['metadata']['name']}", raw, user=user, dry=dry)

    def all(self, asking: Iterable[Callable[[], _Answer]]) -> list[_Answer]:
        with ThreadPoolExecutor(self._connections) as threads:
            return list(threads.map(lambda one: one(), asking))


def path_of(raw: Json) -> str:
    """Where objects of that kind are in their namespace."""
    kind = kind_of(raw)
    assert kind is not None, raw["kind"]
    root = f"/apis/{kind.group}/{kind.version}" if kind.group else f"/api/{kind.version}"
    return f"{root}/namespaces/{raw['metadata']['namespace']}/{kind.plural}"


def kind_of(raw: Json) -> Kind | None:
    group = raw["apiVersion"].rpartition("/")[0]
    return KINDS.get((group, raw["kind"]))


def install(cluster: ControlPlane, objects: Sequence[Json], *, warn: bool = False) -> None:
    """Apply an export, with ``warn`` so that it tells of everything and denies nothing; waits until it holds."""
    asker = Asker(cluster, 1)
    for raw in objects:
        body = json.loads(json.dumps(raw))
        if warn and body["kind"].endswith("Binding"):
            body["spec"]["validationActions"] = ["Warn"]
        for validation in body["spec"].get("validations", ()) if warn else ():
            # An API server cuts warnings that are long together.
            validation["message"] = validation["message"].rpartition(" ")[2]
            del validation["messageExpression"]
        _put(asker, body)
    for raw in _marker(str(time.time_ns())):
        _put(asker, raw)
    cluster.kubectl("create", "namespace", MARKER, check=False)
    wanted = _marker("")[0]["metadata"]["name"]
    probe = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "probe", "namespace": MARKER}}
    deadline = time.monotonic() + 60
    while wanted not in (said := asker.ask("POST", f"/api/v1/namespaces/{MARKER}/configmaps", probe)).message:
        assert time.monotonic() < deadline, said
        time.sleep(0.2)
    # What was applied before the marker may be compiled after it.
    time.sleep(2.0)


def _put(asker: Asker, raw: Json) -> None:
    plural = (
        "validatingadmissionpolicies"
        if raw["kind"] == "ValidatingAdmissionPolicy"
        else ("validatingadmissionpolicybindings")
    )
    path = f"/apis/admissionregistration.k8s.io/v1/{plural}"
    said = asker.ask("POST", path, raw, dry=False)
    if said.status == 409:
        there = asker.ask("GET", f"{path}/{raw['metadata']['name']}", dry=False).body
        raw["metadata"]["resourceVersion"] = there["metadata"]["resourceVersion"]
        said = asker.ask("PUT", f"{path}/{raw['metadata']['name']}", raw, dry=False)
    assert said.status < 300, (raw["metadata"]["name"], said.message[:2000])


def _marker(mark: str) -> list[Json]:
    name = "vap-test-marker"
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}
    selector = {"matchLabels": {"kubernetes.io/metadata.name": MARKER}}
    return [
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicy",
            "metadata": {"name": name, "annotations": {"mark": mark}},
            "spec": {
                "matchConstraints": {"resourceRules": [rule]},
                "validations": [{"expression": "false", "message": "the marker"}],
            },
        },
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": name},
            "spec": {
                "policyName": name,
                "validationActions": ["Deny"],
                "matchResources": {"namespaceSelector": selector},
            },
        },
    ]


def denying_policy(said: Said) -> str:
    """The name of the policy that denied a request; empty where none did."""
    match = _DENIED.search(said.message)
    return match[1] if match else ""
