"""The policies of a cluster together with the rules in languages of their own that they, or ConfigMaps, bring along.

A rule is loaded before the policies that it belongs to are handed out, so nothing is judged by half of a set.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence

from iocaudit.core.kinds import CONFIG_MAP, Kind
from iocaudit.core.kinds.ours import AUDIT_POLICY
from iocaudit.core.shape import Json, mapping, text
from iocaudit.engine.catalogue import Catalogue
from iocaudit.engine.languages.as_checks import check_of, rule_of
from iocaudit.engine.languages.rule import Language, Rule
from iocaudit.engine.policy import Policy
from iocaudit.engine.policy_set import PolicySet
from iocaudit.live.engines import Engines
from iocaudit.live.modules import ModuleProblem, ModuleStore
from iocaudit.live.policies import PolicyStore

RULEBOOK_KINDS: tuple[Kind, ...] = (AUDIT_POLICY, CONFIG_MAP)
"""The kinds that it is made of; of ConfigMaps those with our label in our own namespace."""


class Rulebook:
    """Takes policies and ConfigMaps as they come; ``settle`` loads what they say, and puts it in force.

    One thread at a time may change it. ``current`` is a whole value, put in place at once.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        engines: Engines,
        profile: str = "default",
        *,
        log: logging.Logger | None = None,
    ) -> None:
        self._given, self._engines = catalogue, engines
        self._policies = PolicyStore(catalogue, profile, log=log, compile_rules=engines.compile)
        self._modules = ModuleStore(engines, log=log)
        self._raws: dict[str, Json] = {}
        self._module_rules: tuple[Rule, ...] = ()
        self.current = self._policies.current
        """The policies in force, with the catalogue that has every rule in force."""

    @property
    def refused(self) -> Mapping[str, str]:
        """By name, why a policy cannot be used as it is now."""
        return self._policies.refused

    @property
    def usable(self) -> int:
        """How many policies can be used as they are now."""
        return self._policies.usable

    @property
    def problems(self) -> Sequence[ModuleProblem]:
        """What is wrong with the ConfigMaps that hold modules."""
        return self._modules.problems

    @property
    def module_rules(self) -> tuple[Rule, ...]:
        """The rules of ConfigMaps that are in force, by id."""
        return self._modules.rules

    @property
    def revisions(self) -> Mapping[str, str]:
        """By the id of a rule of a ConfigMap, the resourceVersion that is in force of it."""
        return self._modules.revisions

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The rules in force."""
        return tuple(rule for check in self.current.catalogue if (rule := rule_of(check)) is not None)

    @property
    def trouble(self) -> Mapping[Language, str]:
        """By language why rules could not be compiled or loaded: that is worth another try."""
        return self._engines.trouble

    @property
    def is_unsure(self) -> bool:
        """Whether something could not be compiled or loaded."""
        return bool(self.trouble)

    def get(self, name: str) -> Policy | None:
        """The policy of that name as it is in force; None where it is not."""
        return self._policies.get(name)

    def replace(self, kind: Kind, raws: Iterable[Json]) -> None:
        """Take these as all there are of a kind."""
        raws = list(raws)
        if kind is CONFIG_MAP:
            self._modules.replace(raws)
            return
        self._raws = {_name(raw): raw for raw in raws}
        self._policies.replace(raws)

    def put(self, kind: Kind, raw: Json) -> None:
        """Take one as it is now."""
        if kind is CONFIG_MAP:
            self._modules.put(raw)
            return
        self._raws[_name(raw)] = raw
        self._policies.put(raw)

    def remove(self, kind: Kind, name: str) -> None:
        """One is gone."""
        if kind is CONFIG_MAP:
            self._modules.remove(name)
            return
        self._raws.pop(name, None)
        self._policies.remove(name)

    def try_again(self) -> None:
        """Read again what was refused, or could not be compiled: what evaluates it may be there by now."""
        self._engines.forget_trouble()
        self._modules.read_again()
        for raw in list(self._raws.values()):
            if "rules" in mapping(raw.get("spec")):
                self._policies.put(raw)

    def settle(self) -> bool:
        """Load the rules as they are by now, and put them in force; whether anything changed."""
        self._modules.settle()
        if self._modules.rules != self._module_rules:
            self._module_rules = self._modules.rules
            self._policies.rebase(self._given.also(map(check_of, self._module_rules)))
        found: PolicySet = self._policies.current
        self._engines.load(rule for check in found.catalogue if (rule := rule_of(check)) is not None)
        changed = found is not self.current
        self.current = found
        return changed


def _name(raw: Json) -> str:
    return text(mapping(raw.get("metadata")).get("name"))
