"""Play requests against the webhook's own state, in process: what is admitted is in the world of the next."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import permutations
from typing import Any, NamedTuple

import orjson

from admission.state import State
from iocaudit.core.kinds.ours import AUDIT_POLICY
from iocaudit.core.resource import CLUSTER, Resource
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.engine.deadline import Deadline
from iocaudit.engine.posture import Verdict, spare
from iocaudit.judging.review import decide
from iocaudit.knowledge.outline import slim
from iocaudit.knowledge.rbac.bindings import ADMIN_NAMESPACE
from iocaudit.sources.admission_review import read_review
from tests.support.policies import LOCKDOWN

CATALOGUE = builtin_catalogue()
Json = dict[str, Any]
Identity = tuple[str, str, str]


def identity(raw: Json) -> Identity:
    metadata = raw["metadata"]
    return (raw["kind"], metadata.get("namespace", ""), metadata["name"])


class Step(NamedTuple):
    """One request: an object as it is written, ``nth`` of those that write it."""

    raw: Json
    nth: int = 0


class Play:
    """A webhook that has seen everything it admitted, under preset lockdown. ``policies`` are the specs of others."""

    def __init__(self, *policies: Json) -> None:
        self.state = State(CATALOGUE)
        raws = [
            {"apiVersion": "iocaudit.io/v1alpha1", "kind": "AuditPolicy", "metadata": {"name": f"p{n}"}, "spec": spec}
            for n, spec in enumerate(policies)
        ]
        self.state.replace(AUDIT_POLICY, [Resource(raw, CLUSTER) for raw in (LOCKDOWN, *raws)])
        self.stored: dict[Identity, Json] = {}

    def ask(
        self, raw: Json, username: str = "alice", *, old: Json | None = None, owners: Iterable[Json] = ()
    ) -> Verdict:
        """The verdict on writing an object over what is stored, or over ``old``; ``owners`` are its verified ones."""
        before = old or self.stored.get(identity(raw))
        group, _, version = raw["apiVersion"].rpartition("/")
        request = {
            "uid": "1",
            "operation": "CREATE" if before is None else "UPDATE",
            "kind": {"group": group, "version": version, "kind": raw["kind"]},
            "namespace": raw["metadata"].get("namespace", ""),
            "name": raw["metadata"]["name"],
            "userInfo": {"username": username, "groups": ["system:authenticated"]},
            "object": raw,
            "oldObject": before,
        }
        made_by = [Resource(owner, CLUSTER) for owner in owners]
        body = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
        verdict = decide(read_review(orjson.dumps(body)), self.state.auditor, Deadline.within(60), made_by)
        in_system = raw["metadata"].get("namespace") == ADMIN_NAMESPACE
        return spare(verdict, "system") if in_system else verdict

    def write(self, raw: Json, username: str = "alice") -> Verdict:
        """The same; what is admitted is stored, and seen by the webhook."""
        verdict = self.ask(raw, username)
        if verdict.allowed:
            self.put(raw)
        return verdict

    def put(self, raw: Json) -> None:
        """Store an object that was there before the webhook."""
        self.stored[identity(raw)] = raw
        resource = Resource(raw, CLUSTER)
        if resource.kind is not None and resource.kind in self.state.kinds:
            self.state.put(slim(raw, resource.kind))

    def remove(self, raw: Json) -> None:
        self.stored.pop(identity(raw))
        self.state.remove(Resource(raw, CLUSTER))


def orders(steps: Sequence[Step]) -> Iterator[tuple[Step, ...]]:
    """Every order in which no write of an object comes before an earlier one of it."""
    for order in permutations(steps):
        seen: dict[Identity, int] = {}
        for step in order:
            if seen.setdefault(identity(step.raw), 0) != step.nth:
                break
            seen[identity(step.raw)] += 1
        else:
            yield order


def denied_by(order: Iterable[Step], *policies: Json, there: Iterable[Json] = ()) -> set[str]:
    """The checks that deny anything in this order, ``there`` being stored before."""
    play = Play(*policies)
    for raw in there:
        play.put(raw)
    checks: set[str] = set()
    for step in order:
        if step.nth == 0 or identity(step.raw) in play.stored:
            verdict = play.write(step.raw)
            assert not verdict.fault_denials
            checks |= {found.check for found in verdict.denials}
    return checks
