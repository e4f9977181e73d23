"""The CEL of checks on what a pod shares and as whom it runs; what it means is asked in `tests/cluster`."""

from __future__ import annotations

import pytest

from tests.support.exporting import bad, rules_of


@pytest.mark.parametrize(
    ("check", "field"), [("host-network", "hostNetwork"), ("host-pid", "hostPID"), ("host-ipc", "hostIPC")]
)
def test_namespaces_of_the_node(check: str, field: str) -> None:
    assert bad(rules_of(check)[check]) == f"[variables.pod].filter(it, it.?{field}.orValue(false))"


def test_a_default_of_the_pod_counts_where_a_container_inherits_it() -> None:
    rule = rules_of("runs-as-root")["runs-as-root"]
    assert len(rule["validations"]) == 4
    assert "exists(one, !has(one.securityContext) || !has(one.securityContext.runAsUser))" in bad(rule, "3")
    assert len(rules_of("runs-as-root", groups=True)["runs-as-root"]["validations"]) == 8


def test_may_run_as_root_reads_the_container_before_the_pod() -> None:
    text = bad(rules_of("may-run-as-root")["may-run-as-root"])
    assert "it.?securityContext.?runAsNonRoot.orValue(variables.pod.?securityContext.?runAsNonRoot.orValue(false))" in (
        text
    )


def test_host_process_is_said_of_the_pod_and_of_containers() -> None:
    assert len(rules_of("host-process-container")["host-process-container"]["validations"]) == 2
