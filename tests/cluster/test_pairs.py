"""Every pair of a check and a kind it looks at, bad and good, on the real API server: found there as in scan.

By dry-run CREATE through the webhook, by the operator for checks that only audit, by UPDATE, CONNECT or a user's
request for those that only admit. One check at a time denies, so that an answer is that check's alone.
"""

from __future__ import annotations

import json
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from devcluster.controlplane import ControlPlane
from devcluster.local_webhook import LocalWebhook
from iocaudit.cluster.api import path_of
from iocaudit.cluster.client import Client
from iocaudit.cluster.errors import NotFoundError
from iocaudit.core.check import Check
from iocaudit.core.kinds import CONNECTIONS, PODS, SERVICE_ACCOUNT, Kind
from iocaudit.core.kinds.builtin import VALIDATING_WEBHOOK_CONFIGURATION
from iocaudit.core.kinds.ours import AUDIT_POLICY
from iocaudit.core.kinds.policies import FELIX_CONFIGURATION, STORED_FELIX_CONFIGURATION
from iocaudit.core.namespaces import SYSTEM_NAMESPACES
from iocaudit.core.report import ReportedHit
from iocaudit.core.resource import CLUSTER, Resource
from iocaudit.engine.policy_reader import read_policies
from iocaudit.engine.policy_set import PolicySet
from iocaudit.engine.posture import Verdict
from iocaudit.judging import wording
from iocaudit.judging.warning_lines import warnings
from iocaudit.knowledge.pods.places import pods_of
from iocaudit.scanning.scan import ScanOptions, scan_files
from tests.cluster.asking import Answer, User
from tests.cluster.custom_kinds import install
from tests.cluster.objects import create, kind_as, own_names, subject_of
from tests.cluster.processes import CRDS, Eventually, Json, items, operator
from tests.support.carriers import carried
from tests.support.pairs import CATALOGUE, Example, alone, examples_of, reason_against, written_to

KEEPER = "keeper"
"""The user who stores what examples are judged among; nothing denies that."""
WAIT = 10.0
"""Seconds until the webhook must have seen what was stored."""
POD: Json = {
    "metadata": {"labels": {"app": "web"}},
    "spec": {"containers": [{"name": "app", "image": "hooli.com/w:1"}]},
}
ADMITTED = [check for check in CATALOGUE if not check.audit_only and not check.admission_only]
AUDITED = [check for check in CATALOGUE if check.audit_only]


def scanned(
    check: Check, examples: list[Example], folder: Path, *policies: Json
) -> list[tuple[Example, list[ReportedHit]]]:
    """What scan says of each example's subject, by further policies; fails where it is not what the example is for."""
    folder.mkdir()
    named = {folder / f"policy{number}.json": one for number, one in enumerate((alone(check, "audit"), *policies))}
    for named_file, policy in named.items():
        named_file.write_text(json.dumps(policy))
    files = written_to(folder, examples)
    options = ScanOptions(policy_files=tuple(map(str, named)), each_file_alone=True, jobs=1)
    scan = scan_files(list(files), CATALOGUE, options)
    assert not scan.errors
    assert not scan.report.faults
    hits: dict[str, list[ReportedHit]] = defaultdict(list)
    for found in scan.report.found:
        hits[found.origin.file or ""].append(found)
    results = []
    for file, example in files.items():
        metadata = example.subject["metadata"]
        subject = (example.kind.name, example.kind.group, metadata.get("namespace"), metadata["name"])
        own = [
            f for f in hits[file] if (f.subject.kind, f.subject.group, f.subject.namespace, f.subject.name) == subject
        ]
        assert bool(own) is example.bad, f"{example}: scan finds {[f.message for f in own]}"
        results.append((example, own))
    assert [s for s in scan.report.skipped if s.check == check.id] == []
    return results


def test_no_pair_is_missing() -> None:
    """Each has both examples, or a reason why there can be none; never both."""
    for check in (*ADMITTED, *AUDITED):
        there = {(example.kind, example.bad) for example in examples_of(check)}
        possible = {kind for kind in check.looks_at if reason_against(check, kind) is None}
        assert there == {(kind, bad) for kind in possible for bad in (True, False)}, check.id
    assert {check.id for check in CATALOGUE if check.admission_only} == {
        "ephemeral-container-added",
        "exec-session",
        "workload-in-system-namespace",
    }


def test_what_is_put_into_a_kind_is_visited_at_each_of_its_places() -> None:
    for kind in PODS:
        found = Resource(carried(POD, kind), CLUSTER)
        assert found.kind is kind
        assert [len(pod.containers) for pod in pods_of(found)] == [1] * len(kind.pods), str(kind)


# -- through the webhook ----------------------------------------------------------------------------------


@dataclass
class Guarded:
    """A cluster in which every check can be made to deny; ``alice`` is nobody special with every right."""

    cluster: ControlPlane
    webhook: LocalWebhook
    keeper: Client
    alice: User
    namespaces: set[str] = field(default_factory=set)

    def only(self, check: Check, mode: str = "deny") -> None:
        """Have nothing but ``check`` run."""
        policy = alone(check, mode, exemptSubjects=[{"kind": "User", "name": KEEPER}], onIncomplete="deny")
        try:
            before = self.keeper.get(AUDIT_POLICY, None, "pairs")
        except NotFoundError:
            self.keeper.create(AUDIT_POLICY, policy)
        else:
            policy["metadata"]["resourceVersion"] = before["metadata"]["resourceVersion"]
            self.keeper.replace(AUDIT_POLICY, policy)

    def make_namespaces(self, documents: Iterable[Json]) -> None:
        for document in documents:
            name = document["metadata"].get("namespace")
            if name and name not in self.namespaces and name not in SYSTEM_NAMESPACES:
                create(self.keeper, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
                self.namespaces.add(name)

    def dry_run(self, example: Example) -> Answer:
        kind = kind_as(example.subject)
        assert kind is not None
        path = path_of(kind, example.subject["metadata"].get("namespace"))
        return self.alice.ask("POST", path, example.subject, query={"dryRun": "All"})


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    with ControlPlane(controllers=False, apiserver_args=["--disable-admission-plugins=ServiceAccount"]) as cluster:
        cluster.kubectl("apply", "--server-side", "-f", str(CRDS))
        cluster.kubectl("wait", "--for=condition=Established", "-f", str(CRDS), "--timeout=30s")
        cluster.kubectl("create", "namespace", "iocaudit")
        keeper = Client.connect(cluster.user_kubeconfig(KEEPER, ["system:masters"]))
        install(keeper, CATALOGUE.kinds, ())
        webhook = LocalWebhook(cluster, tmp_path_factory.mktemp("webhook"))
        try:
            webhook.start()
            webhook.register(all_denying())
            alice = User.of(cluster.user_kubeconfig("alice", ["system:masters"]))
            yield Guarded(cluster, webhook, keeper, alice, {"default", "iocaudit"})
        finally:
            webhook.close()


def all_denying() -> PolicySet:
    everything = {"checks": [{"profiles": ["default", "strict"], "mode": "deny"}]}
    return read_policies([{"metadata": {"name": "all"}, "spec": everything}], CATALOGUE)


def until(ask: Callable[[], Answer], fits: Callable[[Answer], bool]) -> Answer:
    """Ask until the answer fits; gives the last one."""
    end = time.monotonic() + WAIT
    while True:
        answer = ask()
        if fits(answer) or time.monotonic() > end:
            return answer
        time.sleep(0.05)


def ours(answer: Answer, check: str) -> list[str]:
    """The warnings of our webhook."""
    said = re.compile(rf"; see iocaudit explain {check}( \(|\Z)|: and \d+ more")
    return [line for line in answer.warnings if said.search(line)]


def outcome(guarded: Guarded, example: Example, found: list[ReportedHit]) -> str | None:
    """What is wrong with the API server's answer; None where it says what scan says."""
    hits = tuple(sorted(found, key=lambda f: (-f.severity, f.check, f.hit.path, f.hit.evidence)))
    denial, warned = None, list[str]()
    if hits and example.subject["metadata"].get("namespace") in SYSTEM_NAMESPACES:
        warned = warnings(Verdict(True, warnings=hits))  # what answers there never denies
    elif hits:
        denial = wording.denial(Verdict(False, denials=hits))

    def fits(answer: Answer) -> bool:
        if answer.denial != denial or ours(answer, example.check) != warned:
            return False
        return denial is not None or answer.status == 201

    answer = until(lambda: guarded.dry_run(example), fits)
    return None if fits(answer) else f"{example}: wanted {denial or warned or 'admission'}, got {answer}"


def in_rounds(examples: Iterable[tuple[Example, list[ReportedHit]]]) -> list[list[tuple[Example, list[ReportedHit]]]]:
    """Those that are judged among the same companions, together."""
    rounds: dict[str, list[tuple[Example, list[ReportedHit]]]] = {}
    for example, found in examples:
        rounds.setdefault(json.dumps(example.companions), []).append((example, found))
    return [rounds[key] for key in sorted(rounds)]


@pytest.mark.parametrize("check", ADMITTED, ids=lambda check: check.id)
def test_creation_is_judged_as_scan_judges(check: Check, guarded: Guarded, tmp_path: Path) -> None:
    results = scanned(check, list(examples_of(check)), tmp_path / "files")
    wrong: list[str | None] = []
    guarded.only(check)
    with ThreadPoolExecutor(4) as threads:
        for together in in_rounds(results):
            companions = together[0][0].companions
            guarded.make_namespaces((*companions, *(example.subject for example, _ in together)))
            for document in companions:
                create(guarded.keeper, document)
            try:
                wrong += threads.map(lambda pair: outcome(guarded, *pair), together)
            finally:
                for document in companions:
                    kind = kind_as(document)
                    assert kind is not None
                    metadata = document["metadata"]
                    guarded.keeper.delete(kind, metadata.get("namespace"), metadata["name"])
    assert [text for text in wrong if text] == []


# -- what only admission sees -----------------------------------------------------------------------------


def check_of(name: str) -> Check:
    found = CATALOGUE.find(name)
    assert found is not None
    return found


def ensure(guarded: Guarded, *documents: Json) -> None:
    guarded.make_namespaces(documents)
    for document in documents:
        create(guarded.keeper, document)


PLACES: dict[str, tuple[str, dict[str, str], str]] = {
    "pods/exec": ("namespaces/shop/pods/s/exec", {"command": "sh", "container": "app", "stdout": "true"}, "command sh"),
    "pods/attach": ("namespaces/shop/pods/s/attach", {"container": "app", "stdout": "true"}, 'container "app"'),
    "pods/portforward": ("namespaces/shop/pods/s/portforward", {"ports": "8080"}, "ports 8080"),
    "pods/proxy": ("namespaces/shop/pods/s/proxy/metrics", {}, "path /metrics"),
    "services/proxy": ("namespaces/shop/services/s/proxy/metrics", {}, "path /metrics"),
    "nodes/proxy": ("nodes/s/proxy/metrics", {}, "path /metrics"),
}
"""By what a CONNECT request carries: the path, the query, and what the message says of it."""


def test_every_way_to_open_a_session_has_a_place() -> None:
    assert set(PLACES) == {kind.plural for kind in CONNECTIONS}


@pytest.mark.parametrize("kind", CONNECTIONS, ids=str)
def test_a_session_is_denied_unless_the_user_may(kind: Kind, guarded: Guarded) -> None:
    place, query, said = PLACES[kind.plural]
    guarded.only(check_of("exec-session"))
    ensure(
        guarded,
        {**carried(POD, check_of("exec-in-probe").looks_at[0]), "metadata": {"name": "s", "namespace": "shop"}},
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "s", "namespace": "shop"},
            "spec": {"selector": {"app": "none"}, "ports": [{"port": 80}]},
        },
        {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "s"}},
    )
    verb = kind.plural.partition("/")[2]
    target = kind.plural.partition("/")[0].removesuffix("s") + (" shop/s" if kind.namespaced else " s")

    def session(user: User) -> Answer:
        return user.ask("POST" if verb != "proxy" else "GET", f"/api/v1/{place}", query=query)

    answer = until(lambda: session(guarded.alice), lambda a: a.denial is not None)
    assert answer.denial is not None, answer
    assert answer.denial.startswith(f"[medium] exec-session: {kind.name} ")
    assert f"alice opens {verb} to {target}" in answer.denial
    assert said in answer.denial
    # Whom the policy exempts gets past: what is missing then is the kubelet.
    keeper = User.of(guarded.cluster.user_kubeconfig(KEEPER, ["system:masters"]))
    good = session(keeper)
    assert good.denial is None
    assert good.status >= 400


def test_an_update_that_adds_a_container_is_denied_and_another_is_not(guarded: Guarded) -> None:
    check = check_of("ephemeral-container-added")
    guarded.only(check)
    (kind,) = check.looks_at
    ensure(guarded, {**carried(POD, kind), "metadata": {"name": "debugged", "namespace": "shop"}})
    path = path_of(kind, "shop", "debugged")
    patch = "application/strategic-merge-patch+json"
    added = {"spec": {"ephemeralContainers": [{"name": "debug", "image": "hooli.com/tools:1"}]}}

    def debug() -> Answer:
        return guarded.alice.ask("PATCH", f"{path}/ephemeralcontainers", added, content_type=patch)

    answer = until(debug, lambda a: a.denial is not None)
    assert answer.denial is not None, answer
    assert 'ephemeral container "debug" with image hooli.com/tools:1 is added by alice' in answer.denial
    labelled = guarded.alice.ask("PATCH", path, {"metadata": {"labels": {"a": "b"}}}, content_type=patch)
    assert labelled.status == 200, labelled


def test_an_update_denies_what_it_introduces_alone(guarded: Guarded) -> None:
    check = check_of("untrusted-registry")
    guarded.only(check)
    (kind,) = [kind for kind in check.looks_at if str(kind) == "Deployment.apps"]
    body = carried({**POD, "spec": {"containers": [{"name": "app", "image": "evil.io/w:1"}]}}, kind)
    body["metadata"]["name"] = "old"
    ensure(guarded, body)
    path, patch = path_of(kind, "shop", "old"), "application/strategic-merge-patch+json"

    def image(name: str) -> Json:
        return {"spec": {"template": {"spec": {"containers": [{"name": "app", "image": name}]}}}}

    answer = until(
        lambda: guarded.alice.ask("PATCH", path, image("evil.io/other:1"), query={"dryRun": "All"}, content_type=patch),
        lambda a: a.denial is not None,
    )
    assert answer.denial is not None, answer
    assert "evil.io/other:1" in answer.denial
    kept = guarded.alice.ask("PATCH", path, {"spec": {"replicas": 3}}, content_type=patch)
    assert kept.status == 200, kept


@pytest.mark.parametrize("kind", [*PODS, SERVICE_ACCOUNT], ids=str)
def test_a_workload_in_a_namespace_of_the_system_is_warned_of(kind: Kind, guarded: Guarded) -> None:
    """There the webhook never denies; the cluster's own components are not spoken of."""
    check = check_of("workload-in-system-namespace")
    assert kind in check.looks_at
    if reason_against(check, kind) is not None:
        assert not kind.namespaced
        return
    guarded.only(check)
    if kind is SERVICE_ACCOUNT:
        body = {"apiVersion": "v1", "kind": kind.name, "metadata": {"name": "web", "namespace": "kube-system"}}
    else:
        body = carried(POD, kind, "kube-system")
    component = User.of(guarded.cluster.user_kubeconfig("system:kube-controller-manager", ["system:masters"]))

    def ask(user: User) -> Answer:
        return user.ask("POST", path_of(kind, "kube-system"), body, query={"dryRun": "All"})

    answer = until(lambda: ask(guarded.alice), lambda a: bool(ours(a, check.id)))
    assert answer.status == 201, answer
    (said,) = ours(answer, check.id)
    assert said.startswith(f"[medium] {kind.name} kube-system/web: is a ")
    assert "created in kube-system by alice" in said
    good = ask(component)
    assert good.status == 201
    assert ours(good, check.id) == []


# -- by the operator --------------------------------------------------------------------------------------

APART = frozenset({"admission-bypass", "no-early-drop"})
"""Checks whose examples say something of the whole cluster: one after the other, in a test of their own."""


def findings(cluster: ControlPlane) -> dict[tuple[str, str, str], Json]:
    """By check, group and ``Kind namespace/name``."""
    found = [*items(cluster, "iocfindings", "-A"), *items(cluster, "clusteriocfindings")]
    return {
        (f["finding"]["check"], f["finding"]["subject"]["apiVersion"].rpartition("/")[0], subject_of(f)): f["finding"]
        for f in found
    }


def key_of(example: Example) -> tuple[str, str, str]:
    metadata = example.subject["metadata"]
    place = f"{metadata['namespace']}/" if "namespace" in metadata else ""
    return (example.check, example.kind.group, f"{example.kind.name} {place}{metadata['name']}")


def hits_of(found: Iterable[ReportedHit]) -> set[tuple[str, str, str]]:
    return {(f.hit.path, f.hit.evidence, f.severity.label) for f in found}


def stored_hits(finding: Json | None) -> set[tuple[str, str, str]]:
    return {(hit["path"], hit["evidence"], hit["severity"]) for hit in finding["hits"]} if finding else set()


@pytest.fixture(scope="module")
def swept() -> Iterator[tuple[ControlPlane, Client]]:
    """A cluster for the operator, in which the checks that only audit run and no others."""
    with ControlPlane(controllers=False, apiserver_args=["--disable-admission-plugins=ServiceAccount"]) as cluster:
        cluster.kubectl("apply", "--server-side", "-f", str(CRDS))
        cluster.kubectl("wait", "--for=condition=Established", "-f", str(CRDS), "--timeout=30s")
        cluster.kubectl("create", "namespace", "iocaudit")
        client = Client.connect(cluster.kubeconfig)
        install(client, CATALOGUE.kinds, ())
        policy = alone(AUDITED[0], "audit")
        policy["spec"]["checks"][1]["ids"] = [check.id for check in AUDITED]
        client.create(AUDIT_POLICY, policy)
        yield cluster, client


def test_the_operator_finds_what_scan_finds(
    swept: tuple[ControlPlane, Client], tmp_path: Path, eventually: Eventually
) -> None:
    cluster, client = swept
    expected: list[tuple[Example, list[ReportedHit]]] = []
    for check in AUDITED:
        if check.id in APART:
            continue
        named = []
        for number, example in enumerate(examples_of(check)):
            documents, _ = own_names(f"{check.id[:20]}{number}", [example.subject, *example.companions])
            named.append(Example(example.check, example.kind, example.bad, documents[0], tuple(documents[1:])))
        expected += scanned(check, named, tmp_path / check.id)
    _store(client, [document for example, _ in expected for document in (example.subject, *example.companions)])
    log = tmp_path / "operator.log"
    with operator(cluster, log):
        eventually(lambda: '"swept"' in log.read_text(), "the first sweep", seconds=120)
    there = findings(cluster)
    wrong = [
        f"{example}: scan {hits_of(found)}, operator {stored_hits(there.get(key_of(example)))}"
        for example, found in expected
        if stored_hits(there.get(key_of(example))) != hits_of(found)
    ]
    assert wrong == []
    assert len(expected) > 200


def _store(client: Client, documents: list[Json]) -> None:
    given = {d["metadata"]["name"] for d in documents if d["kind"] == "Namespace"}
    wanted = {d["metadata"]["namespace"] for d in documents if "namespace" in d["metadata"]} - given
    bare = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in sorted(wanted)]
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda d: create(client, d), [*bare, *(d for d in documents if d["kind"] == "Namespace")]))
        list(threads.map(lambda d: create(client, d), [d for d in documents if d["kind"] != "Namespace"]))


def test_the_engine_configuration_is_found_and_resolved(
    swept: tuple[ControlPlane, Client], tmp_path: Path, eventually: Eventually
) -> None:
    """no-early-drop: each engine by itself, bad, then mended by what its good example brings."""
    cluster, client = swept
    examples = {(example.kind, example.bad): example for example in examples_of(check_of("no-early-drop"))}
    kinds = sorted({kind for kind, _ in examples}, key=lambda kind: kind is STORED_FELIX_CONFIGURATION)
    assert {FELIX_CONFIGURATION, STORED_FELIX_CONFIGURATION} < set(kinds)
    scan = {
        str(example): found
        for example, found in scanned(check_of("no-early-drop"), list(examples.values()), tmp_path / "files")
    }
    log = tmp_path / "operator.log"
    with operator(cluster, log, period=2.0):
        for kind in kinds:
            bad, good = examples[(kind, True)], examples[(kind, False)]
            key = key_of(bad)
            _store(client, [bad.subject])

            def state(key: tuple[str, str, str] = key) -> str | None:
                return findings(cluster).get(key, {}).get("state")

            eventually(lambda state=state: state() == "Open", f"{bad} to be found", seconds=60)
            assert stored_hits(findings(cluster)[key]) == hits_of(scan[str(bad)])
            metadata = good.subject["metadata"]
            client.patch(kind, metadata.get("namespace"), metadata["name"], _replacing(good.subject))
            _store(client, list(good.companions))
            eventually(lambda state=state: state() == "Resolved", f"{good} to be resolved", seconds=60)
            for document in (good.subject, *good.companions):
                known = kind_as(document)
                assert known is not None
                client.delete(known, document["metadata"].get("namespace"), document["metadata"]["name"])


def _replacing(subject: Json) -> Json:
    """A merge patch that makes the content of a stored object this one's."""
    content = {key: value for key, value in subject.items() if key in ("spec", "data")}
    if "spec" in content:
        content["spec"] = {"xdpEnabled": None, **content["spec"]}
    return content


def test_holes_in_our_own_guard_are_found_and_resolved(
    guarded: Guarded, tmp_path: Path, eventually: Eventually, request: pytest.FixtureRequest
) -> None:
    """admission-bypass: the very configuration in force, opened, closed, removed and written again."""
    check = check_of("admission-bypass")
    guarded.only(check, "audit")
    cluster = guarded.cluster
    # A guard has holes only where something is denied.
    denying: Json = {"apiVersion": "iocaudit.io/v1alpha1", "kind": "AuditPolicy", "metadata": {"name": "denying"}}
    denying["spec"] = {"priority": 1_000_000, "checks": [{"ids": ["privileged-container"], "mode": "deny"}]}
    ensure(guarded, denying)
    request.addfinalizer(lambda: guarded.keeper.delete(AUDIT_POLICY, None, "denying"))
    examples = {example.kind: example for example in examples_of(check) if example.bad}
    (deployment,) = (kind for kind in examples if kind is not VALIDATING_WEBHOOK_CONFIGURATION)
    ensure(guarded, examples[deployment].subject)

    def state(kind: Kind) -> str | None:
        return findings(cluster).get(key_of(examples[kind]), {}).get("state")

    log = tmp_path / "operator.log"
    with operator(cluster, log, period=2.0):
        opened = json.loads(json.dumps(guarded.webhook.configuration(all_denying())))
        for webhook in opened["webhooks"]:
            webhook["failurePolicy"] = "Ignore"
        cluster.kubectl("apply", "-f", "-", input=json.dumps(opened))
        eventually(lambda: state(VALIDATING_WEBHOOK_CONFIGURATION) == "Open", "the open guard", seconds=60)
        example = Example(check.id, VALIDATING_WEBHOOK_CONFIGURATION, True, opened)
        ((_, expected),) = scanned(check, [example], tmp_path / "files", denying)
        assert stored_hits(findings(cluster)[key_of(example)]) == hits_of(expected)
        assert state(deployment) is None
        guarded.webhook.register(all_denying())
        eventually(lambda: state(VALIDATING_WEBHOOK_CONFIGURATION) == "Resolved", "the closed guard", seconds=60)
        guarded.webhook.unregister()
        eventually(lambda: state(deployment) == "Open", "the missing guard", seconds=60)
        guarded.webhook.register(all_denying())
        eventually(lambda: state(deployment) == "Resolved", "the guard that is back", seconds=60)
