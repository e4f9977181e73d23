"""Which rules of the policies, and which waivers, no test touched: what could be changed without a test failing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from iocaudit.core.check import Check
from iocaudit.core.report import Fault, ReportedHit, Skipped
from iocaudit.engine.catalogue import Catalogue
from iocaudit.engine.policy import Policy
from iocaudit.engine.setting import Setting
from iocaudit.impact.policy_tests.model import PolicyTestSuite

_HITS = ("denied", "warned", "recorded", "waived")


class CoveredRule(NamedTuple):
    """A part of a policy that decides: an entry of ``spec.checks`` or ``spec.rules``, or its preset (``at`` None).

    ``checks`` are those that it names by id and of which no test has a hit.
    """

    place: str
    policy: str
    at: str | None
    names: str
    covered: bool
    checks: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        return "spec.preset" if self.at is None else f"spec.{self.at}"


class RuleCoverage:
    """What the tests of all files touched. The same policy in several files is one."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._policies: dict[tuple[str, str], Policy] = {}
        self._touched: dict[tuple[str, str], dict[str | None, set[str]]] = {}
        self._suite: PolicyTestSuite | None = None

    def begin(self, suite: PolicyTestSuite) -> None:
        """Take the policies of a suite among those that are to be covered."""
        self._suite = suite
        for policy in suite.policies.policies:
            self._policies.setdefault((suite.places[policy.name], policy.name), policy)

    def note(
        self, parts: Mapping[str, tuple[ReportedHit | Fault | Skipped, ...]], settings: Mapping[str, Setting]
    ) -> None:
        """Note the rules that decided about the hits of an answer."""
        assert self._suite is not None, "begun for a suite"
        named = {policy.name: policy for policy in self._suite.policies.policies}
        for entry in (entry for part in _HITS for entry in parts[part]):
            setting = settings.get(entry.check or "")
            if setting is None:
                continue
            policy = named.get(setting.policy or setting.preset_by or "")
            if policy is None:
                continue
            rule = policy.rule_for(setting.check) if setting.policy else None
            key = (self._suite.places[policy.name], policy.name)
            self._touched.setdefault(key, {}).setdefault(rule.at if rule else None, set()).add(setting.check.id)

    def _find(self, name: str) -> Check | None:
        known = self._catalogue.find(name)
        declared = (one.check for policy in self._policies.values() for one in policy.declared)
        return known or next((check for check in declared if check.id == name), None)

    def rules(self) -> Iterator[CoveredRule]:
        """Every rule, with whether a test had a hit about which it decided."""
        for (place, name), policy in sorted(self._policies.items(), key=lambda one: one[0]):
            touched = self._touched.get((place, name), {})
            if policy.preset is not None:
                yield CoveredRule(place, name, None, f"preset {policy.preset}", None in touched)
            for rule in policy.rules:
                hit = touched.get(rule.at, set())
                words = [*sorted(rule.ids), *(f"group {one}" for one in sorted(rule.groups))]
                words += [f"profile {one}" for one in sorted(rule.profiles)]
                found = (self._find(one) for one in rule.ids)
                lacking = sorted({check.id for check in found if check is not None} - hit)
                yield CoveredRule(place, name, rule.at, ", ".join(words), bool(hit), tuple(lacking))
