"""The AuditPolicies of a cluster that are in force."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from iocaudit.core.shape import Json
from iocaudit.engine.catalogue import Catalogue
from iocaudit.engine.policy import Policy, PolicySet
from iocaudit.engine.policy_reader import read_policy
from iocaudit.live.store import Store


class PolicyStore(Store[Policy]):
    """Of a policy that became unusable the last good version stays in force: a slip must not open what was shut."""

    _kind = "policy"
    _keeps_last_good = True

    def __init__(self, catalogue: Catalogue, profile: str = "default", *, log: logging.Logger | None = None) -> None:
        super().__init__(log)
        self._catalogue, self._profile = catalogue, profile
        self.current = PolicySet(catalogue, (), profile)
        """Those in force."""

    def _read(self, raw: Json) -> Policy:
        return read_policy(raw, self._catalogue)

    def _use(self, read: Iterable[Policy]) -> None:
        self.current = PolicySet(self._catalogue, tuple(read), self._profile)
