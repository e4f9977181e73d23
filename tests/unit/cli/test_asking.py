"""checks, explain and policy explain: what the command line says of itself and of policies."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from unittest import mock

import jsonschema
import pytest

from iocaudit.cli import explain_command
from iocaudit.cluster.client import Client
from iocaudit.cluster.errors import NotFoundError
from iocaudit.core.check import Check
from iocaudit.core.kinds import NAMESPACE
from iocaudit.engine.catalogue import Catalogue, builtin_catalogue
from iocaudit.engine.rollout import fingerprint_of
from iocaudit.records.kinds import AUDIT_POLICY
from iocaudit.sinks.catalogue import records
from tests.support.api import FakeApi
from tests.support.running import run

CATALOGUE = builtin_catalogue()
SCHEMA = json.loads(Path(records.__file__).with_name("catalogue.schema.json").read_text(encoding="utf-8"))
POLICIES = """\
apiVersion: iocaudit.io/v1alpha1
kind: AuditPolicy
metadata: {name: shop}
spec:
  priority: 100
  match: {namespaces: [shop]}
  checks:
  - {ids: [untrusted-registry], mode: deny, parameters: {trusted: [hooli.com/]}}
  - {groups: [network], mode: warn}
---
apiVersion: iocaudit.io/v1alpha1
kind: AuditPolicy
metadata: {name: gold}
spec:
  priority: 100
  match: {namespaceSelector: {matchLabels: {tier: gold}}}
  checks: [{groups: [network], mode: deny}]
  exemptSubjects: [{kind: User, name: ada}]
---
apiVersion: iocaudit.io/v1alpha1
kind: AuditPolicy
metadata: {name: all}
spec: {checks: [{profiles: [default], mode: audit}]}
"""


def listed(*arguments: str) -> list[str]:
    code, out, _ = run("checks", "-o", "json", *arguments)
    assert code == 0
    found = json.loads(out)
    jsonschema.validate(found, SCHEMA)
    return [one["id"] for one in found]


def test_checks_lists_all_of_them_by_group_and_narrows_them() -> None:
    everything = listed()
    assert everything == [c.id for c in sorted(CATALOGUE, key=lambda c: (c.group, c.id))]
    assert listed("--ioc", "7") == [c for c in everything if 7 in _check(c).iocs]
    assert listed("--group", "images", "--group", "secrets") == [
        c for c in everything if _check(c).group in ("images", "secrets")
    ]
    narrow = listed("--profile", "strict", "--severity", "low", "--ioc", "3", "--ioc", "9")
    assert narrow
    assert all(_check(c).profile == "strict" and _check(c).severity.label == "low" for c in narrow)
    assert all({3, 9} & set(_check(c).iocs) for c in narrow)


def _check(check_id: str) -> Check:
    found = CATALOGUE.find(check_id)
    assert found is not None
    return found


def test_checks_as_table_and_as_markdown() -> None:
    code, table, _ = run("checks", "--group", "session")
    assert code == 0
    assert [line.split()[0] for line in table.splitlines()] == ["CHECK", "ephemeral-container-added", "exec-session"]
    code, text, _ = run("checks", "-o", "markdown", "--group", "session")
    assert code == 0
    assert text.splitlines()[0] == "| check | severity | IoC | flags |"
    assert "| `exec-session` | medium | 4 |" in text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("checks", "--group", "pod"), "there is no group 'pod' (did you mean pods?)"),
        (("checks", "--group", "volumes,nothing"), "there is no group 'nothing' (groups: images, network"),
        (("checks", "--ioc", "11"), "11"),
        (("explain",), "name a check"),
        (("explain", "host-pid", "privlieged-container"), "did you mean privileged-container"),
        (("explain", "--ioc", "0"), "0"),
        (("policy", "explain"), "give -n NAMESPACE or --cluster-scope"),
        (("policy", "explain", "-nshop", "--cluster-scope"), "give -n NAMESPACE or --cluster-scope"),
        (("policy", "explain", "-nshop", "--label", "tier"), "write KEY=VALUE"),
        (("policy", "explain", "-nshop", "--check", "nothing-such"), "there is no check 'nothing-such'"),
        (("policy", "explain", "-nshop", "--policy", "no-such-file.yaml"), "no-such-file.yaml"),
        (("policy", "explain", "-nshop", "--cluster", "--policy", "a.yaml"), "leave out --policy and --label"),
        (("policy", "explain", "-nshop", "--context", "a"), "--context goes with --cluster"),
        (("policy", "explain", "-nshop", "--kind", "Deploymnt"), "at objects of that kind (did you mean Deployment?)"),
        (("policy", "explain", "-nshop", "--kind", "ClusterRole"), "is of cluster scope: give --cluster-scope"),
        (("policy", "explain", "--cluster-scope", "--kind", "Pod"), "Pod is of a namespace: give -n NAMESPACE"),
        (("policy", "explain", "-nshop", "--operation", "DELETE"), "'DELETE' is not one of"),
    ],
)
def test_wrong_usage_is_2_and_says_what_is_wrong(arguments: tuple[str, ...], said: str) -> None:
    code, out, error = run(*arguments)
    assert code == 2
    assert said in error
    assert out == ""


def test_explain_prints_each_check_once_whatever_it_is_called() -> None:
    code, out, _ = run("explain", "host-pid", "exec-session", "host-pid")
    assert code == 0
    parts = out.split("\n" + "-" * 72 + "\n")
    assert [part.strip().splitlines()[0] for part in parts] == ["host-pid", "exec-session"]
    assert "hostPID: true" in parts[0]
    assert "in the webhook only, on CONNECT" in parts[1]


def test_a_check_is_found_and_suggested_by_an_id_it_had_before() -> None:
    renamed = dataclasses.replace(_check("host-pid"), aliases=("shares-host-processes",))
    with mock.patch.object(explain_command, "installed_catalogue", return_value=Catalogue([renamed])):
        code, out, _ = run("explain", "shares-host-processes")
        assert code == 0
        assert out.startswith("host-pid\n")
        assert "earlier ids  shares-host-processes" in out
        assert "did you mean shares-host-processes" in run("explain", "share-host-processes")[2]


def test_explain_an_indicator() -> None:
    code, out, _ = run("explain", "--ioc", "7")
    assert code == 0
    assert "Anomalies in DNS requests." in out
    assert "dns-egress-blocked" in out
    assert "it shows at run time" in run("explain", "--ioc", "8")[1]


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "policies.yaml"
    path.write_text(POLICIES, encoding="utf-8")
    return str(path)


def test_policy_explain_as_json(file: str) -> None:
    code, out, _ = run("policy", "explain", "-nshop", "--policy", file, "--label", "tier=gold", "-ojson")
    assert code == 0
    found = json.loads(out)
    assert found["asked"] == [{"name": n, "priority": p} for n, p in (("gold", 100), ("shop", 100), ("all", 0))]
    assert (found["namespace"], found["labels"], found["notHere"], found["refused"]) == (
        "shop", {"tier": "gold"}, [], [],
    )  # fmt: skip
    checks = {one["check"]: one for one in found["checks"]}
    assert len(checks) == len(CATALOGUE)
    image = checks["untrusted-registry"]
    assert (image["mode"], image["severity"], image["notConfigured"]) == ("deny", "high", [])
    assert image["parameters"]["trusted"] == ["hooli.com/"]
    assert image["decidedBy"] | {"parameters": {}} == {
        "policy": "shop", "priority": 100, "rule": "spec.checks[0]", "namedBy": "id",
        "mode": "deny", "severity": "high", "parameters": {},
    }  # fmt: skip
    assert [one["policy"] for one in image["shadowed"]] == ["all"]
    limit = checks["no-rate-limit"]
    assert (limit["decidedBy"]["policy"], limit["mode"], limit["conflicts"]) == ("gold", "deny", ["shop"])
    assert [one["policy"] for one in limit["shadowed"]] == ["shop", "all"]
    assert limit["exemptSubjects"] == [{"kind": "User", "name": "ada", "namespace": None}]
    assert (checks["low-uid"]["mode"], checks["low-uid"]["decidedBy"]) == ("off", None)


def test_policy_explain_as_table(file: str) -> None:
    only = ("--check", "no-rate-limit", "--check", "untrusted-registry", "--check", "low-uid")
    code, out, _ = run("policy", "explain", "-nshop", "--policy", file, *only)
    assert code == 0
    lines = out.splitlines()
    assert lines[0] == "namespace shop: asked in this order: shop (priority 100), all (priority 0)"
    assert lines[1] == "not here: gold"
    assert lines[2] == (
        "preset: warn (no policy here chooses one): warns about critical and high hits, and denies nothing"
    )
    rows = {line.split()[0]: line for line in lines[4:]}
    assert "warn  " in rows["no-rate-limit"]
    assert "shop, spec.checks[1] by group" in rows["no-rate-limit"]
    assert rows["no-rate-limit"].endswith("all, spec.checks[0] by profile: audit")
    assert '{"trusted": ["hooli.com/"]}' in rows["untrusted-registry"]
    assert "default (profile strict is not on)" in rows["low-uid"]
    out = run("policy", "explain", "-nshop", "--policy", file, "--label", "tier=gold", *only)[1]
    assert "conflict: gold and shop have the same priority" in out
    out = run("policy", "explain", "-nother", "--policy", file, *only)[1]
    assert "not configured: untrusted-registry does not run: a policy has to set its parameter trusted" in out
    out = run("policy", "explain", "--cluster-scope", "--check", "wildcard-rule")[1]
    assert out.startswith("cluster-scoped objects: no policy applies\n")
    assert "preset: warn (no policy here chooses one)" in out
    assert "preset warn" in out


def test_policy_explain_says_which_preset_holds_and_what_escapes_it(tmp_path: Path) -> None:
    path = tmp_path / "policies.yaml"
    path.write_text(
        "apiVersion: iocaudit.io/v1alpha1\nkind: AuditPolicy\nmetadata: {name: iocaudit-default}\n"
        "spec: {priority: -1000000, preset: guard}\n---\n"
        "apiVersion: iocaudit.io/v1alpha1\nkind: AuditPolicy\nmetadata: {name: legacy}\n"
        "spec: {priority: -1000000, match: {namespaces: [shop]}, checks: [{ids: [privileged-container], mode: off}]}\n"
    )
    only = ("--check", "privileged-container", "--check", "sensitive-host-path", "--policy", str(path))
    code, out, _ = run("policy", "explain", "-nshop", *only)
    assert code == 0
    assert "preset: guard (chosen by iocaudit-default): denies what hands over a node or the cluster" in out
    assert "escapes it: privileged-container (legacy)\n" in out
    assert "warn (critical hits: deny)" in out, "sensitive-host-path, whose own severity is high"
    found = json.loads(run("policy", "explain", "-nshop", "-ojson", *only)[1])
    assert found["preset"] == {"name": "guard", "chosenBy": "iocaudit-default"}
    assert found["escapes"] == [{"check": "privileged-container", "policy": "legacy"}]
    assert "escapes it" not in run("policy", "explain", "-nother", *only)[1]


BOUND = """\
apiVersion: iocaudit.io/v1alpha1
kind: AuditPolicy
metadata: {name: contractors}
spec:
  priority: 10
  match: {subjects: [{kind: Group, name: contractors}], operations: [CREATE, UPDATE], kinds: [Pod]}
  checks: [{ids: [privileged-container], mode: deny}]
---
apiVersion: iocaudit.io/v1alpha1
kind: AuditPolicy
metadata: {name: ci}
spec:
  match: {subjects: [{kind: Group, name: "system:serviceaccounts:ci"}]}
  checks: [{ids: [privileged-container], mode: audit}]
---
apiVersion: iocaudit.io/v1alpha1
kind: AuditPolicy
metadata: {name: everybody}
spec: {priority: -1, checks: [{ids: [privileged-container], mode: warn}]}
"""


@pytest.mark.parametrize(
    ("options", "first", "decides"),
    [
        ((), "namespace shop: asked in this order: everybody (priority -1)", "everybody"),
        (("--kind", "po"), "namespace shop, kind Pod: asked in this order: everybody (priority -1)", "everybody"),
        (
            ("--user", "eve", "--group", "contractors"),
            "namespace shop, CREATE by eve (contractors, system:authenticated): asked in this order: everybody (",
            "everybody",
        ),
        (
            ("--user", "eve", "--group", "contractors", "--kind", "deployments.apps", "--operation", "update"),
            "namespace shop, kind Deployment.apps, UPDATE by eve (contractors, system:authenticated): asked in this "
            "order: contractors (priority 10), everybody (priority -1)",
            "contractors",
        ),
        (
            ("--user", "system:serviceaccount:ci:deployer"),
            "namespace shop, CREATE by system:serviceaccount:ci:deployer (system:serviceaccounts, "
            "system:serviceaccounts:ci, system:authenticated): asked in this order: ci (priority 0), everybody",
            "ci",
        ),
        (("--operation", "CREATE"), "namespace shop, CREATE by any user (system:authenticated): asked", "everybody"),
    ],
)
def test_policy_explain_of_a_request(tmp_path: Path, options: tuple[str, ...], first: str, decides: str) -> None:
    path = tmp_path / "bound.yaml"
    path.write_text(BOUND)
    asked = ("policy", "explain", "-nshop", "--policy", str(path), "--check", "privileged-container", *options)
    code, out, _ = run(*asked)
    assert code == 0
    assert out.startswith(first)
    (row,) = [line for line in out.splitlines() if line.startswith("privileged-container")]
    assert f"{decides}, spec.checks[0] by id" in row
    found = json.loads(run(*asked, "-ojson")[1])
    (check,) = found["checks"]
    assert check["decidedBy"]["policy"] == decides
    assert check["forRequestsAlone"] is (decides != "everybody")
    assert {one["name"] for one in found["asked"]} | {one["name"] for one in found["notAsked"]} == {
        "contractors",
        "ci",
        "everybody",
    }


def test_policy_explain_tells_how_to_ask_of_policies_for_something_else(tmp_path: Path) -> None:
    path = tmp_path / "bound.yaml"
    path.write_text(BOUND)
    asked = ("policy", "explain", "-nshop", "--policy", str(path))
    line = run(*asked)[1].splitlines()[1]
    assert line == (
        "not asked: contractors (for Pod, on CREATE or UPDATE, for requests of Group contractors); ci (for requests of "
        "Group system:serviceaccounts:ci); ask with --kind, --user, --group, --operation"
    )
    assert run(*asked, "--user", "eve")[1].splitlines()[1].endswith("; ask with --kind")
    assert "ask with" not in run(*asked, "--user", "eve", "--kind", "pods")[1]
    execs = run(*asked, "--operation", "CONNECT", "--kind", "PodExecOptions")[1]
    assert "exec-session" in execs
    assert "privileged-container" not in execs


def test_policy_explain_of_a_cluster_takes_its_labels_and_says_what_is_refused() -> None:
    api = FakeApi()
    api.put(NAMESPACE, "shop", metadata={"labels": {"tier": "gold"}})
    match = {"namespaceSelector": {"matchLabels": {"tier": "gold"}}}
    api.put(AUDIT_POLICY, "gold", spec={"match": match, "checks": [{"ids": ["host-pid"], "mode": "deny"}]})
    api.put(AUDIT_POLICY, "bad", spec={"checks": [{"ids": ["host-pid"], "mode": "block"}]})
    with mock.patch.object(Client, "connect", return_value=api):
        code, out, _ = run("policy", "explain", "-nshop", "--cluster", "--check", "host-pid", "-ojson")
        assert code == 2
        found = json.loads(out)
        assert found["labels"] == {"tier": "gold"}
        assert found["checks"][0]["decidedBy"]["policy"] == "gold"
        assert found["refused"][0]["policy"] == "bad"
        assert "spec.checks[0].mode" in found["refused"][0]["reason"]
        code, out, _ = run("policy", "explain", "-nshop", "--cluster", "--check", "host-pid")
        assert code == 2
        assert "refused: AuditPolicy bad: spec.checks[0].mode" in out
        code, _, error = run("policy", "explain", "-nnone", "--cluster")
        assert code == 2
        assert "there is no namespace 'none'" in error
    assert not api.writes


def test_policy_explain_says_how_far_a_rollout_is(tmp_path: Path) -> None:
    """By its status in a cluster; a file counts as it ends."""
    api = FakeApi("shop", "pay", "lab")
    spec = {"preset": "guard", "rollout": {"after": "7d"}}
    raw = {"apiVersion": "iocaudit.io/v1alpha1", "kind": "AuditPolicy", "metadata": {"name": "staged"}, "spec": spec}
    holds = [{"namespace": "pay", "at": 1}, {"namespace": "lab", "at": 1, "steppedBack": "2026-11-30T00:00:00Z"}]
    status = {"fingerprint": fingerprint_of(spec), "stage": "Promoted", "holds": holds}
    api.put(AUDIT_POLICY, "staged", spec=spec, status={"rollout": status})
    said = {
        "shop": ("promoted here: at most deny", "to", "deny"),
        "pay": ("not promoted here: at most warn, later deny; its status says what it waits for", "from", "warn"),
        "lab": ("taken back here: at most warn, but for what preset guard denies", "back", "warn"),
    }
    with mock.patch.object(Client, "connect", return_value=api):
        for namespace, (line, standing, mode) in said.items():
            asked = ("policy", "explain", "-n", namespace, "--cluster", "--check", "privileged-container")
            code, out, _ = run(*asked)
            assert (code, f"rollout of staged: {line}\n" in out) == (0, True)
            (policy,) = json.loads(run(*asked, "-ojson")[1])["asked"]
            assert policy["rollout"] == {"standing": standing, "atMost": mode}
    file = tmp_path / "p.yaml"
    file.write_text(json.dumps(raw))
    assert (
        "rollout of staged: promoted here: at most deny\n" in run("policy", "explain", "-nshop", f"--policy={file}")[1]
    )


def test_a_cluster_without_our_kinds_is_said() -> None:
    api = FakeApi()

    def before(_method: str, path: str) -> None:
        if "auditpolicies" in path or "findings" in path:
            raise NotFoundError(path, 404, "NotFound", "the server could not find the requested resource")

    api.before = before
    with mock.patch.object(Client, "connect", return_value=api):
        for arguments in (("policy", "explain", "--cluster-scope", "--cluster"), ("top",)):
            code, out, error = run(*arguments)
            assert (code, out) == (2, "")
            assert "iocaudit is not installed in it" in error


def test_as_a_plugin_it_goes_by_kubectls_name() -> None:
    with mock.patch.object(sys, "argv", ["/usr/local/bin/kubectl-iocaudit", "top", "--help"]):
        from iocaudit.cli import main

        assert main._called() == "kubectl iocaudit"
    with mock.patch.object(sys, "argv", ["iocaudit"]):
        assert main._called() == "iocaudit"


def test_checks_that_wait_for_a_parameter_are_listed_with_it() -> None:
    code, said, _ = run("checks", "--unset")
    assert code == 0
    wanted = {(check.id, one.name) for check in CATALOGUE for one in check.parameters if one.required}
    assert {tuple(line.split()[:2]) for line in said.splitlines()[1:] if line[0].islower()} == wanted
    pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: []}\n"
    unset = len({check for check, _ in wanted})
    assert f"{unset} checks need a parameter (iocaudit checks --unset)" in run("scan", "-", stdin=pod)[1]


def test_the_ten_indicators_fit_on_one_screen() -> None:
    code, said, _ = run("explain", "--ioc")
    assert code == 0
    lines = said.splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80
    assert [line.split()[0] for line in lines[1:11]] == [str(number) for number in range(1, 11)]
    assert run("explain", "--ioc", "7")[1].startswith("IoC 7")


@pytest.mark.parametrize("columns", [80, 120])
def test_lists_and_pages_keep_to_the_width(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    for arguments in (("checks",), ("checks", "--unset"), *(("explain", check.id) for check in list(CATALOGUE)[:30])):
        code, said, _ = run(*arguments)
        assert code == 0
        long = [line for line in said.splitlines() if len(line) > columns and not line.startswith(("  ", "https:"))]
        if arguments[0] == "explain":  # the words of a table may need more
            long = [line for line in long if "  " not in line]
        assert not long
