"""What the webhook may read, as the API server says."""

from __future__ import annotations

from typing import Any

from iocaudit.cluster.errors import ForbiddenError
from iocaudit.controller.needs import WebhookRights
from iocaudit.core.kinds import INGRESS, SERVICE
from tests.support.api import FakeApi


class Reviewing(FakeApi):
    """Answers reviews: only Services may be listed."""

    def __init__(self) -> None:
        super().__init__()
        self.reviews: list[dict[str, Any]] = []
        self.refuses = False

    def request(self, method: str, path: str, **options: Any) -> Any:
        if not path.endswith("/subjectaccessreviews"):
            return super().request(method, path, **options)
        if self.refuses:
            raise ForbiddenError("POST subjectaccessreviews", 403, "Forbidden", "no")
        self.reviews.append(options["body"]["spec"])
        allowed = options["body"]["spec"]["resourceAttributes"]["resource"] == "services"
        return {"status": {"allowed": allowed}}


def test_what_the_webhook_may_not_list_is_told_with_what_grants_it() -> None:
    api, now = Reviewing(), [0.0]
    rights = WebhookRights(api, "audit", lambda: now[0])
    found = rights.lacking([INGRESS, SERVICE])
    assert found.keys() == {INGRESS}
    assert found[INGRESS].startswith("the webhook may not list ingresses.networking.k8s.io. Grant it: iocaudit")
    assert {one["user"] for one in api.reviews} == {"system:serviceaccount:audit:iocaudit-admission"}
    rights.lacking([INGRESS, SERVICE])
    assert len(api.reviews) == 2, "it is asked now and then"
    now[0] = 20.0
    rights.lacking([INGRESS, SERVICE])
    assert len(api.reviews) == 4


def test_where_it_may_not_be_asked_nothing_is_told() -> None:
    api = Reviewing()
    api.refuses = True
    assert WebhookRights(api, "audit").lacking([INGRESS]) == {}
