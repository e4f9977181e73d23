"""Each check's own bad example: where a hit says how to repair it, the repair works on the object and on the text."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import pytest
import yaml

from iocaudit.core.check import Check
from iocaudit.core.check_doc import doc_of
from iocaudit.core.report import Found
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.sources.reading import Scan
from iocaudit.sources.repairing import repair
from iocaudit.sources.scan import ScanOptions, scan_files

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


def _keys(found: list[Found]) -> set[tuple[str, str]]:
    return {(one.check, one.hit.path) for one in found}


def _alone(check: Check, texts: Mapping[str, bytes]) -> Scan:
    return scan_files(["-"], CATALOGUE.select({check.id}), ScanOptions(profile="strict"), texts=texts)


@pytest.mark.parametrize("check", [one for one in CATALOGUE if not one.admission_only], ids=lambda check: check.id)
def test_the_bad_example_is_repaired_and_nothing_else_comes_up(check: Check) -> None:
    text = "\n---\n".join(yaml.safe_dump(one, sort_keys=False) for one in yaml.safe_load_all(doc_of(check).bad))
    for written in (doc_of(check).bad, text):
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
            ["-"], CATALOGUE.select({check.id}), ScanOptions(profile="strict"), texts={"-": doc_of(check).bad.encode()}
        ).report.found
        if found.hit.repair is not None and found.hit.repair.safe
    } == {"pull-policy-not-always"}
