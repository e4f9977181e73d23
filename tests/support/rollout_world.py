"""A cluster in simulated time: requests judged by the webhook's own code, stages carried on by the operator's.

What API servers ask is what is registered: kube-system and our own namespace are left to the webhook that never denies.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any, NamedTuple

import orjson

from admission.rollouts import RolloutCounts, RolloutWatch
from admission.state import State
from iocaudit.core.kinds import NAMESPACE
from iocaudit.core.kinds.ours import AUDIT_POLICY
from iocaudit.core.resource import CLUSTER, Resource
from iocaudit.core.would_be_denied import RolloutOutcome, RolloutTally
from iocaudit.engine.audit import Auditor
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.engine.deadline import Deadline
from iocaudit.engine.policy import Policy
from iocaudit.engine.posture import Verdict
from iocaudit.engine.rollout import RolloutStage
from iocaudit.engine.rollout_status import (
    RolloutCoverage,
    RolloutStatus,
    RolloutStepBack,
    advance,
    begin,
    count,
    step,
    to_json,
)
from iocaudit.install.webhook_configuration import WebhookTarget, configuration
from iocaudit.judging.review import answer
from iocaudit.sources.admission_review import Review, read_review

CATALOGUE = builtin_catalogue()
START = datetime(2026, 11, 2, tzinfo=UTC).timestamp()
DAY = 86_400.0
Json = dict[str, Any]
RULES = CATALOGUE.admission_rules
SPARED = ("kube-system", "iocaudit")


class Asked(NamedTuple):
    """A request: who asks for what."""

    raw: Json
    user: str
    old: Json | None = None
    groups: tuple[str, ...] = ()

    @property
    def everyone(self) -> tuple[str, ...]:
        """The groups that the API server gives the user besides."""
        found = ["system:authenticated", *self.groups]
        if self.user.startswith("system:serviceaccount:"):
            found += ["system:serviceaccounts", f"system:serviceaccounts:{self.user.split(':')[2]}"]
        return tuple(found)

    def review(self, **more: Any) -> Review:
        group, _, version = self.raw["apiVersion"].rpartition("/")
        asked = {
            "uid": "1",
            "operation": "CREATE" if self.old is None else "UPDATE",
            "kind": {"group": group, "version": version, "kind": self.raw["kind"]},
            "namespace": self.raw["metadata"].get("namespace"),
            "userInfo": {"username": self.user, "groups": list(self.everyone)},
            "object": self.raw,
            "oldObject": self.old,
            **more,
        }
        body = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": asked}
        return read_review(orjson.dumps(body))


class RolloutWorld:
    """One policy under rollout beside preset warn; ``at`` is the time in days since it began."""

    def __init__(self, policy: Json, namespaces: list[str], *others: Json, objects: tuple[Json, ...] = ()) -> None:
        self.raw = policy
        self.others = others
        self.namespaces = namespaces
        self.day = 0.0
        self.state = State(CATALOGUE)
        self.state.replace(NAMESPACE, [Resource(namespace(name), CLUSTER) for name in namespaces])
        for raw in objects:
            self.state.put(Resource(raw, CLUSTER))
        self.counts = RolloutCounts(lambda: self.auditor.policies, clock=self.now, monotonic=lambda: 0.0)
        self.watch = RolloutWatch(self.counts)
        self.happened: list[RolloutStepBack] = []
        self._number = 0
        self._put({})
        rollout = self.policy.rollout
        assert rollout is not None
        self.status = begin(rollout, self.now())
        self._settle()

    def now(self) -> float:
        return START + self.day * DAY

    @property
    def auditor(self) -> Auditor:
        return self.state.auditor

    @property
    def policy(self) -> Policy:
        return next(one for one in self.auditor.policies.policies if one.name == self.raw["metadata"]["name"])

    @property
    def stage(self) -> RolloutStage:
        return self.status.stage

    def wait_until(self, day: float, *, known: bool = True) -> None:
        """Let time pass; not ``known``: nobody can tell what happened meanwhile."""
        assert day >= self.day
        since = 0.0 if known else START + day * DAY
        while self.day < day:
            self.day = min(day, self.day + 0.25)
            self._carry_on(RolloutCoverage(since, self.now(), "", frozenset({"one"})))

    def ask(self, asked: Asked) -> Verdict | None:
        """The answer of the webhook; None where it is not asked."""
        review = asked.review()
        if not self._is_asked(review):
            return None
        never = asked.raw["metadata"].get("namespace") in SPARED
        verdict = answer(review, self.auditor, Deadline.within(60), never_denies=never)
        if not never:
            asyncio.run(self.watch.follow(review, verdict, self.auditor, self._judge(review)))
            self._post()
        return verdict

    def fails_closed(self) -> bool:
        return any(webhook["failurePolicy"] == "Fail" for webhook in self._webhooks())

    # -- as operator and API server do --------------------------------------------------------------------

    def _judge(self, review: Review) -> Any:
        async def judge(auditor: Auditor) -> Verdict:
            return answer(review, auditor, Deadline.within(60))

        return judge

    def _post(self) -> None:
        self._number += 1
        post = self.counts.take(last=True)
        assert not post.missed
        tallies: dict[tuple[str, RolloutOutcome], RolloutTally] = {
            (key.place, key.outcome): tally
            for key, tally in post.requests
            if key.fingerprint == self.status.fingerprint
        }
        name = self.raw["metadata"]["name"]
        self.status, steps = count(self.status, name, "one", self._number, tallies, self.now())
        self.happened += steps
        self._carry_on(None)

    def _carry_on(self, coverage: RolloutCoverage | None) -> None:
        rollout = self.policy.rollout
        assert rollout is not None
        matched = [name for name in self.namespaces if self.policy.matches(name, {})]
        self.status = step(
            advance(self.status, coverage),
            rollout,
            self.policy.name,
            matched,
            cluster_scope=self.policy.cluster_scoped,
        )
        if self.status.progress != self._judged_by:
            self._settle()

    def _settle(self) -> None:
        self._judged_by = self.status.progress
        self._put({"rollout": {key: value for key, value in to_json(self.status).items() if value is not None}})

    def _put(self, status: Json) -> None:
        raws = [{**self.raw, "status": status}, *self.others]
        self.state.replace(AUDIT_POLICY, [Resource(raw, CLUSTER, kind=AUDIT_POLICY) for raw in raws])

    def _webhooks(self) -> list[Json]:
        found = configuration(CATALOGUE, self.auditor.policies, WebhookTarget("iocaudit", "iocaudit"), b"")
        webhooks: list[Json] = found["webhooks"]
        return webhooks

    def _is_asked(self, review: Review) -> bool:
        """Whether any webhook is registered for a request."""
        kind = review.resource.kind if review.resource is not None else None
        return kind is not None and review.request.operation in RULES.get(kind, frozenset())


def namespace(name: str) -> Json:
    labels = {"kubernetes.io/metadata.name": name}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def pod(name: str, home: str, *, privileged: bool = True, **metadata: Any) -> Json:
    container: Json = {"name": "app", "image": "hooli.com/web:1"}
    if privileged:
        container["securityContext"] = {"privileged": True}
    meta = {"name": name, "namespace": home, **metadata}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": {"containers": [container]}}


def workload(kind: str, name: str, home: str, **more: Any) -> Json:
    labels = {"app": name}
    spec = pod(name, home)["spec"] | more.pop("pod", {})
    found: Json = {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": home, "uid": f"uid-{name}"},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
    }
    return found | more


def role(name: str, home: str | None = None, resources: tuple[str, ...] = ("roles",)) -> Json:
    """What preset lockdown denies, and guard does not."""
    metadata = {"name": name} if home is None else {"name": name, "namespace": home}
    rules = [{"apiGroups": ["rbac.authorization.k8s.io"], "resources": list(resources), "verbs": ["escalate"]}]
    kind = "ClusterRole" if home is None else "Role"
    return {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": metadata, "rules": rules}


def account(home: str, name: str) -> str:
    return f"system:serviceaccount:{home}:{name}"


__all__ = ["Asked", "RolloutStatus", "RolloutWorld", "account", "namespace", "pod", "role", "workload"]
