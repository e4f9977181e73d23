"""The webhook configuration: written once the webhook answers, never after our manifests began to go."""

from __future__ import annotations

import base64
import copy
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from cryptography.x509.oid import NameOID

from iocaudit.controller import registration as module
from iocaudit.controller.certificates import Certificates
from iocaudit.controller.registration import Registration
from iocaudit.core.kinds import CLUSTER_ROLE
from iocaudit.core.kinds.builtin import VALIDATING_WEBHOOK_CONFIGURATION
from iocaudit.core.own_names import OPERATOR, RECEIVERS
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.engine.policy_set import PolicySet
from iocaudit.install.webhook_configuration import WebhookTarget
from iocaudit.serving.authority import Names, is_issued_by, read_certificates
from tests.support.api import FakeApi

CATALOGUE = builtin_catalogue()


def registration(api: FakeApi, *, url: str | None = None, folder: Path | None = None) -> Registration:
    certificates = Certificates(api, "iocaudit", Names.of("127.0.0.1"), folder=folder)
    target = WebhookTarget("iocaudit", "iocaudit-admission", url=url)
    return Registration(api, lambda: PolicySet(CATALOGUE), certificates, target)


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> FakeApi:
    monkeypatch.setattr(module, "answers", lambda _target, _bundle: None)
    return FakeApi("iocaudit")


def configurations(api: FakeApi) -> list[str]:
    return [one["metadata"]["name"] for one in api.stored("validatingwebhookconfigurations")]


def test_written_for_its_owner_and_not_again_after_it_is_gone(api: FakeApi) -> None:
    role = api.put(CLUSTER_ROLE, OPERATOR, rules=[])
    one = registration(api)
    assert one.step() is None
    written = api.stored("validatingwebhookconfigurations")[0]
    assert written["metadata"]["ownerReferences"][0]["uid"] == role["metadata"]["uid"]
    assert one.step() is None
    # kubectl delete -k: the role goes, then the garbage collector takes the configuration.
    api.remove(CLUSTER_ROLE, OPERATOR)
    assert "being removed" in (one.step() or "")
    api.clear(VALIDATING_WEBHOOK_CONFIGURATION)
    before = sum(api.writes.values())
    assert "being removed" in (one.step() or "")
    assert configurations(api) == []
    assert sum(api.writes.values()) == before
    # Installed anew, it is written for the new role.
    api.put(CLUSTER_ROLE, OPERATOR, rules=[], metadata={"uid": "another"})
    assert one.step() is None
    again = api.stored("validatingwebhookconfigurations")[0]
    assert again["metadata"]["ownerReferences"][0]["uid"] == "another"


def test_a_restarted_operator_without_its_role_writes_nothing(api: FakeApi) -> None:
    assert "being removed" in (registration(api).step() or "")
    assert configurations(api) == []
    assert api.stored("secrets") == []


def test_outside_a_cluster_there_may_be_no_role_but_one_that_was_there_counts(api: FakeApi) -> None:
    one = registration(api, url="https://127.0.0.1:1")
    assert one.step() is None
    assert configurations(api) == ["iocaudit"]
    api.put(CLUSTER_ROLE, OPERATOR, rules=[])
    assert one.step() is None
    api.remove(CLUSTER_ROLE, OPERATOR)
    assert "being removed" in (one.step() or "")


def test_not_written_before_the_webhook_answers(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "answers", lambda _target, _bundle: "connection refused")
    api.put(CLUSTER_ROLE, OPERATOR, rules=[])
    assert registration(api).step() == "the webhook does not answer yet: connection refused"
    assert configurations(api) == []
    assert {one["metadata"]["name"] for one in api.stored("secrets")} == {"iocaudit-authority", "iocaudit-serving"}


@pytest.mark.parametrize("spoilt", ["c3RhbGU=", "not base64!", "", None])
@pytest.mark.parametrize("rotating", [False, True])
def test_a_bundle_that_is_not_the_current_one_is_replaced_at_once(
    api: FakeApi, monkeypatch: pytest.MonkeyPatch, spoilt: str | None, rotating: bool
) -> None:
    api.put(CLUSTER_ROLE, OPERATOR, rules=[])
    later = datetime.now(UTC) + timedelta(days=876)
    clock = [None, later] if rotating else [None]
    one = registration(api)
    for moment in clock:  # two thirds of an authority's life later the next one is announced
        monkeypatch.setattr(one._certificates, "step", partial(Certificates.step, one._certificates, now=moment))
        assert one.step() is None
    good = copy.deepcopy(api.stored("validatingwebhookconfigurations")[0]["webhooks"])
    for webhook in (stored := api.stored("validatingwebhookconfigurations")[0])["webhooks"]:
        webhook["clientConfig"] = {**webhook["clientConfig"], "caBundle": spoilt}
    api.put(VALIDATING_WEBHOOK_CONFIGURATION, "iocaudit", **{k: v for k, v in stored.items() if k == "webhooks"})
    assert one.step() is None
    assert api.stored("validatingwebhookconfigurations")[0]["webhooks"] == good


def test_receivers_get_a_certificate_of_their_own_which_stays_until_it_is_due(tmp_path: Path) -> None:
    api = FakeApi("iocaudit")
    now = datetime.now(UTC)

    def step(at: datetime, name: str = "iocaudit-receivers.iocaudit.svc") -> dict[str, bytes]:
        receivers = Names.of(name)
        Certificates(api, "iocaudit", Names.of("127.0.0.1"), folder=tmp_path, receivers=receivers).step(b"", at)
        (secret,) = [one for one in api.stored("secrets") if one["metadata"]["name"] == RECEIVERS]
        return {key: base64.b64decode(value) for key, value in secret["data"].items()}

    first = step(now)
    (leaf,) = read_certificates(first["tls.crt"], "tls.crt")
    assert leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == RECEIVERS
    (authority,) = read_certificates(first["ca.crt"], "ca.crt")
    assert is_issued_by(leaf, authority)
    assert "ca.key" not in first
    assert step(now + timedelta(days=1)) == first
    assert step(now + timedelta(days=61))["tls.crt"] != first["tls.crt"]
    assert step(now, "iocaudit-receivers.audit.svc")["tls.crt"] != first["tls.crt"]


def test_without_receivers_there_is_no_certificate_for_them(tmp_path: Path) -> None:
    api = FakeApi("iocaudit")
    Certificates(api, "iocaudit", Names.of("127.0.0.1"), folder=tmp_path).step(b"")
    assert RECEIVERS not in {one["metadata"]["name"] for one in api.stored("secrets")}
