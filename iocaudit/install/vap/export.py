"""The export: from the policies and waivers in force to objects, and what of them it cannot say."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from iocaudit.core.check import Check
from iocaudit.core.kinds import WORKLOADS
from iocaudit.core.moments import rfc3339
from iocaudit.core.request import Operation
from iocaudit.core.shape import Json
from iocaudit.core.wording import several
from iocaudit.engine.policy_set import PolicySet
from iocaudit.engine.waivers import Waiver, Waivers
from iocaudit.install.vap.objects import RequestKinds, binding_object, policy_object, subjects_named
from iocaudit.install.vap.regions import Denial, LeftOut, Places, Region
from iocaudit.install.vap.rule import CelRule, DeniedHits, NotExpressibleError
from iocaudit.install.vap.translations import TRANSLATIONS, reason, translated
from iocaudit.knowledge.rbac.bindings import ADMIN_NAMESPACE

_OPERATIONS = (Operation.CREATE, Operation.UPDATE)
_PREFIX = "iocaudit-"
_DIGITS = 8


class VapExport(NamedTuple):
    """``objects`` are sorted by kind and name; ``left`` is what the webhook denies and they do not."""

    objects: list[Json]
    left: list[LeftOut]

    @property
    def told(self) -> list[str]:
        """What is left out, a line each; checks for the same reason share one."""
        everywhere: dict[str, list[str]] = {}
        lines = []
        for one in dict.fromkeys(self.left):
            if one.where:
                lines.append(f"{one.check}: not exported for {one.where}: {one.why}")
            else:
                everywhere.setdefault(one.why, []).append(one.check)
        several_checks = [f"not exported: {several(ids, len(ids))}: {why}" for why, ids in everywhere.items()]
        return [*several_checks, *lines]


class _Variant(NamedTuple):
    """What is denied alike of a check: one policy; each of its places is a binding."""

    denial: Denial
    rule: CelRule
    conditions: tuple[str, ...]
    places: dict[Region, set[tuple[object, Operation]]]


def export(
    policies: PolicySet, waivers: Waivers, now: datetime, own_namespace: str, exclude: Iterable[str] = ()
) -> VapExport:
    """What these policies deny, as far as CEL can say it.

    Namespace kube-system, our own and those of ``exclude`` are never guarded, as by the webhook.
    """
    spared = sorted({ADMIN_NAMESPACE, own_namespace, *exclude})
    places = Places(policies, spared)
    objects: list[Json] = []
    left: list[LeftOut] = []
    for check in sorted(policies.catalogue, key=lambda one: one.id):
        if policies.denying.anywhere(check):
            objects += _of_check(check, places, [one for one in waivers.naming(check.id) if _holds(one, now)], left)
    objects.sort(key=lambda one: (one["kind"], one["metadata"]["name"]))
    return VapExport(objects, left)


def _holds(waiver: Waiver, now: datetime) -> bool:
    """Whether it may cover something, now or later: what it is refused for may change, its end cannot."""
    return now < waiver.expires and bool(waiver.namespaces)


def _of_check(check: Check, places: Places, waivers: Sequence[Waiver], left: list[LeftOut]) -> Iterator[Json]:
    if check.id not in TRANSLATIONS:
        left.append(LeftOut(check.id, "", reason(check)))
        return
    waived = sorted({name for waiver in waivers for name in waiver.namespaces})
    variants: dict[object, _Variant] = {}
    for kind in WORKLOADS:
        for operation in _OPERATIONS:
            if kind not in check.looks_at or operation not in check.operations:
                continue
            found, unsaid = places.regions(check, kind, operation, waived)
            left += unsaid
            for denial, region in found:
                key = (denial.key, region.conditions)
                variant = variants.get(key)
                if variant is None:
                    try:
                        rule = translated(check, DeniedHits(denial.severities, denial.given))
                    except NotExpressibleError as why:
                        left.append(LeftOut(check.id, _where(region), str(why)))
                        continue
                    left += (LeftOut(check.id, "", note) for note in rule.notes)
                    variant = variants[key] = _Variant(denial, rule, region.conditions, {})
                variant.places.setdefault(region, set()).add((kind, operation))
    yield from _objects(check, list(variants.values()), waivers, left)


def _objects(check: Check, variants: list[_Variant], waivers: Sequence[Waiver], left: list[LeftOut]) -> Iterator[Json]:
    variants.sort(
        key=lambda one: (not any(region.outside for region in one.places), _digits(one.denial.key, one.conditions))
    )
    told = [
        f"namespace {name} until {rfc3339(one.expires)} (waiver {one.name})"
        for one in waivers
        for name in one.namespaces
    ]
    left += (LeftOut(check.id, line.partition(" until ")[0], line) for line in told)
    for at, variant in enumerate(variants):
        name = _PREFIX + check.id
        if at:
            name += "-" + _digits(variant.denial.key, variant.conditions)
        whole: RequestKinds = frozenset(one for asked in variant.places.values() for one in asked)  # type: ignore[misc]
        exempt = [f"requests of {subject} (exempt)" for subject in subjects_named(variant.denial.exempt)]
        said = "\n".join([*told, *exempt])
        yield policy_object(name, check, variant.rule, variant.denial, variant.conditions, whole, said)
        regions = sorted(variant.places.items(), key=lambda one: (not one[0].outside, _digits(one[0].selector)))
        for number, (region, asked) in enumerate(regions):
            binding = name if number == 0 else f"{name}-{_digits(region.selector, sorted(map(str, asked)))}"
            yield binding_object(binding, name, region, frozenset(asked), whole, said)  # type: ignore[arg-type]


def _where(region: Region) -> str:
    if region.outside:
        return "" if not region.names else f"every namespace but {several(sorted(region.names), 8)}"
    return f"namespace {several(sorted(region.names), 8)}"


def _digits(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:_DIGITS]
