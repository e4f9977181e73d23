"""``policy try`` says of a live cluster what its API server then answers, object by object.

Every documented example of every check stands in one cluster. What is made anew there is put before the webhook ahead
of the storage, which answers that it exists already.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from devcluster.controlplane import ControlPlane
from devcluster.local_webhook import LocalWebhook
from iocaudit.cli.live_trial import try_cluster
from iocaudit.cluster.api import path_of
from iocaudit.cluster.client import Client
from iocaudit.cluster.discovery import discover
from iocaudit.core.kinds.ours import AUDIT_POLICY
from iocaudit.core.request import Operation
from iocaudit.core.resource import CLUSTER, Resource
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.engine.policy_reader import read_policies
from iocaudit.scanning.policy_files import read_policy_files
from tests.cluster.asking import Answer, User
from tests.cluster.conftest import wait_for
from tests.cluster.custom_kinds import install
from tests.cluster.objects import create, own_names
from tests.cluster.processes import CRDS, Json
from tests.cluster.test_parity import documents
from tests.support.running import run

CATALOGUE = builtin_catalogue()
PROBED = "p1-probe"
"""A namespace with nothing in it, in which each policy denies a privileged pod."""
BY_ID = {
    "checks": [{"ids": ["privileged-container", "secret-access", "cluster-admin-binding", "host-pid"], "mode": "deny"}]
}
POLICIES: dict[str, Json] = {
    "everything": {"checks": [{"profiles": ["default", "strict"], "mode": "deny"}]},
    "some": BY_ID,
    "by glob": {**BY_ID, "match": {"namespaces": ["p1*"], "clusterScoped": False}},
    "incomplete": {**BY_ID, "onIncomplete": "deny", "match": {"clusterScoped": True}},
}


@dataclass
class Stored:
    """A cluster with the examples in it, and every object that the webhook is asked about."""

    cluster: ControlPlane
    client: Client
    objects: list[Resource]


@pytest.fixture(scope="module")
def stored() -> Iterator[Stored]:
    with ControlPlane(controllers=False, apiserver_args=["--disable-admission-plugins=ServiceAccount"]) as cluster:
        cluster.kubectl("apply", "--server-side", "-f", str(CRDS))
        cluster.kubectl("wait", "--for=condition=Established", "-f", str(CRDS), "--timeout=60s")
        cluster.kubectl("create", "namespace", "iocaudit")
        client = Client.connect(cluster.kubeconfig)
        _store(client)
        rules = CATALOGUE.admission_rules
        kinds = [kind for kind, wanted in rules.items() if Operation.CREATE in wanted and kind is not AUDIT_POLICY]
        found = [
            Resource(raw, CLUSTER, kind=kind) for kind in discover(client).present(kinds) for raw in client.each(kind)
        ]
        yield Stored(cluster, client, found)


def _store(client: Client) -> None:
    batches = [own_names(f"p{number}", docs) for number, (_, docs) in enumerate(documents())]
    flat = [document for docs, _ in batches for document in docs]
    install(client, CATALOGUE.kinds, {(*one["apiVersion"].rpartition("/")[::2], one["kind"]) for one in flat})
    made = {one["metadata"]["name"] for one in flat if one["kind"] == "Namespace"} | {"default", "kube-system"}
    for name in sorted({one["metadata"]["namespace"] for one in flat if "namespace" in one["metadata"]} - made):
        create(client, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    create(client, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": PROBED}})
    for one in sorted(flat, key=lambda one: one["kind"] != "Namespace"):
        create(client, one)


def policy(spec: Json) -> Json:
    return {"apiVersion": "iocaudit.io/v1alpha1", "kind": "AuditPolicy", "metadata": {"name": "tried"}, "spec": spec}


@pytest.mark.parametrize("name", POLICIES)
def test_what_it_says_is_denied_is_denied(stored: Stored, name: str, tmp_path: Path) -> None:
    body = policy(POLICIES[name])
    path = tmp_path / "policy.json"
    path.write_text(json.dumps(body))
    kubeconfig = stored.cluster.kubeconfig
    read = partial(read_policy_files, (str(path),))
    tried = try_cluster(read, CATALOGUE, "default", None, kubeconfig=kubeconfig)
    assert tried.not_read == []
    stored.cluster.kubectl("apply", "-f", str(path))
    webhook = LocalWebhook(stored.cluster, tmp_path / "webhook")
    try:
        webhook.start()
        webhook.register(read_policies([body], CATALOGUE))
        user = User.of(stored.cluster.user_kubeconfig("somebody", ["system:masters"]))
        _until_registered(user)
        with ThreadPoolExecutor(4) as threads:
            answers = list(threads.map(lambda one: _made_anew(user, one), stored.objects))
    finally:
        webhook.unregister()
        webhook.close()
        stored.cluster.kubectl("delete", "auditpolicy", "tried")
    odd = [answer for answer in answers if answer.denial is None and answer.status not in (201, 409)]
    assert odd == []
    denied = {_key(one) for one, answer in zip(stored.objects, answers, strict=True) if answer.denial is not None}
    assert {_key_of(one.ref) for one in tried.trial.denied} == denied
    assert denied
    assert tried.trial.unaffected == len(stored.objects) - len(denied)
    by_checks = {_key_of(one.ref): {found.check for found in one.verdict.denials} for one in tried.trial.denied}
    for one, answer in zip(stored.objects, answers, strict=True):
        named = set(re.findall(r"^(?:- )?\[\w+\] ([a-z0-9-]+): ", answer.denial or "", re.MULTILINE))
        assert named <= by_checks.get(_key(one), set()), "what it names is what was foretold; the rest is implied"
        assert bool(named) == bool(answer.denial)


def _until_registered(user: User) -> None:
    """Some object that is denied is denied: the configuration and the policy are in force."""
    probe = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "probe", "namespace": PROBED},
        "spec": {"containers": [{"name": "a", "image": "hooli.com/a:1", "securityContext": {"privileged": True}}]},
    }
    place = f"/api/v1/namespaces/{PROBED}/pods"
    wait_for(lambda: user.ask("POST", place, probe, query={"dryRun": "All"}).denial is not None, "the webhook")


def _made_anew(user: User, one: Resource) -> Answer:
    assert one.kind is not None
    metadata = {key: value for key, value in one.metadata.items() if key not in ("resourceVersion", "uid")}
    raw = _without_allocations(one.raw) if one.kind.name == "Service" and not one.group else one.raw
    body = {"apiVersion": one.kind.api_version, "kind": one.kind.name, **raw, "metadata": metadata}
    return user.ask("POST", path_of(one.kind, one.namespace), body, query={"dryRun": "All"})


def _without_allocations(service: Json) -> Json:
    """An address or a port that is taken is refused ahead of the webhook."""
    spec = {key: value for key, value in service["spec"].items() if not key.startswith(("clusterIP", "healthCheck"))}
    if "None" not in service["spec"].get("clusterIPs", ()):
        ports = [{key: value for key, value in port.items() if key != "nodePort"} for port in spec.get("ports", ())]
        return {**service, "spec": {**spec, "ports": ports}}
    return {**service, "spec": {**spec, "clusterIP": "None"}}


def _key(one: Resource) -> tuple[Any, ...]:
    return _key_of(one.ref)


def _key_of(ref: Any) -> tuple[Any, ...]:
    return (ref.group, ref.kind, ref.namespace, ref.name)


def test_the_command_ends_as_it_should(stored: Stored, tmp_path: Path) -> None:
    path = tmp_path / "policy.json"
    path.write_text(json.dumps(policy(POLICIES["some"])))
    code, said, errors = run("policy", "try", str(path), "--cluster", f"--kubeconfig={stored.cluster.kubeconfig}")
    assert (code, errors) == (1, "")
    assert "goes on as it is: " in said
    code, said, _ = run(
        "policy", "try", str(path), "--cluster", f"--kubeconfig={stored.cluster.kubeconfig}", "-n", PROBED
    )
    assert code == 0
    assert said.startswith("would be denied if made anew: 0 of ")
