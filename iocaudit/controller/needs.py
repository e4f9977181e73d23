"""What keeps the kinds from being known that only rules look up: of this process, and of the webhook beside it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from iocaudit.cluster.api import Api
from iocaudit.cluster.errors import ApiError
from iocaudit.core.kinds import Kind
from iocaudit.core.own_names import ADMISSION
from iocaudit.core.shape import mapping
from iocaudit.live.needs import grant_of, resource_of

_ASK_EVERY: Final = 15.0
"""Seconds until the API server is asked again what the webhook may read."""
_REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"


class WebhookRights:
    """What the webhook's ServiceAccount may list, as the API server says. Where it does not say, nothing is lacking."""

    def __init__(self, client: Api, namespace: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._client, self._namespace, self._clock = client, namespace, clock
        self._asked_at = float("-inf")
        self._known: dict[Kind, bool] = {}

    def lacking(self, kinds: Iterable[Kind]) -> Mapping[Kind, str]:
        """By kind, that the webhook may not read it, and how that is granted."""
        wanted = list(kinds)
        if self._clock() - self._asked_at >= _ASK_EVERY or not self._known.keys() >= set(wanted):
            self._known = {kind: self._may_list(kind) for kind in wanted}
            self._asked_at = self._clock()
        return {
            kind: f"the webhook may not list {resource_of(kind)}. Grant it: {grant_of(kind)}"
            for kind in wanted
            if not self._known[kind]
        }

    def _may_list(self, kind: Kind) -> bool:
        accounts = "system:serviceaccounts"
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {
                "user": f"system:serviceaccount:{self._namespace}:{ADMISSION}",
                "groups": [accounts, f"{accounts}:{self._namespace}", "system:authenticated"],
                "resourceAttributes": {"group": kind.group, "resource": kind.plural, "verb": "list"},
            },
        }
        try:
            answer = self._client.request("POST", _REVIEWS, body=review)
        except ApiError:
            return True  # it may not be asked, or is away: the webhook itself says what it lacks
        return bool(mapping(answer.get("status")).get("allowed"))
