"""The shape of a power: verbs on resources that, granted, amount to more than they say."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from iocaudit.knowledge.rbac.rules import PolicyRule

GroupResource = tuple[str, str]
"""Group and plural, the latter with its subresource."""


@dataclass(frozen=True, slots=True)
class PowerTarget:
    """Verbs on resources. ``scoped`` False: they stand outside namespaces, so a RoleBinding never gives them."""

    verbs: tuple[str, ...]
    resources: tuple[GroupResource, ...]
    scoped: bool = True

    def granted(self, rule: PolicyRule, *, clusterwide: bool) -> Iterator[str]:
        """What of it a rule gives, worded ``create pods/exec``."""
        if not self.scoped and not clusterwide:
            return
        for group, resource in self.resources:
            if rule.covers(group, resource):
                verbs = [verb for verb in self.verbs if _gives(rule, verb, group, resource)]
                if verbs:
                    yield f"{'/'.join(verbs)} {resource}"


def _gives(rule: PolicyRule, verb: str, group: str, resource: str) -> bool:
    return rule.allows(verb, group, resource) or (verb == "create" and rule.applies(group, resource))


@dataclass(frozen=True, slots=True, eq=False)
class Power:
    """A kind of grant that amounts to more than it says. ``extra`` finds what no list of resources can name."""

    id: str
    title: str
    targets: tuple[PowerTarget, ...]
    extra: Callable[[PolicyRule, bool], Iterable[str]] | None = None
    critical: bool = False

    def granted(self, rule: PolicyRule, *, clusterwide: bool) -> tuple[str, ...]:
        """What of it a rule gives where it holds (the whole cluster, or a namespace); empty where nothing."""
        found = [text for target in self.targets for text in target.granted(rule, clusterwide=clusterwide)]
        if self.extra is not None:
            found += self.extra(rule, clusterwide)
        return tuple(found)
