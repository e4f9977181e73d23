"""What one account did: each request in one row or counted, and no credential shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iocaudit.detecting import activity as module
from iocaudit.detecting.activity import AccountActivity, DeedKind, account_activity, username_of
from tests.support.audit_events import Json, event, line
from tests.support.signal_posts import exec_event

WEB = {"username": "system:serviceaccount:shop:web", "groups": ["system:serviceaccounts"]}


def request(number: int, verb: str, resource: str, code: int = 200, **more: object) -> Json:
    subresource = str(more.pop("subresource", ""))
    group = str(more.pop("group", ""))
    target = {"resource": resource, "namespace": "shop", "name": "x", "apiVersion": "v1"}
    target |= {"subresource": subresource} if subresource else {}
    target |= {"apiGroup": group} if group else {}
    base = {"verb": verb, "objectRef": target, "responseStatus": {"code": code}, "user": WEB}
    return event(number, **(base | {"requestObject": None, "responseObject": None} | more))


def of(folder: Path, account: str, *events: Json) -> AccountActivity:
    path = folder / "audit.log"
    path.write_bytes(b"".join(map(line, events)))
    return account_activity(account, [str(path)])


def rows(found: AccountActivity, kind: DeedKind) -> list[tuple[str, str, str, int]]:
    return [(key.verb, key.target, key.detail, span.count) for key, span in found.of(kind)]


def test_each_sort_of_deed_has_its_rows(tmp_path: Path) -> None:
    found = of(
        tmp_path,
        "shop/web",
        request(1, "get", "secrets"),
        request(2, "get", "secrets"),
        request(3, "create", "serviceaccounts", 201, subresource="token"),
        request(4, "create", "rolebindings", 201, group="rbac.authorization.k8s.io"),
        request(5, "delete", "deployments", group="apps"),
        request(6, "list", "pods", 403),
        request(7, "list", "pods"),
        request(8, "get", "secrets", user={"username": "somebody"}),
    )
    assert rows(found, DeedKind.SECRET) == [("get", "Secret shop/x", "", 2)]
    assert rows(found, DeedKind.TOKEN) == [("create", "serviceaccounts shop/x (token)", "", 1)]
    assert rows(found, DeedKind.RIGHTS) == [("create", "rolebindings shop/x", "", 1)]
    assert rows(found, DeedKind.CHANGE) == [("delete", "deployments shop/x", "", 1)]
    assert rows(found, DeedKind.REFUSED) == [("list", "Pod shop/x", "", 1)]
    assert (found.whole.count, found.reads, found.account) == (7, 1, WEB["username"])
    assert found.whole.first is not None
    assert found.whole.last is not None
    assert found.whole.first < found.whole.last


def test_commands_of_sessions_are_shown_without_credentials(tmp_path: Path) -> None:
    secret = "ghp_" + "a1B2" * 9
    session = exec_event(1)
    session["requestURI"] = f"/api/v1/namespaces/shop/pods/web-1/exec?command=curl&command={secret}"
    found = of(tmp_path, "mallory", session)
    [(verb, target, detail, count)] = rows(found, DeedKind.SESSION)
    assert (verb, target, count) == ("create", "Pod shop/web-1 (exec)", 1)
    assert detail.startswith("curl")
    assert secret not in detail


def test_what_was_done_in_anothers_name_counts_for_both(tmp_path: Path) -> None:
    raw = request(1, "get", "secrets", impersonatedUser={"username": "boss"}, user={"username": "mallory"})
    for account in ("mallory", "boss"):
        assert rows(of(tmp_path, account, raw), DeedKind.SECRET) == [("get", "Secret shop/x", "mallory as boss", 1)]


def test_what_was_only_tried_is_left_out_and_places_are_counted(tmp_path: Path) -> None:
    tried = request(1, "delete", "pods", requestURI="/api/v1/namespaces/shop/pods/x?dryRun=All")
    moved = request(2, "get", "secrets", sourceIPs=["203.0.113.9"], userAgent="curl/8")
    found = of(tmp_path, "shop/web", tried, moved, request(3, "get", "secrets"))
    assert rows(found, DeedKind.CHANGE) == []
    assert {key: span.count for key, span in found.places.items()} == {
        ("203.0.113.9", "curl/8"): 1,
        ("10.0.0.1", "kubectl/v1.36"): 1,
    }


def test_rows_are_bounded_and_the_rest_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_ROWS", 3)
    names = [request(number, "get", "secrets") for number in range(6)]
    for number, raw in enumerate(names):
        raw["objectRef"]["name"] = f"s{number}"
    found = of(tmp_path, "shop/web", *names)
    assert (len(found.deeds), found.beyond, found.whole.count) == (3, 3, 6)


@pytest.mark.parametrize(
    ("given", "username"),
    [
        ("shop/web", "system:serviceaccount:shop:web"),
        ("alice", "alice"),
        ("arn:aws:sts::1:assumed-role/a/b", "arn:aws:sts::1:assumed-role/a/b"),
        ("a@b/c", "a@b/c"),
        ("system:node:n1", "system:node:n1"),
        ("/x", "/x"),
        ("x/", "x/"),
    ],
)
def test_a_namespace_and_a_name_are_a_service_account(given: str, username: str) -> None:
    assert username_of(given) == username


@given(account=st.text(max_size=30))
def test_any_username_is_taken(account: str) -> None:
    assert username_of(username_of(account)) == username_of(account)
