"""Each check's own bad example: where a hit says how to repair it, the repair works on the object and on the text."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import pytest
import yaml

from iocaudit.core.check import Check
from iocaudit.core.json_patch import apply
from iocaudit.core.report import ReportedHit
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.scanning.reading import Scan
from iocaudit.scanning.repairing import RepairOutcome, repair
from iocaudit.scanning.scan import ScanOptions, scan_files

CATALOGUE = builtin_catalogue()
MECHANICAL = {
    "apparmor-missing",
    "apparmor-unconfined",
    "capabilities-not-dropped",
    "capability-beyond-baseline",
    "dangerous-capability",
    "host-ipc",
    "host-network",
    "host-pid",
    "host-port",
    "host-probe-target",
    "host-process-container",
    "interactive-container",
    "may-run-as-root",
    "no-rate-limit",
    "preset-node",
    "privilege-escalation-allowed",
    "privileged-container",
    "pull-policy-not-always",
    "seccomp-missing",
    "seccomp-unconfined",
    "selinux-custom",
    "service-external-ip",
    "shared-process-namespace",
    "token-automounted",
    "unmasked-proc",
    "unsafe-sysctl",
    "writable-host-path",
    "writable-root-filesystem",
}
# Off the node's network a pod is judged by what holds for pods in the cluster's own.
BROUGHT_ABOUT = {"host-network": {"no-ingress-policy", "no-egress-policy"}}


def _keys(found: list[ReportedHit]) -> set[tuple[str, str]]:
    return {(one.check, one.hit.path) for one in found}


def _alone(check: Check, texts: Mapping[str, bytes]) -> Scan:
    return scan_files(["-"], CATALOGUE.select({check.id}), ScanOptions(profile="strict"), texts=texts)


@pytest.mark.parametrize("check", [one for one in CATALOGUE if not one.admission_only], ids=lambda check: check.id)
def test_the_bad_example_is_repaired_and_nothing_else_comes_up(check: Check) -> None:
    text = "\n---\n".join(yaml.safe_dump(one, sort_keys=False) for one in yaml.safe_load_all(check.doc.bad))
    for written in (check.doc.bad, text):
        whole = partial(scan_files, ["-"], CATALOGUE, ScanOptions(profile="strict"))
        given = {"-": written.encode()}
        outcome = repair(partial(_alone, check), unsafe=True, forbidden={}, given=given)
        found = [one for one in outcome.first.report.found if one.hit.repair is not None]
        assert bool(found) == (check.id in MECHANICAL)
        if not found:
            assert outcome.after == {}
            continue
        assert not outcome.refused
        assert not outcome.scan.report.found, "the check is not quiet"
        new = _keys(whole(texts=outcome.after).report.found) - _keys(whole(texts=given).report.found)
        assert not {check for check, _ in new} - BROUGHT_ABOUT.get(check.id, set())


def test_only_what_changes_no_correct_workload_is_safe() -> None:
    assert {
        check.id
        for check in CATALOGUE
        if not check.admission_only
        for found in scan_files(
            ["-"], CATALOGUE.select({check.id}), ScanOptions(profile="strict"), texts={"-": check.doc.bad.encode()}
        ).report.found
        if found.hit.repair is not None and found.hit.repair.safe
    } == {"pull-policy-not-always"}


def _repaired(text: str, *checks: str) -> tuple[str, RepairOutcome]:
    """The text with every repair of these checks carried out."""
    rescan = partial(scan_files, ["-"], CATALOGUE.select(set(checks)), ScanOptions(profile="strict"))
    outcome = repair(lambda texts: rescan(texts=texts), unsafe=True, forbidden={}, given={"-": text.encode()})
    return outcome.after.get("-", text.encode()).decode(), outcome


def _pod(spec: str, annotations: str = "{}") -> str:
    return f"apiVersion: v1\nkind: Pod\nmetadata: {{name: web, annotations: {annotations}}}\nspec:\n  {spec}\n"


def test_what_hands_mounts_on_stays_privileged() -> None:
    mount = "volumeMounts: [{name: v, mountPath: /v, mountPropagation: MODE}]"
    text = _pod(f"containers: [{{name: a, image: a, securityContext: {{privileged: true}}, {mount}}}]")
    for mode, kept in (("Bidirectional", True), ("HostToContainer", False), ("None", False)):
        after, outcome = _repaired(text.replace("MODE", mode), "privileged-container")
        assert ("privileged: true" in after) is kept
        (found,) = outcome.first.report.found
        assert ("`mountPropagation: Bidirectional` at `/v`" in found.fix) is kept


def test_host_process_containers_are_all_of_a_pod_or_none() -> None:
    options = "securityContext: {windowsOptions: {hostProcess: true}}"
    one, two = (f"{{name: {name}, image: a, {options}}}" for name in "ab")
    text = _pod(f"hostNetwork: true\n  {options}\n  containers: [{one}, {two}]")
    after, _ = _repaired(text, "host-network")
    assert after == text  # the API server wants it while they are there
    after, outcome = _repaired(text, "host-process-container")
    assert "hostProcess" not in after
    assert len(outcome.first.report.found) == 3
    for found in outcome.first.report.found:
        assert found.hit.repair is not None
        assert len(found.hit.repair.edits) == 3
    after, _ = _repaired(text, "host-process-container", "host-network")
    assert "hostNetwork" not in after


APPARMOR = "container.apparmor.security.beta.kubernetes.io"
SECCOMP = "seccomp.security.alpha.kubernetes.io/pod"
CONTAINER_SECCOMP = "container.seccomp.security.alpha.kubernetes.io"


def test_annotation_and_field_of_a_profile_change_together() -> None:
    """Whichever hit is repaired: the API server wants them to say the same."""
    both = "securityContext: {appArmorProfile: {type: Unconfined}, seccompProfile: {type: Unconfined}}"
    annotations = {f"{APPARMOR}/{name}": "unconfined" for name in "ab"} | {SECCOMP: "unconfined"}
    text = _pod(f"{both}\n  containers: [{{name: a, image: a}}, {{name: b, image: b}}]", str(annotations))
    for check, field, hits in (
        ("apparmor-unconfined", "appArmorProfile", 3),
        ("seccomp-unconfined", "seccompProfile", 1),
    ):
        options = ScanOptions(profile="strict", suggest="patch")
        found = scan_files(["-"], CATALOGUE.select({check}), options, texts={"-": text.encode()}).report.found
        assert len(found) == hits
        for one in found:
            assert one.suggestion is not None
            after = apply(yaml.safe_load(text), one.suggestion.patch)
            assert after["spec"]["securityContext"][field] == {"type": "RuntimeDefault"}
            values = [value for key, value in after["metadata"]["annotations"].items() if check[:7] in key]
            assert set(values) == {"runtime/default"}


def test_a_profile_that_is_set_beside_an_annotation_takes_it_along() -> None:
    text = _pod("containers: [{name: a, image: a}]", str({f"{CONTAINER_SECCOMP}/a": "localhost/x"}))
    after, _ = _repaired(text, "seccomp-missing")
    assert "runtime/default" in after
    assert "RuntimeDefault" in after
