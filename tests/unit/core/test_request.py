"""Users, and what the API server tells of them by their names alone."""

import pytest

from iocaudit.core.request import groups_of, service_account_of


@pytest.mark.parametrize(
    ("username", "account"),
    [
        ("system:serviceaccount:shop:web", ("shop", "web")),
        ("system:serviceaccount::web", ("", "web")),
        ("system:serviceaccount:shop:", ("shop", "")),
        ("system:serviceaccount:shop", None),
        ("system:serviceaccount:shop:web:more", None),
        ("shop:web", None),
        ("", None),
    ],
)
def test_a_service_account_is_told_by_the_parts_of_its_name(username: str, account: tuple[str, str] | None) -> None:
    assert service_account_of(username) == account


def test_groups_that_the_api_server_adds() -> None:
    assert groups_of("alice", ("staff",)) == ("staff", "system:authenticated")
    assert groups_of("system:anonymous") == ("system:unauthenticated",)
    assert groups_of("system:serviceaccount:shop:web") == (
        "system:serviceaccounts",
        "system:serviceaccounts:shop",
        "system:authenticated",
    )
    assert groups_of("system:serviceaccount:shop:web:more") == ("system:authenticated",)
