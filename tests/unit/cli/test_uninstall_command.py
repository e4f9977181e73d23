"""``iocaudit uninstall``: what goes is counted, what people wrote can be kept and applied again."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import yaml

from iocaudit.cluster.errors import UnreachableError
from iocaudit.core.kinds.ours import ACTIVITY_PROFILE, AUDIT_POLICY, IOC_WAIVER
from iocaudit.records.kinds import CLUSTER_IOC_FINDING, IOC_FINDING
from tests.support.api import FakeApi
from tests.support.running import run

Json = dict[str, Any]
WAIVER = {"checks": ["host-pid"], "namespaces": ["shop"], "owner": "me", "reason": "yes: #1", "allowNew": True}
POLICY = {"checks": [{"ids": ["host-pid"], "mode": "deny"}], "preset": "guard"}


@pytest.fixture
def api() -> FakeApi:
    api = FakeApi()
    api.put(AUDIT_POLICY, "shop", spec=POLICY, status={"conditions": []}, metadata={"labels": {"team": "shop"}})
    for name, ends in (("old", "2020-01-01T00:00:00Z"), ("new", "2099-01-01T00:00:00Z")):
        api.put(IOC_WAIVER, name, spec={**WAIVER, "expires": ends}, status={"state": "Active"})
    api.put(ACTIVITY_PROFILE, "usual", "shop", spec={"mode": "warn"})
    api.put(IOC_FINDING, "f", "shop", finding={})
    api.put(CLUSTER_IOC_FINDING, "g", finding={})
    return api


def asked(api: FakeApi | Exception, *arguments: str) -> tuple[int, str, str]:
    found = mock.Mock(side_effect=api) if isinstance(api, Exception) else mock.Mock(return_value=api)
    with mock.patch("iocaudit.cluster.client.Client.connect", found):
        return run("uninstall", *arguments)


def test_what_goes_is_counted(api: FakeApi) -> None:
    code, said, _ = asked(api)
    assert code == 0
    assert said.splitlines()[0] == (
        "uninstalling also deletes 1 AuditPolicy, 2 IocWaivers (1 of them ended), "
        "1 ActivityProfile, 2 findings, 0 incidents and all reports"
    )
    assert "iocaudit uninstall --save" in said
    assert not [method for method, _ in api.requests if method != "GET"]


def test_without_a_cluster_it_says_how_all_the_same() -> None:
    code, said, _ = asked(UnreachableError("GET: no answer"))
    assert code == 0
    assert "not counted: GET: no answer" in said
    assert "iocaudit uninstall --save" in said


def test_what_is_saved_can_be_applied_again(api: FakeApi, tmp_path: Path) -> None:
    target = tmp_path / "kept.yaml"
    code, said, errors = asked(api, "--save", str(target))
    assert (code, said) == (0, "")
    assert "4 objects written" in errors
    kept = {one["metadata"]["name"]: one for one in yaml.safe_load_all(target.read_text()) if one}
    assert kept["shop"] == {
        "apiVersion": "iocaudit.io/v1alpha1",
        "kind": "AuditPolicy",
        "metadata": {"name": "shop", "labels": {"team": "shop"}},
        "spec": POLICY,
    }
    assert kept["new"]["spec"] == {**WAIVER, "expires": "2099-01-01T00:00:00Z"}
    assert kept["usual"]["metadata"] == {"name": "usual", "namespace": "shop"}
    assert all("status" not in one for one in kept.values())


def test_where_nothing_can_be_saved_it_fails(api: FakeApi, tmp_path: Path) -> None:
    target = tmp_path / "none" / "kept.yaml"
    assert asked(api, "--save", str(target))[0] == 2
    assert asked(UnreachableError("GET: no answer"), "--save", str(tmp_path / "kept.yaml"))[0] == 2
    assert not (tmp_path / "kept.yaml").exists()
    assert run("uninstall", "--programs", "--save", "x")[0] == 2


def test_the_programs_go_without_what_people_wrote() -> None:
    code, said, _ = run("uninstall", "--programs")
    _, whole, _ = run("manifests")
    assert code == 0

    def named(text: str) -> set[tuple[str, str]]:
        return {(one["kind"], one["metadata"]["name"]) for one in yaml.safe_load_all(text) if one}

    left = named(whole) - named(said)
    assert {kind for kind, _ in left} <= {"CustomResourceDefinition", "AuditPolicy"}
    assert {kind for kind, _ in named(said)} & {"CustomResourceDefinition", "AuditPolicy", "IocWaiver"} == set()
    assert len([kind for kind, _ in left if kind == "CustomResourceDefinition"]) == 8
    assert {"Deployment", "ClusterRole", "Namespace"} <= {kind for kind, _ in named(said)}
