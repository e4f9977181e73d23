"""``policy impact`` foretells of an audit log what the real API server with the real webhook answers.

Over a thousand objects are made and changed under a policy that denies nothing, by several users; of each request the
audit log is asked what a policy would have done, and the API server what it does: the same request once more, as a
dry run, with the policy in force.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from devcluster.controlplane import ControlPlane
from devcluster.local_webhook import LocalWebhook
from iocaudit.cli.live import load_kinds
from iocaudit.cluster.client import Client
from iocaudit.cluster.discovery import discover
from iocaudit.core.kinds import NAMESPACE
from iocaudit.core.world import World
from iocaudit.engine.audit import Auditor
from iocaudit.engine.policy_reader import read_policies
from iocaudit.engine.posture import Verdict
from iocaudit.impact.asked import AskedRequests
from iocaudit.impact.history import History, JudgedRequest
from iocaudit.signals.audit_event import AuditEvent
from iocaudit.signals.audit_log import AuditLog
from tests.cluster.asking import User
from tests.cluster.conftest import wait_for
from tests.cluster.drawn_policies import CATALOGUE, drawn_policies
from tests.cluster.processes import CRDS, apply
from tests.cluster.recorded import AUDIT, Case, answers, is_odd, prepare, record
from tests.support.policies import preset_policy
from tests.support.running import run

Json = dict[str, Any]
USERS = {"alice": ["devs"], "bob": ["devs", "ops"], "carol": []}
SUBJECTS: list[Json] = [
    {"kind": "User", "name": "alice"},
    {"kind": "User", "name": "carol"},
    {"kind": "Group", "name": "devs"},
    {"kind": "Group", "name": "ops"},
]
EVERYTHING = {"checks": [{"profiles": ["default", "strict"], "mode": "deny"}], "match": {"clusterScoped": True}}
PROBED = "probe"
ASKED = AskedRequests(CATALOGUE)


@dataclass
class Recorded:
    """The cluster as it is once everything is changed back, what was asked for, and the log of it."""

    cluster: ControlPlane
    users: list[User]
    cases: list[Case]
    log: Path
    events: list[AuditEvent]
    world: World
    webhook: LocalWebhook
    odd: set[str] = field(default_factory=set)


def policy(name: str, spec: Json) -> Json:
    return {"apiVersion": "iocaudit.io/v1alpha1", "kind": "AuditPolicy", "metadata": {"name": name}, "spec": spec}


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorded]:
    arguments = ["--disable-admission-plugins=ServiceAccount", "--audit-log-maxsize=200", "--audit-log-maxbackup=1"]
    with ControlPlane(controllers=False, audit_policy=AUDIT, apiserver_args=arguments) as cluster:
        cluster.kubectl("apply", "--server-side", "-f", str(CRDS))
        cluster.kubectl("wait", "--for=condition=Established", "-f", str(CRDS), "--timeout=60s")
        apply(cluster, preset_policy("observe"))
        for name in ("iocaudit", PROBED):
            cluster.kubectl("create", "namespace", name)
        client = Client.connect(cluster.kubeconfig)
        batches = prepare(client)
        webhook = LocalWebhook(cluster, tmp_path_factory.mktemp("webhook"))
        try:
            webhook.start()
            # All that can be denied by any policy is asked about; what is denied is up to those in force.
            webhook.register(read_policies([policy("everything", EVERYTHING)], CATALOGUE))
            users = [
                User.of(cluster.user_kubeconfig(name, ["system:masters", *groups])) for name, groups in USERS.items()
            ]
            cases = record(client, users, batches)
            # A copy: the dry runs to come would make the log larger by far.
            kept = Path(shutil.copy(cluster.audit_log, tmp_path_factory.mktemp("log")))
            log = AuditLog([str(kept)], ASKED.wants)
            events = list(log)
            assert (log.tally.unread_count, log.tally.foreign) == (0, 0)
            yield Recorded(cluster, users, cases, kept, events, _world(client), webhook)
        finally:
            webhook.unregister()
            webhook.close()


def _world(client: Client) -> World:
    world = World()
    served = discover(client)
    world.install(served.groups)
    load_kinds(client, (NAMESPACE, *CATALOGUE.admission_world_kinds), world, served)
    return world


def foretold(recorded: Recorded, policies: list[Json]) -> tuple[dict[str, JudgedRequest], History]:
    """By the id of each request what the webhook would have answered."""
    history = History(Auditor(CATALOGUE, read_policies(policies, CATALOGUE), recorded.world), ASKED)
    judged = (history.take(event) for event in recorded.events)
    return {one.event.audit_id: one for one in judged if one is not None}, history


def reasons(verdict: Verdict) -> set[str]:
    """The checks for which something is denied: their hits, faults and what they could not evaluate."""
    gaps = {gap.check or "object" for gap in verdict.incomplete_denials}
    return {found.check for found in verdict.denials} | {fault.check for fault in verdict.fault_denials} | gaps


def _in_force(recorded: Recorded, policies: list[Json], number: int) -> None:
    """Wait until the webhook goes by these policies: one that comes after them denies a pod of its own."""
    mark = policy(
        "zz-mark",
        {
            "priority": 1000,
            "match": {"namespaces": [PROBED]},
            "checks": [
                {"profiles": ["default", "strict"], "mode": "off"},
                {"ids": ["host-pid"], "mode": "deny", "severity": ("low", "high")[number % 2]},
            ],
        },
    )
    recorded.cluster.kubectl("delete", "auditpolicies", "--all")
    for one in (*policies, mark):
        apply(recorded.cluster, one)
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "probe", "namespace": PROBED},
        "spec": {"hostPID": True, "containers": [{"name": "a", "image": "hooli.com/a:1"}]},
    }
    word = f"[{mark['spec']['checks'][1]['severity']}] host-pid"

    def is_marked() -> bool:
        answer = recorded.users[0].ask("POST", f"/api/v1/namespaces/{PROBED}/pods", pod, query={"dryRun": "All"})
        return word in (answer.denial or "")

    wait_for(is_marked, "the webhook to go by the policies")


@pytest.mark.parametrize("seed", range(20))
def test_what_is_foretold_is_what_the_api_server_answers(recorded: Recorded, seed: int) -> None:
    policies = drawn_policies(seed, SUBJECTS)
    judged, history = foretold(recorded, policies)
    _in_force(recorded, policies, seed)
    cases = [case for case in recorded.cases if case.id not in recorded.odd]
    given = answers(recorded.users, cases)
    recorded.odd |= {case.id for case, answer in zip(cases, given, strict=True) if is_odd(answer)}
    wrong = []
    for case, answer in zip(cases, given, strict=True):
        if case.id in recorded.odd:
            continue
        one = judged.get(case.id)  # None: the webhook is not asked about such an object, whatever the policies
        denied = answer.denial is not None
        would = one is not None and not one.verdict.allowed
        named = set(re.findall(r"^(?:- )?\[\w+\] ([a-z0-9-]+): ", answer.denial or "", re.MULTILINE))
        told = reasons(one.verdict) if one is not None else set()
        if would != denied or not named <= told:
            wrong.append((case.label, case.id, answer.denial or answer.status, told))
    assert wrong == [], json.dumps(policies)
    tally = history.tally
    assert tally.share >= 0.95
    assert not tally.not_judged, "at level RequestResponse, from the first request on, all of it is judged"
    assert len(recorded.odd) <= 20


def test_there_is_enough_to_compare(recorded: Recorded) -> None:
    made = [case for case in recorded.cases if case.method == "POST"]
    changed = [case for case in recorded.cases if case.method != "POST"]
    assert len(made) >= 1000
    assert len(changed) >= 150
    assert {case.content_type for case in changed} >= {"application/merge-patch+json", "application/apply-patch+yaml"}
    denied = [foretold(recorded, drawn_policies(seed, SUBJECTS))[1].tally.denied for seed in range(3)]
    assert sum(denied) > 100
    assert max(denied) < len(recorded.events)


def test_the_command_tells_the_same(recorded: Recorded, tmp_path: Path) -> None:
    path = tmp_path / "policy.json"
    path.write_text(json.dumps(preset_policy("guard")))
    recorded.cluster.kubectl("delete", "auditpolicies", "--all")
    kubeconfig = f"--kubeconfig={recorded.cluster.kubeconfig}"
    code, said, errors = run(
        "policy",
        "impact",
        "--policy",
        str(path),
        "--cluster",
        kubeconfig,
        "--audit-log",
        str(recorded.log),
        "-o",
        "json",
    )
    assert (code, errors) == (1, "")
    found = json.loads(said)["history"]
    _, history = foretold(recorded, [preset_policy("guard")])
    assert found["denied"] == history.tally.denied > 0
    assert found["judgedShare"] >= 0.95
    assert sum(one["requests"] for one in found["wouldHaveBeenDenied"]) >= found["denied"]
