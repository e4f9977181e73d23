"""Where an export denies: never where the policies do not, and everywhere they do but for what is told."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from iocaudit.core.kinds import CRON_JOB, DEPLOYMENT, POD
from iocaudit.core.label_selector import selects
from iocaudit.core.namespaces import NAME_LABEL
from iocaudit.core.request import Operation, Request
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.engine.name_globs import name_globs
from iocaudit.engine.policy_reader import read_policy
from iocaudit.engine.policy_set import PolicySet
from iocaudit.engine.presets import Mode, Preset
from iocaudit.install.vap.regions import LeftOut, Places, Region

Json = dict[str, Any]
CATALOGUE = builtin_catalogue().select(("privileged-container", "host-port", "dangerous-capability"))
CHECKS = list(CATALOGUE)
NAMESPACES = ("shop", "ship", "bar", "kube-system", "team-a", "team-b", "other")
LABELS: tuple[dict[str, str], ...] = ({}, {"env": "prod"}, {"env": "test"}, {"env": "prod", "tier": "1"})
USERS = ("eve", "robot")
_MATCHES = re.compile(r"request\.namespace\.matches\(r'(.*?)'\)")


@st.composite
def policy_specs(draw: st.DrawFn) -> Json:
    match: Json = {}
    names = st.sampled_from(["shop", "ship", "bar", "sh*", "team-?", "team-[ab]", "*"])
    if draw(st.booleans()):
        match["namespaces"] = draw(st.lists(names, min_size=1, max_size=2, unique=True))
    if draw(st.integers(0, 3)) == 0:
        match["excludeNamespaces"] = draw(st.lists(names.filter(lambda name: name != "*"), min_size=1, max_size=2))
    if draw(st.integers(0, 3)) == 0:
        one: Json = {"matchLabels": {"env": "prod"}}
        two: Json = {"matchExpressions": [{"key": "env", "operator": "NotIn", "values": ["test"]}]}
        both: Json = {**one, "matchExpressions": [{"key": "tier", "operator": "Exists"}]}
        match["namespaceSelector"] = draw(st.sampled_from([one, two, both]))
    if draw(st.integers(0, 4)) == 0:
        match["kinds"] = [draw(st.sampled_from(["Deployment", "CronJob", "Pod"]))]
    if draw(st.integers(0, 4)) == 0:
        match["operations"] = [draw(st.sampled_from(["CREATE", "UPDATE"]))]
    if draw(st.integers(0, 4)) == 0:
        match["subjects"] = [{"kind": "User", "name": "eve"}]
    spec: Json = {"priority": draw(st.integers(0, 2)), **({"match": match} if match else {})}
    if draw(st.integers(0, 3)) == 0:
        spec["exemptSubjects"] = [{"kind": "User", "name": "robot"}]
    modes = st.sampled_from(["deny", "deny", "warn", "off"])
    rules: list[Json] = [{"ids": [draw(st.sampled_from([check.id for check in CHECKS]))], "mode": draw(modes)}]
    if draw(st.booleans()):
        rules[0] = {"ids": ["host-port"], "mode": "deny", "parameters": {"allowed": [{"min": 1, "max": 9}]}}
    spec["checks"] = rules
    if draw(st.booleans()):
        spec["preset"] = draw(st.sampled_from([preset.value for preset in Preset]))
    return spec


def drawn(specs: list[Json], preset: Preset = Preset.WARN) -> PolicySet:
    read = [read_policy({"metadata": {"name": f"p{at}"}, "spec": spec}, CATALOGUE) for at, spec in enumerate(specs)]
    return PolicySet(CATALOGUE, read, preset=preset)


def holds(condition: str, name: str) -> bool:
    """A condition on the name of a namespace, as CEL has it."""
    text = _MATCHES.sub(lambda match: str(re.fullmatch(match[1].strip("^$"), name) is not None), condition)
    assert re.fullmatch(r"[()! &TrueFals]+", text), text
    return bool(eval(text.replace("&&", " and ").replace("!", " not ")))  # the words above


def covers(region: Region, name: str, labels: dict[str, str]) -> bool:
    return selects(region.selector, {**labels, NAME_LABEL: name}) and all(holds(one, name) for one in region.conditions)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(policy_specs(), max_size=3),
    st.sampled_from([Preset.WARN, Preset.LOCKDOWN]),
    st.lists(st.sampled_from(["ship", "team-*", "o*"]), max_size=2, unique=True),
)
def test_a_region_is_where_the_policies_deny_just_that(specs: list[Json], preset: Preset, waived: list[str]) -> None:
    policies = drawn(specs, preset)
    places = Places(policies, ["kube-system"])
    for check in CHECKS:
        for kind in (POD, DEPLOYMENT, CRON_JOB):
            for operation in (Operation.CREATE, Operation.UPDATE):
                found, left = places.regions(check, kind, operation, sorted(waived))
                for name in NAMESPACES:
                    for labels in LABELS:
                        here = [denial for denial, region in found if covers(region, name, labels)]
                        assert len(here) <= 1, "one place is in two regions"
                        spared = name == "kube-system" or name_globs(tuple(waived)).match(name)
                        for user in USERS:
                            request = Request(operation, user, ())
                            setting = policies.settings(name, labels, kind=kind, request=request).get(check.id)
                            denies = {
                                severity
                                for severity in check.severities
                                if setting is not None
                                and not setting.exempts(request)
                                and setting.mode_for(severity) is Mode.DENY
                            }
                            exempt = here and any(one.covers(user, ()) for one in here[0].exempt)
                            exported = here[0].severities if here and not exempt else frozenset()
                            assert exported <= denies, (name, labels, user)
                            if exported:
                                assert setting is not None
                                allowed = setting.params.get("allowed")
                                assert here[0].given.get("allowed") == allowed
                            if spared:
                                assert not here
                            elif not left and not exempt:
                                assert exported == denies, (name, labels, user)


def regions(*specs: Json) -> tuple[list[Region], list[LeftOut]]:
    (check,) = (one for one in CHECKS if one.id == "privileged-container")
    found, left = Places(drawn([*specs]), ["iocaudit", "kube-system"]).regions(check, POD, Operation.CREATE, ())
    return [region for _, region in found], left


def test_names_labels_and_globs_are_said() -> None:
    named = {"checks": [{"ids": ["privileged-container"], "mode": "deny"}], "match": {"namespaces": ["shop", "bar"]}}
    assert regions(named) == ([Region(frozenset({"shop", "bar"}), False)], [])
    by_label = {**named, "match": {"namespaceSelector": {"matchLabels": {"env": "prod"}}}}
    ((region,), left) = regions(by_label)
    assert left == []
    assert region.selector["matchExpressions"] == [
        {"key": NAME_LABEL, "operator": "NotIn", "values": ["iocaudit", "kube-system"]},
        {"key": "env", "operator": "In", "values": ["prod"]},
    ]
    by_glob = {**named, "match": {"namespaces": ["team-*"], "excludeNamespaces": ["team-x*"]}}
    ((region,), left) = regions(by_glob)
    assert region.conditions == (
        "request.namespace.matches(r'^team-.*$') && !request.namespace.matches(r'^team-x.*$')",
    )


def test_what_depends_on_who_asks_is_told() -> None:
    some = {
        "checks": [{"ids": ["privileged-container"], "mode": "deny"}],
        "match": {"subjects": [{"kind": "User", "name": "eve"}]},
    }
    found, (left,) = regions(some)
    assert found == []
    assert left.why.startswith("p0: who asks")
