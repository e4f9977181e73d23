"""Requests made for good and written down by the audit log, each of which can be asked once more as a dry run.

Every object is made, changed and changed back, so that what is stored in the end is what each change began with.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import orjson

from iocaudit.cluster.api import path_of
from iocaudit.cluster.client import Client
from iocaudit.core.kinds import Kind
from iocaudit.core.kinds.ours import AUDIT_POLICY
from iocaudit.engine.catalogue import builtin_catalogue
from tests.cluster.asking import Answer, User
from tests.cluster.custom_kinds import install
from tests.cluster.generated import workload
from tests.cluster.objects import kind_as, own_names
from tests.cluster.test_parity import documents
from tests.support.pairs import examples_of

Json = dict[str, Any]
CATALOGUE = builtin_catalogue()
AUDIT = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {"level": "None", "verbs": ["get", "list", "watch"]},
        {"level": "RequestResponse"},
    ],
}
_PAIRS, _GENERATED = 540, 480
_BUILT_IN = frozenset({"", "apps", "batch", "networking.k8s.io", "rbac.authorization.k8s.io"})
_MERGE, _APPLY = "application/merge-patch+json", "application/apply-patch+yaml"
_MAY_MEET = (200, 201, 409)
"""Made, changed, or there already, which the storage says behind admission."""


@dataclass(frozen=True)
class Case:
    """A request as it was made. ``label``: what its object was made to show."""

    id: str
    user: int
    method: str
    path: str
    body: Json
    content_type: str = "application/json"
    label: str = ""

    def ask(self, users: list[User], *, dry: bool) -> Answer:
        query = {"dryRun": "All"} if dry else {}
        if self.content_type == _APPLY:
            query |= {"fieldManager": "test", "force": "true"}
        return users[self.user].ask(
            self.method,
            self.path,
            self.body,
            query=query,
            content_type=self.content_type,
            headers={"Audit-ID": self.id if not dry else f"{self.id}-dry"},
        )


def labelled() -> list[tuple[str, list[Json]]]:
    """Objects of every sort with what they are to show: documented, of every kind for a check, generated."""
    found = [(name, docs) for name, docs in documents()]
    asked = CATALOGUE.admission_rules
    pairs = [one for check in CATALOGUE for one in examples_of(check) if one.kind in asked and not check.admission_only]
    pairs = [one for one in pairs if one.subject["kind"] != AUDIT_POLICY.name]
    for one in Random(7).sample(pairs, _PAIRS):
        found.append((str(one), [one.subject, *one.companions]))
    found += [(f"generated {seed}", [workload(seed, "shop", "web")]) for seed in range(_GENERATED)]
    return found


_LEFT_OUT = frozenset({"ValidatingWebhookConfiguration", "AuditPolicy", "CustomResourceDefinition"})
"""What would stop this very cluster, or decide what the rest is judged by."""


def named(found: list[tuple[str, list[Json]]]) -> Iterator[tuple[str, list[Json]]]:
    """Each under names of its own."""
    for number, (label, docs) in enumerate(found):
        if not any(one["kind"] in _LEFT_OUT for one in docs):
            yield label, own_names(f"r{number}", json.loads(json.dumps(docs)))[0]


def namespaces(batches: Iterable[tuple[str, list[Json]]]) -> list[Json]:
    """The namespaces that are missing, in two teams."""
    flat = [one for _, docs in batches for one in docs]
    made = {one["metadata"]["name"] for one in flat if one["kind"] == "Namespace"} | {"default", "kube-system"}
    wanted = sorted({one["metadata"]["namespace"] for one in flat if "namespace" in one["metadata"]} - made)
    return [
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": name, "labels": {"team": "red" if number % 2 else "blue"}},
        }
        for number, name in enumerate(wanted)
    ]


def prepare(client: Client) -> list[tuple[str, list[Json]]]:
    """Install what the objects need; the objects, by label."""
    batches = list(named(labelled()))
    flat = [one for _, docs in batches for one in docs]
    used = {(*one["apiVersion"].rpartition("/")[::2], one["kind"]) for one in flat}
    kinds = [kind for kind in CATALOGUE.kinds if any(kind.key == (group, name) for group, _, name in used)]
    install(client, kinds, used)
    with ThreadPoolExecutor(6) as threads:
        list(threads.map(lambda one: client.request("POST", "/api/v1/namespaces", body=one), namespaces(batches)))
    return batches


def record(client: Client, users: list[User], batches: list[tuple[str, list[Json]]]) -> list[Case]:
    """Make, change and change back; the requests that went through, without those that change back."""
    order = sorted(
        ((label, one) for label, docs in batches for one in docs), key=lambda pair: pair[1]["kind"] != "Namespace"
    )
    made: list[Case] = []
    by_kind: dict[str, list[Json]] = {}
    pending = []
    for number, (label, body) in enumerate(order):
        kind = kind_as(body)
        if kind is None:
            continue
        place = path_of(kind, body["metadata"].get("namespace") if kind.namespaced else None)
        pending.append((Case(f"c{number}", number % len(users), "POST", place, body, label=label), kind))
        by_kind.setdefault(str(kind), []).append(body)
    with ThreadPoolExecutor(6) as threads:
        answers = list(threads.map(lambda pair: pair[0].ask(users, dry=False), pending))
    stored = [pair for pair, answer in zip(pending, answers, strict=True) if answer.status == 201]
    made += [case for case, _ in stored]
    changes = [
        (case, change)
        for number, (case, kind) in enumerate(stored)
        if number % 3 == 0 and (change := _change(number, case, kind, by_kind[str(kind)])) is not None
    ]
    with ThreadPoolExecutor(6) as threads:
        went = list(threads.map(lambda pair: _there_and_back(client, users, *pair), changes))
    return made + [change for (_, change), done in zip(changes, went, strict=True) if done]


def _there_and_back(client: Client, users: list[User], made: Case, change: Case) -> bool:
    """Whether the object was changed; if so it is as it was made again."""
    before = client.request("GET", change.path)
    if change.ask(users, dry=False).status != 200:
        return False
    version = client.request("GET", change.path)["metadata"]["resourceVersion"]
    body = {**before, "metadata": {**before["metadata"], "resourceVersion": version, "managedFields": []}}
    answer = replace(made, id=f"{made.id}-back", method="PUT", path=change.path, body=body).ask(users, dry=False)
    assert answer.status == 200, (made, answer)
    return True


def _change(number: int, case: Case, kind: Kind, others: list[Json]) -> Case | None:
    """Another content for an object of a kind, by one of the ways in which an API is asked to change one."""
    random = Random(number)
    other, body = random.choice(others), case.body
    content = {key: value for key, value in other.items() if key not in ("apiVersion", "kind", "metadata", "status")}
    path = f"{case.path}/{body['metadata']['name']}"
    # Of custom kinds the API server takes a whole object only with its version.
    ways = ["put", "put", "merge", "apply", "label"] if kind.group in _BUILT_IN else ["merge", "apply", "label"]
    way = random.choice(ways)
    if kind.name == "Pod":
        # Little of a pod may change: its labels, and the images of its containers.
        containers = [{**one, "image": "other.example.org/b:2"} for one in body["spec"]["containers"]]
        content = {"spec": {**body["spec"], "containers": containers}}
    elif kind.pods and "selector" in body.get("spec", {}):
        template = {**content["spec"]["template"], "metadata": body["spec"]["template"]["metadata"]}
        content = {"spec": {**body["spec"], "template": template}}
    elif kind.name.endswith("Binding"):
        content["roleRef"] = body.get("roleRef", {})
    changed = {**body, **content}
    if way == "label":
        return replace(
            case,
            id=f"{case.id}-patch",
            method="PATCH",
            path=path,
            content_type=_MERGE,
            body={"metadata": {"labels": {"changed": "yes"}}},
        )
    if way == "merge" and all(isinstance(value, dict) for value in content.values()):
        return replace(case, id=f"{case.id}-merge", method="PATCH", path=path, body=content, content_type=_MERGE)
    if way == "apply":
        return replace(case, id=f"{case.id}-apply", method="PATCH", path=path, body=changed, content_type=_APPLY)
    if kind.group in _BUILT_IN:
        return replace(case, id=f"{case.id}-put", method="PUT", path=path, body=changed)
    return None


def answers(users: list[User], cases: list[Case]) -> list[Answer]:
    """What the API server says to each of the requests now, none of which changes anything."""
    with ThreadPoolExecutor(6) as threads:
        return list(threads.map(lambda case: case.ask(users, dry=True), cases))


def is_odd(answer: Answer) -> bool:
    """Whether something else than our webhook stands in the way."""
    return answer.denial is None and answer.status not in _MAY_MEET


def saved(path: Path, policies: list[Json]) -> Path:
    path.write_bytes(orjson.dumps({"apiVersion": "v1", "kind": "List", "items": policies}))
    return path
