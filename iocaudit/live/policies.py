"""The AuditPolicies of a cluster that are in force."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from iocaudit.core.shape import Json
from iocaudit.engine.catalogue import Catalogue
from iocaudit.engine.languages.asking import Compile
from iocaudit.engine.policy import Policy
from iocaudit.engine.policy_reader import read_policy
from iocaudit.engine.policy_set import PolicySet
from iocaudit.live.store import Store


class PolicyStore(Store[Policy]):
    """Of a policy that became unusable the last good version stays in force: a slip must not open what was shut."""

    _kind = "policy"
    _keeps_last_good = True

    def __init__(
        self,
        catalogue: Catalogue,
        profile: str = "default",
        *,
        log: logging.Logger | None = None,
        compile_rules: Compile | None = None,
    ) -> None:
        """``compile_rules`` says which rules that policies declare are broken: such a policy is refused."""
        super().__init__(log)
        self._catalogue, self._profile, self._compile = catalogue, profile, compile_rules
        self.current = PolicySet(catalogue, (), profile)
        """Those in force."""

    def _read(self, raw: Json) -> Policy:
        return read_policy(raw, self._catalogue, live=True, compile_rules=self._compile)

    def rebase(self, catalogue: Catalogue) -> None:
        """Judge by another catalogue from now on: rules that no policy declares have come or gone."""
        self._catalogue = catalogue
        self._use(self._good.values())

    def _use(self, read: Iterable[Policy]) -> None:
        self.current = PolicySet(self._catalogue, tuple(read), self._profile)
