"""How a report is told to people."""

from iocaudit.core.report import Skipped, by_reason
from iocaudit.core.resource import Ref

BINDING = Ref("rbac.authorization.k8s.io", "v1", "RoleBinding", "shop", "ci")
SKIPPED = (
    Skipped("exec-permission", BINDING, "Role ci is nowhere"),
    Skipped("secret-access", BINDING, "Role ci is nowhere"),
    Skipped("token-minting", BINDING, "Role ci is nowhere"),
    Skipped("a-check", BINDING, "something else"),
    Skipped(None, None, "Role ci is nowhere"),
)


def test_one_reason_is_said_once_for_each_object() -> None:
    assert [(checks, one.reason) for checks, one in by_reason(SKIPPED)] == [
        ("exec-permission and 2 more", "Role ci is nowhere"),
        ("a-check", "something else"),
        ("", "Role ci is nowhere"),
    ]
    assert by_reason([]) == []
