"""What the API server accepts it accepts repaired: each repair of each check, on workloads of all sorts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import pytest
import yaml

from devcluster.controlplane import ControlPlane
from iocaudit.cluster.api import path_of
from iocaudit.cluster.client import Client
from iocaudit.cluster.errors import ApiError
from iocaudit.core.json_patch import apply
from iocaudit.core.kinds import kind_of
from iocaudit.core.resource import CLUSTER, Resource
from iocaudit.core.world import World
from iocaudit.engine.audit import Auditor
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.engine.kept import Interner, keep
from iocaudit.engine.policy_reader import read_policies
from iocaudit.scanning.reading import Scan
from iocaudit.scanning.repairing import repair
from iocaudit.scanning.scan import ScanOptions, scan_files
from tests.cluster.generated import workload

Json = dict[str, Any]
CATALOGUE = builtin_catalogue()
SEEDS = range(300)
TOGETHER = 40
STORED = 40


@pytest.fixture(scope="module")
def client(control_plane: ControlPlane) -> Iterator[Client]:
    found = Client.connect(control_plane.kubeconfig)
    yield found
    found.close()


def _path(raw: Json, name: str = "") -> str:
    group, _, _ = raw["apiVersion"].rpartition("/")
    kind = kind_of(group, raw["kind"])
    assert kind is not None
    return path_of(kind, raw["metadata"]["namespace"], name)


def _refusal(client: Client, raw: Json) -> str:
    """Why the API server refuses to create an object, by its own dry run; empty where it does not."""
    return _answer(client, "POST", _path(raw), raw)


def _answer(client: Client, method: str, path: str, body: object, content_type: str = "application/json") -> str:
    try:
        client.request(method, path, query={"dryRun": "All"}, body=body, content_type=content_type)
    except ApiError as error:
        if error.status in (400, 403, 422):
            return str(error)
        raise
    return ""


def _accepted(client: Client, namespace: str) -> list[Json]:
    made = (workload(seed, namespace, f"w{seed}") for seed in SEEDS)
    return [raw for raw in made if not _refusal(client, raw)]


def test_each_repair_of_what_is_accepted_is_accepted(client: Client, namespace: str) -> None:
    refused, tried, checks = [], 0, set()
    for raw in _accepted(client, namespace):
        options = ScanOptions(profile="strict", suggest="patch")
        text = json.dumps(raw).encode()
        for found in scan_files([], CATALOGUE, options, texts={"a.json": text}).report.found:
            if found.suggestion is None:
                continue
            tried += 1
            checks.add(found.check)
            if why := _refusal(client, apply(raw, found.suggestion.patch)):
                refused.append(f"{found.subject}: {found.check} at {found.hit.path}: {why}")
    assert not refused, "\n".join(refused[:20])
    assert tried > 1000
    assert {
        "apparmor-unconfined",
        "capabilities-not-dropped",
        "dangerous-capability",
        "host-network",
        "host-port",
        "host-process-container",
        "may-run-as-root",
        "privilege-escalation-allowed",
        "privileged-container",
        "seccomp-unconfined",
        "unmasked-proc",
        "writable-host-path",
    } <= checks


def _rescanned(rescan: Callable[..., Scan], texts: Mapping[str, bytes]) -> Scan:
    return rescan(texts=texts)


def test_all_repairs_together_are_accepted(client: Client, namespace: str) -> None:
    for raw in _accepted(client, namespace)[:TOGETHER]:
        rescan = partial(scan_files, ["-"], CATALOGUE, ScanOptions(profile="strict"))
        given = {"-": yaml.safe_dump(raw).encode()}
        outcome = repair(partial(_rescanned, rescan), unsafe=True, forbidden={}, given=given)
        for data in outcome.after.values():
            (after,) = yaml.safe_load_all(data)
            assert not _refusal(client, after), (raw, after)


def test_the_patch_of_a_stored_object_is_accepted(client: Client, namespace: str) -> None:
    """As a finding carries it: what cannot be patched carries none, and says that it has to be made again."""
    world, patched, again = World(), 0, set()
    auditor = Auditor(CATALOGUE, read_policies([], CATALOGUE, profile="strict"), world)
    for raw in _accepted(client, namespace)[:STORED]:
        client.request("POST", _path(raw), body=raw)
        stored = client.request("GET", _path(raw, raw["metadata"]["name"]))
        resource = Resource({**stored, "apiVersion": raw["apiVersion"], "kind": raw["kind"]}, CLUSTER)
        found = keep(resource, auditor.audit(resource), Interner())
        for check, patch in found.patches:
            patched += 1
            path = _path(raw, raw["metadata"]["name"])
            why = _answer(client, "PATCH", path, json.loads(patch.patch), "application/json-patch+json")
            assert not why, (check, raw, why)
        if any("delete it and create it again" in (hit.hit.fix or "") for hit in found.hits):
            again.add(raw["kind"])
    assert patched > 50
    assert again == {"Pod", "Job"}
