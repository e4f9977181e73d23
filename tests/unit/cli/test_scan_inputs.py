"""Whatever comes in: a clear word by file and line, the rest still audited, nothing dropped, no Fault."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.running import run

POD = "apiVersion: v1\nkind: Pod\nmetadata: {name: good}\nspec: {hostPID: true, containers: [{name: a, image: b}]}\n"
LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9)
)


def scanned(*arguments: str) -> tuple[int, dict[str, Any]]:
    code, said, _ = run("scan", "-o", "json", *arguments)
    return code, json.loads(said)


@pytest.mark.parametrize(
    ("data", "line", "reason"),
    [
        (b"a: " + b"[" * 5000, 1, "levels deep"),
        (LAUGHS.encode(), None, "aliases"),
        (b"\x7fELF\x00\x01\x02", None, "binary"),
        (b"a: 1\nb: [\n", 3, "not YAML"),
        (b"a: 1\nb: caf\xe9\n", 2, "UTF-8"),
        (b"\xff\xfea", None, "UTF-16"),
    ],
    ids=["deep", "aliased", "binary", "broken", "latin-1", "cut UTF-16"],
)
def test_bad_input_is_named_and_the_rest_is_audited(tmp_path: Path, data: bytes, line: int | None, reason: str) -> None:
    (tmp_path / "bad.yaml").write_bytes(data)
    (tmp_path / "good.yaml").write_text(POD)
    code, said = scanned(str(tmp_path))
    assert code == 2
    assert {finding["subject"]["name"] for finding in said["findings"]} == {"good"}
    (error,) = said["errors"]
    assert error["file"] == str(tmp_path / "bad.yaml")
    assert line is None or error["line"] == line
    assert reason in error["reason"]


def test_a_huge_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("iocaudit.sources.files.MOST_BYTES", 1024 * 1024)
    (tmp_path / "huge.yaml").write_text("# a comment\n" * 100_000 + POD)
    (tmp_path / "good.yaml").write_text(POD)
    code, said = scanned(str(tmp_path))
    assert code == 2
    assert "larger than 1 MiB" in said["errors"][0]["reason"]
    assert said["findings"]


@pytest.mark.parametrize(
    ("text", "read"),
    [
        (None, "0 files, 0 documents"),
        ("", "1 file, 0 documents"),
        ("services: {web: {image: nginx}}\n", "1 file, 1 document"),
        ("kind: Pod\nmetadata: {name: a}\n", "1 file, 1 document"),
        ("apiVersion: v1\nkind: List\nitems: []\n", "1 file, 1 document"),
    ],
)
def test_without_a_single_object_a_run_is_not_green(tmp_path: Path, text: str | None, read: str) -> None:
    """As after a step that failed and wrote nothing; every output says it."""
    if text is not None:
        (tmp_path / "empty.yaml").write_text(text)
    for output in ("table", "json", "sarif", "junit", "github"):
        code, said, errors = run("scan", "-o", output, str(tmp_path))
        assert (code, errors) == (2, "")
        assert "no Kubernetes object in it" in said
        assert read in said
        code, said, errors = run("scan", "-o", output, "--allow-empty", str(tmp_path))
        assert (code, errors) == (0, "")
        assert "no Kubernetes object in it" not in said
    code, said, errors = run("scan", str(tmp_path), "--write-baseline", str(tmp_path / "known.json"))
    assert (code, "no Kubernetes object in it" in errors, (tmp_path / "known.json").exists()) == (2, True, False)


def test_what_only_the_options_leave_out_is_not_an_empty_input() -> None:
    text = "apiVersion: example.org/v1\nkind: Widget\nmetadata: {name: a}\n"
    assert run("scan", "-", stdin=text)[0] == 0, "an object of a kind that no check knows"
    assert run("scan", "-", "--check", "no-rate-limit", stdin=POD)[0] == 0
    code, said, _ = run("scan", "-", "--require-complete", "--skip", "host-pid", stdin="")
    assert (code, "<stdin>: no Kubernetes object" in said) == (2, True)


def test_a_file_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "dangling.yaml").symlink_to(tmp_path / "nowhere")
    (tmp_path / "good.yaml").write_text(POD)
    code, said = scanned(str(tmp_path))
    assert (code, [error["file"] for error in said["errors"]]) == (2, [str(tmp_path / "dangling.yaml")])
    assert said["findings"]


NUMBERS = ["9" * 5000, "-" + "9" * 5000, "9" * 5000 + ".5", "1e" + "9" * 5000, "9" * 309, "0x" + "f" * 5000]


@pytest.mark.parametrize("number", NUMBERS, ids=[number[:4] + str(len(number)) for number in NUMBERS])
@pytest.mark.parametrize("quote", ["", '"'])
@pytest.mark.parametrize("name", ["a.yaml", "a.json"])
def test_a_number_of_any_length_is_no_fault(tmp_path: Path, number: str, quote: str, name: str) -> None:
    n = quote + number + quote
    pod = f"""{{"apiVersion": "v1", "kind": "Pod", "metadata": {{"name": "a", "labels": {{"a": {n}}}}}, "spec": {{
        "securityContext": {{"runAsUser": {n}, "fsGroup": {n}, "supplementalGroups": [{n}]}},
        "volumes": [{{"name": "a", "hostPath": {{"path": {n}}}}}, {{"name": "b", "emptyDir": {{"sizeLimit": {n}}}}}],
        "containers": [{{"name": "a", "image": {n}, "securityContext": {{"runAsUser": {n}}},
          "ports": [{{"containerPort": {n}, "hostPort": {n}}}],
          "resources": {{"limits": {{"cpu": {n}, "memory": {n}}}, "requests": {{"cpu": {n}}}}},
          "volumeMounts": [{{"name": "a", "mountPath": {n}}}]}}]}}}}"""
    ingress = f"""{{"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {{"name": "a", "annotations":
        {{"nginx.ingress.kubernetes.io/limit-rps": {n}, "nginx.ingress.kubernetes.io/limit-connections": {n}}}}},
        "spec": {{"ingressClassName": "nginx", "rules": [{{"host": "a"}}]}}}}"""
    role = f"""{{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {{"name": "a"}},
        "rules": [{{"apiGroups": [{n}], "resources": [{n}], "verbs": [{n}]}}]}}"""
    quota = f"""{{"apiVersion": "v1", "kind": "LimitRange", "metadata": {{"name": "a"}},
        "spec": {{"limits": [{{"type": "Container", "default": {{"cpu": {n}, "memory": {n}}}}}]}}}}"""
    file = tmp_path / name
    between = "\n" if name == "a.json" else "\n---\n"
    file.write_text(between.join((pod, ingress, role, quota)))
    code, said = scanned("--profile", "strict", str(file))
    assert code in (1, 2)
    assert said["faults"] == []
    assert said["summary"]["audited"] + said["summary"]["unreadable"] >= 4


def test_a_file_name_that_is_no_utf8_breaks_no_output(tmp_path: Path) -> None:
    with open(os.fsencode(tmp_path) + b"/caf\xe9.yaml", "wb") as stream:
        stream.write(POD.encode() + b"---\n[\n")
    for output in ("table", "json", "sarif", "junit", "github"):
        code, said, errors = run("scan", "-o", output, str(tmp_path))
        assert (code, errors) == (2, "")
        assert "e9" in said.lower()


@pytest.mark.parametrize("output", ["table", "json", "sarif", "junit", "github"])
@pytest.mark.parametrize("written", ["json", "yaml"])
def test_a_bare_list_of_objects_is_left_out_and_said(tmp_path: Path, written: str, output: str) -> None:
    pods = [{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": f"p{n}"}, "spec": {}} for n in range(2)]
    file = tmp_path / f"a.{written}"
    file.write_text(json.dumps(pods) if written == "json" else yaml.safe_dump(pods))
    code, said, _ = run("scan", "-o", output, "--require-complete", str(file))
    assert code == 3
    assert "a list of 2 objects was left out" in said
    file.write_text(json.dumps([{"op": "remove", "path": "/spec"}, "text", 1]))
    code, said, _ = run("scan", "-o", output, "--require-complete", "--allow-empty", str(file))
    assert (code, "was left out" in said) == (0, False)


def test_what_of_a_list_is_not_an_object_is_said(tmp_path: Path) -> None:
    items = [{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}}, {"metadata": {"name": "b"}}, None, "c"]
    (tmp_path / "a.json").write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    code, said, _ = run("scan", "-o", "json", "--require-complete", str(tmp_path))
    assert code == 3
    (entry,) = json.loads(said)["skipped"]
    assert entry["reason"] == "items[1] and 2 more are left out: not an object with apiVersion and kind"
