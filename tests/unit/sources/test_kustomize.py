"""A file that a kustomization names as a patch is a fragment where its resources hold what the patch changes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.running import run

Json = dict[str, Any]


def deployment(name: str = "web", *, namespace: str | None = None, **container: Any) -> Json:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    spec = {"containers": [{"name": "app", **container}]}
    template = {"metadata": {"labels": {"a": "b"}}, "spec": spec}
    body = {"selector": {"matchLabels": {"a": "b"}}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": body}


BASE = deployment(image="example.org/a:1", securityContext={"allowPrivilegeEscalation": False})
PATCH = deployment(args=["--verbose"])


def write(root: Path, files: dict[str, Any]) -> Path:
    for name, value in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        documents = value if isinstance(value, list) else [value]
        path.write_text(value if isinstance(value, str) else yaml.safe_dump_all(documents, sort_keys=False))
    return root


def scanned(root: Path, *arguments: str) -> tuple[set[str], dict[str, str], Json]:
    """The files in which an open privilege escalation was found, what was skipped in which file, and the rest."""
    _, said, errors = run("scan", "-o", "json", "--check", "privilege-escalation-allowed", *arguments, str(root))
    assert said, errors
    report = json.loads(said)
    found = {str(Path(one["file"]).relative_to(root)) for one in report["findings"]}
    skipped = {str(Path(one["file"]).relative_to(root)): one["reason"] for one in report["skipped"] if one["file"]}
    return found, skipped, report


NAMING: list[Json] = [
    {"patches": [{"path": "p.yaml"}]},
    {"patches": [{"path": "p.yaml", "target": {"kind": "Deployment"}}]},
    {"patches": [{"path": "p.yaml", "target": {"kind": "Deployment|StatefulSet", "name": "w.*"}}]},
    {"patches": [{"path": "p.yaml", "target": {"group": "apps", "version": "v1", "name": "web"}}]},
    {"patches": [{"path": "./p.yaml"}, {"patch": "- op: remove\n  path: /spec"}]},
    {"patchesStrategicMerge": ["p.yaml", "apiVersion: v1\nkind: Pod\n"]},
]


@pytest.mark.parametrize("naming", NAMING)
@pytest.mark.parametrize("name", ["kustomization.yaml", "kustomization.yml", "Kustomization"])
def test_a_patch_is_a_fragment(tmp_path: Path, naming: Json, name: str) -> None:
    write(tmp_path, {name: {"resources": ["base.yaml"], **naming}, "base.yaml": BASE, "p.yaml": PATCH})
    for options in ((), ("--jobs", "2"), ("--each-file-alone",)):
        found, skipped, _ = scanned(tmp_path, *options)
        assert found == set()
        assert "a patch, which" in skipped["p.yaml"]
        assert name in skipped["p.yaml"]
    assert run("scan", "--require-complete", str(tmp_path))[0] == 3


@pytest.mark.parametrize("naming", NAMING)
@pytest.mark.parametrize(
    "other",
    [
        {"resources": ["base.yaml"]},
        {"resources": []},
        {"resources": ["https://example.org/base.yaml", "gone.yaml"]},
    ],
)
def test_a_patch_of_nothing_in_the_input_is_judged(tmp_path: Path, naming: Json, other: Json) -> None:
    """Else whoever adds a kustomization could keep any manifest from being judged."""
    kustomization = {**other, **naming}
    unlike = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web"}}
    write(tmp_path, {"kustomization.yaml": kustomization, "base.yaml": unlike, "p.yaml": PATCH})
    assert scanned(tmp_path)[0] == {"p.yaml"}


@pytest.mark.parametrize(
    "change",
    [{"name": "other"}, {"kind": "StatefulSet"}, {"namespace": "other"}, {"apiVersion": "extensions/v1beta1"}],
)
def test_a_patch_of_another_object_is_judged(tmp_path: Path, change: Json) -> None:
    patch = json.loads(json.dumps(PATCH))
    for key, value in change.items():
        (patch if key in ("kind", "apiVersion") else patch["metadata"])[key] = value
    base = deployment(namespace="shop", image="a:1", securityContext={"allowPrivilegeEscalation": False})
    files = {"kustomization.yaml": {"resources": ["base.yaml"], "patches": [{"path": "p.yaml"}]}}
    write(tmp_path, {**files, "base.yaml": base, "p.yaml": patch})
    assert scanned(tmp_path)[0] == {"p.yaml"}


def test_what_is_also_a_resource_is_judged(tmp_path: Path) -> None:
    whole = {"resources": ["base.yaml", "p.yaml"], "patches": [{"path": "p.yaml"}]}
    write(tmp_path, {"kustomization.yaml": whole, "base.yaml": BASE, "p.yaml": PATCH})
    assert scanned(tmp_path)[0] == {"p.yaml"}


def test_only_the_documents_that_are_patches_are_left_out(tmp_path: Path) -> None:
    files = {"kustomization.yaml": {"resources": ["base.yaml"], "patches": [{"path": "p.yaml"}]}}
    write(tmp_path, {**files, "base.yaml": BASE, "p.yaml": [PATCH, deployment("other", image="a:1")]})
    found, skipped, report = scanned(tmp_path)
    assert found == {"p.yaml"}
    assert "p.yaml" in skipped
    assert {one["subject"]["name"] for one in report["findings"]} == {"other"}


def test_bases_prefixes_and_components_are_followed(tmp_path: Path) -> None:
    component = {"apiVersion": "kustomize.config.k8s.io/v1alpha1", "kind": "Component", "patches": [{"path": "c.yaml"}]}
    overlay = {
        "resources": ["../mid"],
        "components": ["../part"],
        "patches": [{"path": "o.yaml"}, {"path": "named.yaml"}, {"path": "wrong.yaml"}],
        "namespace": "prod",
    }
    write(
        tmp_path,
        {
            "base/kustomization.yaml": {"resources": ["d.yaml"]},
            "base/d.yaml": BASE,
            "mid/kustomization.yaml": {"bases": ["../base"], "namePrefix": "eu-", "nameSuffix": "-1"},
            "over/kustomization.yaml": overlay,
            "over/o.yaml": PATCH,
            "over/named.yaml": deployment("eu-web-1", args=["x"]),
            "over/wrong.yaml": deployment("us-web-1", args=["x"]),
            "part/kustomization.yaml": component,
            "part/c.yaml": PATCH,
        },
    )
    found, skipped, _ = scanned(tmp_path)
    assert found == {"over/wrong.yaml"}
    assert {"over/o.yaml", "over/named.yaml", "part/c.yaml"} <= skipped.keys()
    # Without the base in the input nothing says what the overlay changes.
    assert scanned(tmp_path / "over")[0] == {"o.yaml", "named.yaml", "wrong.yaml"}


def test_kustomizations_that_take_each_other_end(tmp_path: Path) -> None:
    for one, other in (("a", "b"), ("b", "a")):
        kustomization = {"resources": [f"../{other}", "d.yaml"], "patches": [{"path": "p.yaml"}]}
        write(tmp_path, {f"{one}/kustomization.yaml": kustomization, f"{one}/d.yaml": BASE, f"{one}/p.yaml": PATCH})
    assert scanned(tmp_path)[0] == set()


@pytest.mark.parametrize(
    "text",
    [
        "patches: 1\nresources: {}\n",
        "resources: [1, {a: b}, null]\npatches: [x, {path: 3}, {path: p.yaml, target: 3}]\n",
        "patches: [{path: p.yaml, target: {kind: '(', name: '['}}]\nresources: [base.yaml]\n",
        "[]\n",
        "a: [\n",
    ],
)
def test_a_strange_kustomization_costs_no_judgement(tmp_path: Path, text: str) -> None:
    write(tmp_path, {"kustomization.yaml": text, "base.yaml": BASE, "p.yaml": PATCH})
    assert scanned(tmp_path)[0] == {"p.yaml"}


def test_a_fragment_is_not_repaired(tmp_path: Path) -> None:
    files = {"kustomization.yaml": {"resources": ["base.yaml"], "patches": [{"path": "p.yaml"}]}}
    write(tmp_path, {**files, "base.yaml": BASE, "p.yaml": PATCH})
    before = (tmp_path / "p.yaml").read_bytes()
    run("scan", "--fix", "--unsafe-fixes", "--profile", "strict", str(tmp_path))
    assert (tmp_path / "p.yaml").read_bytes() == before


def test_a_fragment_is_not_part_of_the_world(tmp_path: Path) -> None:
    """A NetworkPolicy that a patch changes isolates nothing in its own file."""
    policy: Json = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "all"},
        "spec": {"podSelector": {"matchLabels": {"x": "y"}}, "policyTypes": ["Ingress", "Egress"]},
    }
    patch = {**policy, "spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}}
    files = {"kustomization.yaml": {"resources": ["base.yaml", "np.yaml"], "patches": [{"path": "p.yaml"}]}}
    write(tmp_path, {**files, "base.yaml": BASE, "np.yaml": policy, "p.yaml": patch})
    _, said, _ = run("scan", "-o", "json", "--check", "no-ingress-policy", str(tmp_path))
    assert len(json.loads(said)["findings"]) == 1


NAMES = st.sampled_from(["web", "db", "api"])


@settings(max_examples=40, deadline=None)
@given(st.lists(NAMES, max_size=3, unique=True), NAMES, NAMES, st.booleans())
def test_every_object_is_judged_or_skipped_with_what_it_changes_in_the_input(
    tmp_path_factory: pytest.TempPathFactory, bases: list[str], patched: str, other: str, named: bool
) -> None:
    root = tmp_path_factory.mktemp("any")
    kustomization: Json = {"resources": [f"{name}.yaml" for name in bases]}
    if named:
        kustomization["patches"] = [{"path": "p.yaml"}]
    good: Json = {"image": "a:1", "securityContext": {"allowPrivilegeEscalation": False}}
    files: dict[str, Any] = {f"{name}.yaml": deployment(name, **good) for name in bases}
    files |= {"kustomization.yaml": kustomization, "p.yaml": deployment(patched, args=["x"])}
    write(root, {**files, "other.yaml": deployment(other, image="b:1")})
    found, skipped, _ = scanned(root)
    is_fragment = named and patched in bases
    assert found == {"other.yaml"} | (set() if is_fragment else {"p.yaml"})
    assert ("p.yaml" in skipped) == is_fragment
