"""Add-ons that clusters commonly run, applied to a real control plane behind the webhook."""

from __future__ import annotations

import json
import time
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from devcluster.controlplane import ControlPlane
from devcluster.local_webhook import LocalWebhook
from iocaudit.cluster.client import Client
from iocaudit.core.kinds import kind_of
from iocaudit.core.own_names import NAMESPACE
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.engine.policy_reader import read_policies
from tests.acceptance.labelled import HERE, folder
from tests.cluster.asking import Answer, User
from tests.cluster.conftest import wait_for
from tests.cluster.processes import CRDS
from tests.support.policies import preset_policy

Json = dict[str, Any]
CATALOGUE = builtin_catalogue()
DATA: Json = tomllib.loads((HERE / "addons.toml").read_text())
_BEFORE: dict[str, dict[str, str]] = tomllib.loads((HERE / "addons-before.toml").read_text())
LOOKED_UP = frozenset(CATALOGUE.admission_world_kinds)
ONLY_TRIED = ("ValidatingWebhookConfiguration", "MutatingWebhookConfiguration", "APIService")
"""Stored, they would call programs that do not run here; none of them is put before a webhook."""
_SEEN_AFTER = 0.1
"""Seconds in which the webhook hears of what was stored: a person who applies the files takes as long."""


class Addon(NamedTuple):
    """What a project ships, in its order."""

    name: str
    objects: list[Json]


class Applied(NamedTuple):
    """One object and what the API server answered."""

    addon: str
    title: str
    namespace: str | None
    answer: Answer


def hits_before() -> Counter[tuple[str, str]]:
    """How often each check hit each object (``addon: Kind namespace/name``) before causes were told apart."""
    found: Counter[tuple[str, str]] = Counter()
    for addon, objects in _BEFORE.items():
        for title, checks in objects.items():
            for entry in checks.split(", "):
                check, _, times = entry.partition(" ")
                found[check, f"{addon}: {title}"] = int(times or 1)
    return found


def files() -> list[Path]:
    return sorted(folder("IOCAUDIT_ADDONS", "../shared/addons").glob("*.yaml"))


def addons() -> list[Addon]:
    """Every add-on, with each object in a namespace where its kind is in one."""
    root = folder("IOCAUDIT_ADDONS", "../shared/addons")
    found = []
    for entry in json.loads((root / "index.json").read_text("utf-8")):
        with (root / f"{entry['name']}.yaml").open("rb") as stream:
            documents = [one for raw in yaml.load_all(stream, yaml.CSafeLoader) for one in _objects(raw)]
        found.append(Addon(entry["name"], [_placed(one, entry["namespace"] or "default") for one in documents]))
    return found


def _objects(raw: Json | None) -> list[Json]:
    """An object, or those of a List, as kubectl takes it apart."""
    if not raw:
        return []
    return [one for item in raw["items"] for one in _objects(item)] if raw["kind"].endswith("List") else [raw]


def _placed(raw: Json, namespace: str) -> Json:
    kind = kind_of(raw["apiVersion"].rpartition("/")[0], raw["kind"])
    if kind is not None and kind.namespaced:
        raw["metadata"].setdefault("namespace", namespace)
    return raw


class Paths:
    """Where the API server has a kind; None for one that it does not serve."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._known: dict[str, dict[str, Json]] = {}

    def of(self, raw: Json) -> str | None:
        version, kind = raw["apiVersion"], raw["kind"]
        root = f"/apis/{version}" if "/" in version else f"/api/{version}"
        if version not in self._known:
            try:
                listed = self._client.request("GET", root)["resources"]
            except Exception:  # noqa: BLE001  a group that is not served
                listed = []
            self._known[version] = {one["kind"]: one for one in listed if "/" not in one["name"]}
        found = self._known[version].get(kind)
        if found is None:
            return None
        if found["namespaced"]:
            root += f"/namespaces/{raw['metadata'].setdefault('namespace', 'default')}"
        return f"{root}/{found['name']}/{raw['metadata']['name']}"


def applied(preset: str, scratch: Path) -> list[Applied]:
    """What becomes of every add-on on a fresh control plane under a preset."""
    with ControlPlane(controllers=False, apiserver_args=["--disable-admission-plugins=ServiceAccount"]) as cluster:
        cluster.kubectl("apply", "--server-side", "-f", str(CRDS))
        cluster.kubectl("wait", "--for=condition=Established", "-f", str(CRDS), "--timeout=60s")
        cluster.kubectl("create", "namespace", NAMESPACE)
        policy = preset_policy(preset)
        cluster.kubectl("apply", "-f", "-", input=json.dumps(policy))
        webhook = LocalWebhook(cluster, scratch)
        try:
            webhook.start()
            webhook.register(read_policies([policy], CATALOGUE))
            user = User.of(cluster.user_kubeconfig("platform", ["system:masters"]))
            _until_called(user, webhook)
            return list(_apply(user, Paths(Client.connect(cluster.kubeconfig))))
        finally:
            webhook.close()


def _until_called(user: User, webhook: LocalWebhook) -> None:
    probe = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "probe"}}
    probe["spec"] = {"containers": [{"name": "a", "image": "hooli.com/a:1"}]}

    def called() -> bool:
        user.ask("POST", "/api/v1/namespaces/default/pods", probe, query={"dryRun": "All"})
        return "iocaudit_admission_verdicts_total{" in webhook.metrics()

    wait_for(called, "the webhook to be called")


def _apply(user: User, paths: Paths) -> Iterator[Applied]:
    def put(raw: Json) -> Answer:
        path = paths.of(raw)
        if path is None:
            return Answer(404, f"{raw['kind']} of {raw['apiVersion']} is not served", ())
        query = {"fieldManager": "kubectl", "force": "true"}
        if raw["kind"] in ONLY_TRIED:
            query["dryRun"] = "All"
        return user.ask("PATCH", path, raw, query=query, content_type="application/apply-patch+yaml")

    for addon in addons():
        for namespace in sorted({one["metadata"].get("namespace", "default") for one in addon.objects}):
            if namespace != "default":
                put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        for raw in addon.objects:
            answer = put(raw)
            metadata = raw["metadata"]
            name = f"{metadata['namespace']}/{metadata['name']}" if "namespace" in metadata else metadata["name"]
            yield Applied(addon.name, f"{raw['kind']} {name}", metadata.get("namespace"), answer)
            if kind_of(raw["apiVersion"].rpartition("/")[0], raw["kind"]) in LOOKED_UP:
                time.sleep(_SEEN_AFTER)
