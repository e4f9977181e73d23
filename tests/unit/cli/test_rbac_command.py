"""The questions on the command line: answers, exit codes, hostile and broken input."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

WORLD = """\
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: deploy, namespace: shop}
rules: [{apiGroups: [apps], resources: [deployments], verbs: [create]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: ci, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: deploy}
subjects: [{kind: User, name: alice}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: bot}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects: [{kind: ServiceAccount, name: bot, namespace: shop}]
"""


def rbac(*arguments: str, text: str = WORLD) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "iocaudit.cli", "rbac", *arguments]
    return subprocess.run(command, input=text, capture_output=True, text=True, timeout=60, check=False)


def test_who_can_as_a_table() -> None:
    done = rbac("who-can", "create", "deployments", "-n", "shop", "-")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "SUBJECT                  NAMESPACE  BINDING                 ROLE",
        "ServiceAccount shop/bot  *          ClusterRoleBinding bot  ClusterRole cluster-admin",
        "User alice               shop       RoleBinding shop/ci     Role deploy",
    ]
    assert "User alice" not in rbac("who-can", "create", "deployments.apps", "-n", "else", "-").stdout
    assert "no subject" in rbac("who-can", "get", "pods", "-", text="apiVersion: v1\nkind: Namespace\n").stdout


def test_who_can_as_json() -> None:
    found = json.loads(rbac("who-can", "create", "deployments", "-", "-o", "json").stdout)
    assert found["notKnown"] == []
    bot, alice = found["grants"]
    assert bot["namespace"] is None
    where = {"kind": "RoleBinding", "namespace": "shop", "name": "ci", "source": "file", "file": "<stdin>", "line": 6}
    assert alice == {
        "subject": {"kind": "User", "namespace": None, "name": "alice"},
        "namespace": "shop",
        "binding": where,
        "role": "Role deploy",
        "names": [],
    }


@pytest.mark.parametrize(
    "word", ["Deployment", "deployment", "deploy", "deployments", "deployments.apps", "deploy.apps"]
)
def test_a_resource_may_be_written_as_its_kind_or_short(word: str) -> None:
    done = rbac("who-can", "create", word, "-")
    assert done.returncode == 0, done.stderr
    assert "User alice" in done.stdout


def test_everything_and_what_is_impersonated_can_be_asked_for() -> None:
    for verb, resource in (("*", "*"), ("impersonate", "users"), ("impersonate", "userextras/scopes")):
        done = rbac("who-can", verb, resource, "-")
        assert done.returncode == 0, done.stderr
        assert [line.split()[1] for line in done.stdout.splitlines()[1:]] == ["shop/bot"], resource
    core = WORLD.replace(
        "apiGroups: [apps], resources: [deployments], verbs: [create]",
        'apiGroups: [""], resources: ["*"], verbs: ["*"]',
    )
    assert "alice" not in rbac("who-can", "*", "*", "-", text=core).stdout


def test_an_account_without_a_namespace_is_of_the_bindings() -> None:
    local = WORLD.replace("{kind: User, name: alice}", "{kind: ServiceAccount, name: ci}")
    assert "ServiceAccount shop/ci " in rbac("who-can", "create", "deployments", "-", text=local).stdout
    assert rbac("path", "ServiceAccount:shop:ci", "-", text=local).returncode == 1


def test_path_step_by_step() -> None:
    done = rbac("path", "alice", "-")
    assert done.returncode == 1, done.stderr
    assert done.stdout.splitlines() == [
        "1. User alice runs a pod as ServiceAccount shop/bot  [RoleBinding shop/ci, Role deploy]",
        "2. ServiceAccount shop/bot holds every right  [ClusterRoleBinding bot, ClusterRole cluster-admin]",
    ]
    found = json.loads(rbac("path", "User:alice", "-", "-o", "json").stdout)
    assert found["clusterAdmin"] is True
    assert [step["to"] and step["to"]["name"] for step in found["steps"]] == ["bot", None]


@pytest.mark.parametrize(
    "subject", ["ServiceAccount:shop:bot", "ServiceAccount:shop/bot", "system:serviceaccount:shop:bot"]
)
def test_spellings_of_an_account(subject: str) -> None:
    assert rbac("path", subject, "-").returncode == 1


def test_no_way_is_0_and_3_where_a_role_is_not_known() -> None:
    assert rbac("path", "bob", "-").returncode == 0
    unknown = WORLD.replace("name: deploy}", "name: gone}")
    assert rbac("path", "alice", "-", text=unknown).returncode == 0
    done = rbac("path", "alice", "-", "--require-complete", text=unknown)
    assert done.returncode == 3
    assert "not judged: Role gone" in done.stderr
    assert rbac("who-can", "get", "pods", "-", "--require-complete", text=unknown).returncode == 3


@pytest.mark.parametrize(
    "arguments",
    [
        ("who-can", "get", "pods"),
        ("who-can", "get", "pods", "-", "--cluster"),
        ("who-can", "get", "nonsense", "-"),
        ("path", "alice", "-", "--context", "a"),
        ("path", "ServiceAccount:bot", "-"),
        ("path", "alice", "no-such-file.yaml"),
        ("who-can", "get", "-"),
    ],
)
def test_wrong_usage_is_2_without_a_traceback(arguments: tuple[str, ...]) -> None:
    done = rbac(*arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert done.stderr


def test_a_broken_document_is_2_and_the_rest_is_answered(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(WORLD)
    (tmp_path / "b.yaml").write_text("kind: Role\nmetadata: {name: [\n")
    done = rbac("path", "alice", str(tmp_path))
    assert done.returncode == 2
    assert "b.yaml" in done.stderr
    assert "holds every right" in done.stdout


def test_control_characters_are_spelled_out() -> None:
    hostile = WORLD.replace("name: alice", 'name: "a\\u001b[31m"')
    done = rbac("who-can", "create", "deployments", "-", text=hostile)
    assert "\x1b" not in done.stdout
    assert "\\u001b" in done.stdout


def test_nothing_heavy_is_imported_for_files() -> None:
    text = (
        "import sys; from iocaudit.cli.main import cli\n"
        "try: cli(['rbac', 'path', 'alice', '-'], standalone_mode=False)\n"
        "finally: print([m for m in ('kubernetes', 'kopf', 'fastapi', 'cryptography') if m in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", text], input=WORLD, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    "words",
    ["ServiceAccount:shop:bot", "serviceaccount:shop/bot", "ServiceAccount shop/bot", "system:serviceaccount:shop:bot"],
)
def test_a_subject_is_understood_as_people_and_this_program_write_it(words: str) -> None:
    done = rbac("path", words, "-")
    assert (done.returncode, done.stderr) == (1, "")
    assert "ServiceAccount shop/bot" in done.stdout


@pytest.mark.parametrize(("words", "title"), [("group:dev", "Group dev"), ("system:masters", "Group system:masters")])
def test_groups_are_told_from_users(words: str, title: str) -> None:
    done = rbac("path", words, "-")
    assert title in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize("words", ["shop/bot", "Robot:bot"])
def test_a_name_that_no_binding_says_is_more_likely_a_slip(words: str) -> None:
    done = rbac("path", words, "-")
    assert done.returncode == 0
    assert f"note: no binding names User {words}" in done.stderr
    assert rbac("path", "alice", "-").stderr == ""


def test_an_account_that_no_binding_says_is_told_unless_its_group_leads_there() -> None:
    assert "note: no binding names ServiceAccount shop/bott" in rbac("path", "ServiceAccount:shop:bott", "-").stderr
    everybody = WORLD.replace(
        "{kind: ServiceAccount, name: bot, namespace: shop}", '{kind: Group, name: "system:serviceaccounts"}'
    )
    done = rbac("path", "ServiceAccount:shop:bott", "-", text=everybody)
    assert (done.returncode, done.stderr) == (1, "")
