"""``scan --generate``: what is missing as new documents, which make the finding go away when scanned with the files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from iocaudit.core.check_doc import doc_of
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.sources.scan import ScanOptions, scan_files
from tests.unit.cli.running import run
from tests.unit.core.rate_limit import test_gateways as gateways

CATALOGUE = builtin_catalogue()
NETWORK = ("no-ingress-policy", "no-egress-policy", "namespace-without-default-deny")
DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web, version: "1"}}
    spec: {containers: [{name: app, image: "hooli.com/web:1"}]}
"""
POD = """\
apiVersion: v1
kind: Pod
metadata: {name: one, namespace: shop, labels: {app: one}}
spec: {containers: [{name: app, image: "hooli.com/web:1"}]}
"""
DNS = [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]


def _generated(text: str, *checks: str) -> tuple[list[dict[str, Any]], str]:
    """The documents made for a text, and what was said of the others."""
    selected = [part for check in checks for part in ("--check", check)]
    code, out, errors = run("scan", "-", "--generate", "-", *selected, stdin=text)
    assert code in (0, 1)
    return [one for one in yaml.safe_load_all(out) if one], errors


def _found(*texts: str) -> set[tuple[str, str]]:
    given = {f"{number}.yaml": text.encode() for number, text in enumerate(texts)}
    report = scan_files([], CATALOGUE, ScanOptions(profile="strict"), texts=given).report
    return {(found.check, str(found.subject)) for found in report.found}


@pytest.mark.parametrize("check", NETWORK)
def test_the_bad_example_is_answered_and_nothing_else_comes_up(check: str, tmp_path: Path) -> None:
    declared = CATALOGUE.find(check)
    assert declared is not None
    # A namespace has pods: where there are none, policy-selects-nothing says so of any policy.
    bad = f"{doc_of(declared).bad}\n---\n{POD}"
    file, new = tmp_path / "bad.yaml", tmp_path / "new.yaml"
    file.write_text(bad)
    code, out, errors = run("scan", str(file), "--check", check, "--generate", str(new))
    assert code == 0
    assert check in out, "the report says what was found"
    assert "not generated" not in errors
    before, after = _found(bad), _found(bad, new.read_text())
    assert check in {one for one, _ in before}
    assert check not in {one for one, _ in after}
    assert not after - before


def test_a_workload_is_isolated_by_what_its_selector_says_with_dns_allowed() -> None:
    (policy,), errors = _generated(DEPLOYMENT, *NETWORK)
    assert policy["metadata"] == {"name": "isolate-web"}, "the namespace is left open, as in the file"
    assert policy["spec"]["podSelector"] == {"matchLabels": {"app": "web"}}
    assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert policy["spec"]["egress"][0]["ports"] == DNS
    assert "ingress" not in policy["spec"]
    assert "1 documents for 2 findings" in errors


def test_what_covers_the_namespace_spares_its_workloads() -> None:
    namespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: default}\n"
    made, errors = _generated(f"{namespace}---\n{DEPLOYMENT}", *NETWORK)
    assert [(one["metadata"]["name"], one["spec"]["podSelector"]) for one in made] == [("default-deny", {})]
    assert "1 documents for 4 findings" in errors


def test_pods_without_labels_are_covered_by_their_namespace() -> None:
    pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: shop}\nspec: {containers: [{name: b}]}\n"
    (policy,), _ = _generated(pod, *NETWORK)
    assert policy["metadata"] == {"name": "default-deny", "namespace": "shop"}
    assert policy["spec"]["podSelector"] == {}


def test_a_name_in_use_is_left_to_its_owner() -> None:
    policy = (
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: isolate-web}\n"
        "spec: {podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress]}\n"
    )
    (made,), _ = _generated(f"{policy}---\n{DEPLOYMENT}", *NETWORK)
    assert made["metadata"]["name"] == "isolate-web-2"
    assert made["spec"]["policyTypes"] == ["Egress"]


def test_labels_that_do_not_last_are_not_selected_by() -> None:
    pod = (
        "apiVersion: v1\nkind: Pod\nmetadata: {name: a, labels: {app: b, pod-template-hash: x}}\n"
        "spec: {containers: [{name: b}]}\n"
    )
    (policy,), _ = _generated(pod, *NETWORK)
    assert policy["spec"]["podSelector"] == {"matchLabels": {"app": "b"}}


# The controllers whose limit is an object of its own or an annotation; of the others the message says what is missing.
_MADE = ("Envoy Gateway wants", "NGINX Gateway Fabric wants")
_ANNOTATED = ("ingress-nginx wants", "HAProxy Technologies' controller wants", "HAProxy Ingress wants")


@pytest.mark.parametrize("case", gateways.OPEN, ids=lambda case: case[0])
def test_a_route_gets_the_limit_of_its_controller_or_is_told_what_it_misses(case: tuple[str, str, str]) -> None:
    text = case[1]
    found = [one for one in _report(text) if one.check == "no-rate-limit"]
    assert found
    made, errors = _generated(text, "no-rate-limit")
    left = [one for one in _report(text, yaml.safe_dump_all(made)) if one.check == "no-rate-limit"]
    assert errors.count("not generated: ") == len(left)
    for one in found:
        assert any(words in one.message for words in _MADE) <= bool(made)
        annotated = any(words in one.message for words in _ANNOTATED)
        assert not annotated or one.hit.repair is not None


def _report(*texts: str) -> list[Any]:
    given = {f"{number}.yaml": text.encode() for number, text in enumerate(texts) if text}
    return scan_files([], CATALOGUE.select({"no-rate-limit"}), ScanOptions(), texts=given).report.found


def test_a_file_that_is_there_is_not_overwritten(tmp_path: Path) -> None:
    new = tmp_path / "new.yaml"
    new.write_text("mine")
    code, _, errors = run("scan", "-", "--generate", str(new), stdin=DEPLOYMENT)
    assert code == 2
    assert "is there already" in errors
    assert new.read_text() == "mine"


def test_a_file_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    code, _, errors = run("scan", "-", "--generate", str(tmp_path / "no" / "new.yaml"), stdin=DEPLOYMENT)
    assert code == 2
    assert "cannot be written" in errors


def test_where_nothing_is_missing_nothing_is_written(tmp_path: Path) -> None:
    new = tmp_path / "new.yaml"
    code, _, errors = run("scan", "-", "--check", "host-pid", "--generate", str(new), stdin=DEPLOYMENT)
    assert code == 0
    assert "0 documents" in errors
    assert not new.exists()


@pytest.mark.parametrize("more", [("--fix",), ("--diff",), ("--each-file-alone",), ("--write-baseline", "b.json")])
def test_wrong_usage(more: tuple[str, ...]) -> None:
    assert run("scan", "-", "--generate", "-", *more, stdin=DEPLOYMENT)[0] == 2
