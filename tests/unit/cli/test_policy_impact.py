"""``iocaudit policy impact``: what it prints, what it writes, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.audit_events import event, gke, line
from tests.support.running import run
from tests.unit.cli.test_policy_try import OBJECTS, POLICY

GOLDEN = Path(__file__).parent / "golden"
Json = dict[str, Any]


def pod(name: str, *, privileged: bool = True, **metadata: Any) -> Json:
    container: Json = {"name": "app", "image": f"hooli.com/shop/{name}:1.4"}
    if privileged:
        container["securityContext"] = {"privileged": True}
    metadata = {"name": name, "namespace": "shop", "uid": f"u-{name}", **metadata}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container]}}


def made(number: int, raw: Json, **given: Any) -> bytes:
    ref = {"resource": "pods", "namespace": "shop", "name": raw["metadata"]["name"], "apiVersion": "v1"}
    return line(event(number, objectRef=ref, requestObject=raw, responseObject=raw, **given))


def write(folder: Path, name: str, data: bytes | str) -> str:
    path = folder / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return str(path)


@pytest.fixture
def policy(tmp_path: Path) -> str:
    return write(tmp_path, "policy.yaml", POLICY % "shop")


@pytest.fixture
def log(tmp_path: Path) -> str:
    generated: Json = {"generateName": "job-"}
    robot = {"user": {"username": "system:serviceaccount:ci:cd", "groups": []}}
    lines = [
        made(1, pod("web")),
        made(2, pod("web-2", privileged=False)),
        made(3, pod("job-x", **generated), **robot),
        made(4, pod("other"), requestURI="/api/v1/namespaces/shop/pods?dryRun=All"),
        made(5, pod("other"), responseStatus={"code": 403, "message": "forbidden"}),
        made(6, pod("other"), level="Metadata").replace(b"requestObject", b"x").replace(b"responseObject", b"y"),
        made(7, pod("web"), verb="patch", responseStatus={"code": 200}),
        line(gke(event(8, requestObject=pod("g"), responseObject=pod("g")), principal="bob@hooli.com")),
        line(event(9, verb="list", requestObject=None, responseObject=None)),
    ]
    return write(tmp_path, "audit.log", b"".join(lines))


def relative(text: str, folder: Path) -> str:
    return text.replace(f"{folder}/", "")


def test_what_went_on_is_told(policy: str, log: str, tmp_path: Path) -> None:
    code, said, errors = run("policy", "impact", "--policy", policy, "--audit-log", log)
    assert (code, errors) == (1, "")
    assert relative(said, tmp_path) == (GOLDEN / "policy-impact.txt").read_text()


def test_json_holds_all_of_it(policy: str, log: str, tmp_path: Path) -> None:
    code, said, _ = run("policy", "impact", "--policy", policy, "--audit-log", log, "-o", "json")
    assert code == 1
    found = json.loads(said)
    assert (
        relative(json.dumps(found["history"], indent=2) + "\n", tmp_path) == (GOLDEN / "policy-impact.json").read_text()
    )
    assert (found["objects"], found["deniedAlready"], found["notRead"]) == (None, [], [])


def test_a_login_in_an_image_is_never_shown(policy: str, tmp_path: Path) -> None:
    images = ["bob:hunter2@reg.io/x", "reg.io/y:1@sha256:" + "0" * 64, "reg.io:5000/z:2", "https://a:hunter2@r.io/x"]
    lines = []
    for number, image in enumerate(images):
        raw = pod(f"p{number}")
        raw["spec"]["containers"][0]["image"] = image
        lines.append(made(number, raw))
    log = write(tmp_path, "audit.log", b"".join(lines))
    for output in ("table", "json"):
        _, said, errors = run("policy", "impact", "--policy", policy, "--audit-log", log, "-o", output)
        assert "hunter2" not in said + errors
        assert "login" in said
    shown = {image for one in json.loads(said)["history"]["wouldHaveBeenDenied"] for image in one["images"]}
    assert set(images[1:3]) <= shown, "a tag and a digest are no login"


def test_another_namespace_is_counted_as_such(policy: str, log: str) -> None:
    _, said, _ = run("policy", "impact", "--policy", policy, "--audit-log", log, "-n", "bank", "-o", "json")
    found = json.loads(said)["history"]
    assert (found["requests"], found["otherNamespaces"]) == (0, found["log"]["events"])


def test_files_are_tried_beside(policy: str, log: str, tmp_path: Path) -> None:
    objects = write(tmp_path, "objects.yaml", OBJECTS)
    code, said, _ = run("policy", "impact", "--policy", policy, objects, "--audit-log", log)
    assert code == 1
    assert said.startswith("would be denied if made anew: 1 of 4 objects\n")
    assert "would have been denied: 3 requests" in said
    code, alone, _ = run("policy", "impact", "--policy", policy, objects)
    assert alone == run("policy", "try", policy, objects)[1]
    assert code == 1


def test_waivers_let_go_on_what_they_are_written_for(policy: str, log: str, tmp_path: Path) -> None:
    target = str(tmp_path / "waivers.yaml")
    options = ("--write-waivers", target, "--owner", "shop", "--reason", "old", "--days", "30")
    code, _, errors = run("policy", "impact", "--policy", policy, "--audit-log", log, *options)
    assert code == 1
    assert "left out: 2 critical findings on 2 objects" in errors
    assert not Path(target).exists()
    code, _, errors = run("policy", "impact", "--policy", policy, "--audit-log", log, *options, "--include-critical")
    assert "Pod shop/job-x: its name is made anew each time (1 request)" in errors
    assert f"{target}: 2 waivers for 2 hits on 2 objects" in errors
    code, said, _ = run("policy", "impact", "--policy", policy, "--policy", target, "--audit-log", log)
    assert "would have been denied: 1 request\n" in said
    assert "Pod/job-  " in said
    objects = write(tmp_path, "objects.yaml", OBJECTS)
    run("policy", "impact", "--policy", policy, objects, *options, "--include-critical")
    assert run("policy", "impact", "--policy", policy, "--policy", target, objects)[0] == 0


def test_a_log_without_denials_is_exit_0_and_one_that_cannot_be_read_whole_3(policy: str, tmp_path: Path) -> None:
    good = write(tmp_path, "good.log", made(1, pod("web", privileged=False)))
    assert run("policy", "impact", "--policy", policy, "--audit-log", good)[0] == 0
    cut = write(tmp_path, "cut.log", made(1, pod("web", privileged=False)) + made(2, pod("b"))[:-30])
    code, said, errors = run("policy", "impact", "--policy", policy, "--audit-log", cut)
    assert code == 3
    assert f"not read: {cut}:2: not JSON" in errors
    assert "1 of them judged (100.0 %)" in said


def test_standard_input_may_be_the_log(policy: str) -> None:
    code, said, _ = run("policy", "impact", "--policy", policy, "--audit-log", "-", stdin=made(1, pod("web")))
    assert code == 1
    assert "would have been denied: 1 request\n" in said


def test_what_looks_up_other_objects_is_told_without_them(tmp_path: Path) -> None:
    spec = "spec: {onIncomplete: deny, checks: [{ids: [no-ingress-policy], mode: deny}]}"
    head = "apiVersion: iocaudit.io/v1alpha1\nkind: AuditPolicy\nmetadata: {name: a}\n"
    policy = write(tmp_path, "policy.yaml", head + spec)
    log = write(tmp_path, "audit.log", made(1, pod("web", privileged=False)))
    code, said, _ = run("policy", "impact", "--policy", policy, "--audit-log", log)
    assert code == 0
    assert "a check looks up other objects, and the policy says onIncomplete: deny: give PATHs or --cluster" in said
    objects = write(tmp_path, "ns.yaml", "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n")
    code, said, _ = run("policy", "impact", "--policy", policy, "--audit-log", log, objects)
    assert code == 1
    assert "no-ingress-policy" in said
    assert "today: the hit depends on other objects" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "give PATHs to files, --cluster or --audit-log FILE"),
        (("x.yaml", "--cluster"), "give PATHs or --cluster"),
        (("--audit-log", "x", "--context", "c"), "--context goes with --cluster"),
        (("--audit-log", "absent"), "absent: cannot be read: No such file"),
        (("--audit-log", "."), "a folder"),
        (("--audit-log", "-", "-"), "only one of policies, objects and logs"),
        (("--audit-log", "x", "--owner", "me"), "--owner goes with --write-waivers"),
        (("--audit-log", "x", "--write-waivers", "w"), "--write-waivers needs --owner and --reason and --days"),
    ],
)
def test_wrong_usage_is_told(policy: str, arguments: tuple[str, ...], said: str) -> None:
    code, out, errors = run("policy", "impact", "--policy", policy, *arguments)
    assert (code, out) == (2, "")
    assert said in errors


def test_a_file_that_is_no_log_is_told(policy: str, tmp_path: Path) -> None:
    other = write(tmp_path, "other.log", b"I1130 10:00:00 klog\nmore\n")
    code, out, errors = run("policy", "impact", "--policy", policy, "--audit-log", other)
    assert (code, out) == (2, "")
    assert f"there is no event of an audit log in the input: {other}:1: not JSON" in errors
