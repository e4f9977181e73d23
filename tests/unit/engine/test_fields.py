"""What an AuditPolicy or IocWaiver may say is known word by word: any other is refused, by its path, all at once."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st

from iocaudit.core import paths
from iocaudit.core.check import PROFILES
from iocaudit.core.errors import IocauditError, PolicyError
from iocaudit.core.partial import PartialObject
from iocaudit.core.request import Operation
from iocaudit.core.severity import Severity
from iocaudit.engine import policy_reader, waiver_reader
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.engine.fields import KnownFields, LabelOperator
from iocaudit.engine.languages.reader import OPERATIONS
from iocaudit.engine.languages.rule_fields import RULE_GROUPS
from iocaudit.engine.policy_reader import read_policy
from iocaudit.engine.presets import Mode, Preset
from iocaudit.engine.setting import OnExisting, OnFault, OnIncomplete, SameImage
from iocaudit.engine.subjects import SubjectKind
from iocaudit.engine.waiver_reader import WaiverError, read_waiver

CRDS = Path(__file__).parents[3] / "manifests" / "crds"
CATALOGUE = builtin_catalogue()
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
Json = dict[str, Any]
Slot = tuple[str | int, ...]
"""The way to a value in a document: keys of maps and positions in lists."""

SELECTOR: Json = {
    "matchLabels": {"tier": "gold"},
    "matchExpressions": [{"key": "team", "operator": "NotIn", "values": ["a"]}, {"key": "b", "operator": "Exists"}],
}
POLICY: Json = {
    "apiVersion": "iocaudit.io/v1alpha1",
    "kind": "AuditPolicy",
    "metadata": {"name": "full"},
    "spec": {
        "priority": 5,
        "preset": "guard",
        "match": {
            "namespaces": ["lab", "team-*"],
            "excludeNamespaces": ["team-x"],
            "namespaceSelector": SELECTOR,
            "clusterScoped": True,
            "kinds": ["Pod", "Deployment.apps", "*.rbac.authorization.k8s.io"],
            "operations": ["CREATE", "CONNECT"],
            "subjects": [
                {"kind": "ServiceAccount", "name": "ci-*", "namespace": "shop"},
                {"kind": "Group", "name": "contractors"},
            ],
            "excludeSubjects": [{"kind": "ServiceAccount", "name": "*", "namespace": "argocd"}],
        },
        "checks": [
            {"ids": ["untrusted-registry"], "mode": "deny", "parameters": {"trusted": ["hooli.com"]}},
            {"groups": ["pods", "rbac"], "profiles": ["default", "strict"], "mode": "off", "severity": "critical"},
        ],
        "rules": [
            {
                "name": "registry",
                "rego": {"module": "package a", "libraries": ["package b"]},
                "kinds": ["Pod", "*.apps"],
                "podTemplates": True,
                "operations": ["CREATE", "UPDATE"],
                "needs": ["Ingress"],
                "mode": "off",
                "severity": "medium",
                "iocs": [9],
                "title": "t",
                "description": "d",
                "fix": "f",
                "parameters": {},
            },
            {
                "name": "no-latest",
                "cel": {
                    "validations": [{"expression": "true", "message": "m", "messageExpression": "'m'"}],
                    "variables": [{"name": "v", "expression": "1"}],
                    "matchConditions": [{"name": "c", "expression": "true"}],
                },
                "kinds": ["Pod"],
            },
        ],
        "onFault": "allow",
        "onIncomplete": "deny",
        "existing": "deny",
        "images": "exact",
        "rollout": {"from": "audit", "to": "deny", "after": "7d", "first": "10%", "protect": ["flux-system"]},
        "exemptSubjects": [
            {"kind": "ServiceAccount", "name": "ci", "namespace": "shop"},
            {"kind": "Group", "name": "system:masters"},
        ],
    },
    "status": {"observedGeneration": 1},
}
WAIVER: Json = {
    "apiVersion": "iocaudit.io/v1alpha1",
    "kind": "IocWaiver",
    "metadata": {"name": "full", "creationTimestamp": "2026-11-20T00:00:00Z"},
    "spec": {
        "checks": ["privileged-container", "host-pid"],
        "namespaces": ["shop", "team-*"],
        "clusterScope": False,
        "kinds": ["Pod", "Deployment.apps"],
        "names": ["web-*"],
        "labels": SELECTOR,
        "images": ["hooli.com/web"],
        "owner": "team-shop",
        "reason": "until v2 is out",
        "ticket": "SHOP-1",
        "expires": "2026-12-24T00:00:00Z",
        "allowNew": True,
    },
    "status": {"state": "Active"},
}
SAMPLES = {"AuditPolicy": POLICY, "IocWaiver": WAIVER}
FIELDS: dict[str, KnownFields] = {"AuditPolicy": policy_reader.FIELDS, "IocWaiver": waiver_reader.FIELDS}
FREE = ("metadata", "status", "matchLabels")
"""The keys below which names are not ours to know."""
WORDS: dict[str, dict[str, frozenset[str]]] = {
    "AuditPolicy": {
        "spec.match.namespaceSelector.matchExpressions[].operator": frozenset(LabelOperator),
        "spec.checks[].profiles[]": frozenset(PROFILES),
        "spec.checks[].mode": frozenset(Mode),
        "spec.checks[].severity": frozenset(severity.label for severity in Severity),
        "spec.preset": frozenset(Preset),
        "spec.onFault": frozenset(OnFault),
        "spec.onIncomplete": frozenset(OnIncomplete),
        "spec.existing": frozenset(OnExisting),
        "spec.images": frozenset(SameImage),
        "spec.match.operations[]": frozenset(Operation) - {Operation.DELETE},
        "spec.match.subjects[].kind": frozenset(SubjectKind),
        "spec.match.excludeSubjects[].kind": frozenset(SubjectKind),
        "spec.exemptSubjects[].kind": frozenset(SubjectKind),
        "spec.rules[].mode": frozenset(Mode),
        "spec.rules[].severity": frozenset(severity.label for severity in Severity),
        "spec.rules[].operations[]": frozenset(OPERATIONS),
        "spec.rollout.from": frozenset({"audit", "warn"}),
        "spec.rollout.to": frozenset({"warn", "deny"}),
    },
    "IocWaiver": {"spec.labels.matchExpressions[].operator": frozenset(LabelOperator)},
}
IDS = frozenset(CATALOGUE.names)
WORDS_OF_THE_CATALOGUE: dict[str, dict[str, frozenset[str]]] = {
    "AuditPolicy": {"spec.checks[].groups[]": CATALOGUE.groups | RULE_GROUPS, "spec.checks[].ids[]": IDS},
    "IocWaiver": {"spec.checks[]": IDS},
}


def read(raw: Json) -> None:
    """As it is read from a file."""

    def place(path: str) -> str:
        return f"p.yaml:{len(path)}"

    if raw.get("kind") == "AuditPolicy":
        read_policy(raw, CATALOGUE, place)
    else:
        read_waiver(raw, CATALOGUE, stored=False, now=NOW, place=place)


def slots(value: Any, at: Slot = ()) -> Iterator[Slot]:
    """The way to every value in a document."""
    if at:
        yield at
    if at and at[-1] in FREE:
        return
    for key, child in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from slots(child, (*at, key))


def path_of(at: Slot) -> str:
    found = ""
    for part in at:
        found = f"{found}[{part}]" if isinstance(part, int) else paths.field(found, part)
    return found


def shape_of(at: Slot) -> str:
    """The path without positions, as ``FIELDS`` and ``WORDS`` name it."""
    found = ""
    for part in at:
        found = f"{found}[]" if isinstance(part, int) else f"{found}.{part}".lstrip(".")
    return found


def holder(raw: Json, at: Slot) -> Any:
    value: Any = raw
    for part in at[:-1]:
        value = value[part]
    return value


def renamed(raw: Json, at: Slot, name: str) -> Json:
    found = copy.deepcopy(raw)
    parent = holder(found, at)
    parent[name] = parent.pop(at[-1])
    return found


def replaced(raw: Json, at: Slot, value: Any) -> Json:
    found = copy.deepcopy(raw)
    holder(found, at)[at[-1]] = value
    return found


@st.composite
def misspelled(draw: st.DrawFn, word: str) -> str:
    """A word with one slip: a letter too few, too many, wrong, in the wrong place or in the wrong case."""
    at = draw(st.integers(0, len(word) - 1))
    letter = draw(st.sampled_from("aeinrst-X "))
    slips = [
        word[:at] + word[at + 1 :],
        word[:at] + word[at] + word[at:],
        word[:at] + letter + word[at:],
        word[:at] + letter + word[at + 1 :],
        word[:at] + word[at + 1 : at + 2] + word[at] + word[at + 2 :],
        word[:at] + word[at].swapcase() + word[at + 1 :],
    ]
    return draw(st.sampled_from(slips))


KINDS = pytest.mark.parametrize("kind", sorted(SAMPLES))


@KINDS
def test_the_samples_are_good_and_use_every_field(kind: str) -> None:
    read(SAMPLES[kind])
    used = {shape_of(at) for at in slots(SAMPLES[kind])}
    assert {f"{at}.{name}".lstrip(".") for at, names in FIELDS[kind].items() for name in names} <= used


@KINDS
@given(data=st.data())
def test_a_misspelled_field_is_refused_by_its_path(kind: str, data: st.DataObject) -> None:
    sample = SAMPLES[kind]
    keys = [at for at in slots(sample) if isinstance(at[-1], str)]
    at = data.draw(st.sampled_from(keys))
    name = data.draw(misspelled(str(at[-1])))
    siblings = FIELDS[kind].get(shape_of(at[:-1]), frozenset({"trusted"}))
    assume(name not in siblings)
    with pytest.raises((PolicyError, WaiverError)) as refused:
        read(renamed(sample, at, name))
    assert f" {path_of((*at[:-1], name))}: there is no such field" in str(refused.value)


@KINDS
@given(data=st.data())
def test_a_misspelled_word_is_refused_by_its_path(kind: str, data: st.DataObject) -> None:
    sample, words = SAMPLES[kind], {**WORDS[kind], **WORDS_OF_THE_CATALOGUE[kind]}
    at = data.draw(st.sampled_from([at for at in slots(sample) if shape_of(at) in words]))
    word = data.draw(misspelled(holder(sample, at)[at[-1]]))
    assume(word not in words[shape_of(at)])
    with pytest.raises((PolicyError, WaiverError)) as refused:
        read(replaced(sample, at, word))
    assert f" {path_of(at)}: " in str(refused.value)


@KINDS
def test_every_known_word_is_taken(kind: str) -> None:
    for at in slots(SAMPLES[kind]):
        for word in WORDS[kind].get(shape_of(at), ()):
            changed = replaced(SAMPLES[kind], at, word)
            if (operator := holder(changed, at)).get("operator") if isinstance(at[-1], str) else None:
                operator.pop("values", None)
                operator.update({"values": ["a"]} if word in ("In", "NotIn") else {})
            if word in ("User", "Group"):
                holder(changed, at).pop("namespace", None)
            elif word == "ServiceAccount":
                holder(changed, at)["namespace"] = "shop"
            read(changed)


@KINDS
@given(data=st.data())
def test_a_value_of_another_type_is_refused_by_its_path(kind: str, data: st.DataObject) -> None:
    """``namespaces: lab`` is not a list, ``clusterScoped: "yes"`` is not true, and what has no value says nothing."""
    sample = SAMPLES[kind]
    values = [at for at in slots(sample) if at[0] == "spec"]
    at = data.draw(st.sampled_from(values))
    value = holder(sample, at)[at[-1]]
    others = [other for other in (None, "x", 3, True, ["x"], {"x": "y"}, 1.5) if type(other) is not type(value)]
    other = data.draw(st.sampled_from(others))
    with pytest.raises((PolicyError, WaiverError)) as refused:
        read(replaced(sample, at, other))
    assert f" {path_of(at)}" in str(refused.value)


def properties(schema: Json, at: str = "") -> Iterator[tuple[str, Json]]:
    """Every part of a CRD's schema that a person writes, by its path."""
    yield at, schema
    for name, field in schema.get("properties", {}).items():
        if (at, name) not in {("", "metadata"), ("", "status")}:
            yield from properties(field, f"{at}.{name}".lstrip("."))
    if "items" in schema:
        yield from properties(schema["items"], f"{at}[]")


@pytest.mark.parametrize(("file", "kind"), [("auditpolicies", "AuditPolicy"), ("iocwaivers", "IocWaiver")])
def test_the_crds_have_the_same_fields_and_words(file: str, kind: str) -> None:
    (version,) = yaml.safe_load((CRDS / f"{file}.yaml").read_text())["spec"]["versions"]
    found = dict(properties(version["schema"]["openAPIV3Schema"]))
    assert {at: frozenset(schema["properties"]) for at, schema in found.items() if "properties" in schema} == FIELDS[
        kind
    ]
    # kubectl reads an unquoted off as false.
    words = {at: frozenset(schema["enum"]) - {False} for at, schema in found.items() if "enum" in schema}
    assert words == WORDS[kind]
    taken = {at for at, schema in found.items() if False in schema.get("enum", ())}
    assert taken == ({"spec.checks[].mode", "spec.rules[].mode"} if kind == "AuditPolicy" else set())


@pytest.mark.parametrize("file", ["auditpolicies", "iocwaivers"])
def test_no_field_is_cut_off_before_somebody_can_refuse_it(file: str) -> None:
    (version,) = yaml.safe_load((CRDS / f"{file}.yaml").read_text())["spec"]["versions"]
    for at, schema in properties(version["schema"]["openAPIV3Schema"]):
        if "properties" in schema:
            assert schema.get("x-kubernetes-preserve-unknown-fields") is True, at


def test_every_mistake_is_told_at_once_with_what_was_probably_meant() -> None:
    raw = copy.deepcopy(POLICY)
    raw["spec"]["match"]["namespace"] = raw["spec"]["match"].pop("namespaces")
    raw["spec"]["checks"][1]["mode"] = "of"
    raw["spec"]["exemptSubjects"][1]["kind"] = "groop"
    raw["spec"]["onFualt"] = raw["spec"].pop("onFault")
    with pytest.raises(PolicyError) as refused:
        read_policy(raw, CATALOGUE)
    assert set(str(refused.value).splitlines()) == {
        "AuditPolicy full: spec.match.namespace: there is no such field (did you mean namespaces?)",
        "AuditPolicy full: spec.onFualt: there is no such field (did you mean onFault?)",
        "AuditPolicy full: spec.checks[1].mode: 'of' is not one of deny, warn, audit, off (did you mean off?)",
        "AuditPolicy full: spec.exemptSubjects[1].kind: 'groop' is not one of User, Group, ServiceAccount "
        "(did you mean Group?)",
    }


def test_what_lists_the_mistakes_is_bounded_and_stays_on_its_lines() -> None:
    """The document may be anybody's: it decides neither how long the answer is nor where its lines end."""
    raw = replaced(POLICY, ("spec", "exemptSubjects"), [{"x\ny" * 1000: 1, f"{n}": 2} for n in range(1000)])
    with pytest.raises(PolicyError) as refused:
        read_policy(raw, CATALOGUE)
    lines = str(refused.value).splitlines()
    assert len(lines) == 21
    assert all(line.startswith("AuditPolicy full: ") and len(line) <= 400 for line in lines)
    assert lines[-1].endswith("and 3981 more")


@KINDS
def test_what_could_not_be_read_whole_is_refused(kind: str) -> None:
    """The part that is missing may be the one that narrows it."""
    with pytest.raises((PolicyError, WaiverError)) as refused:
        read(PartialObject(SAMPLES[kind], "spec.match nests more than 200 levels deep"))
    assert f"{kind} full: cannot be read whole: spec.match nests" in str(refused.value)


@KINDS
def test_in_a_file_it_needs_a_name(kind: str) -> None:
    with pytest.raises((PolicyError, WaiverError), match=r"metadata\.name: is required"):
        read(renamed(SAMPLES[kind], ("metadata", "name"), "nmae"))


def test_an_unquoted_off_is_off_and_no_other_mode_is_a_boolean() -> None:
    off = replaced(POLICY, ("spec", "checks", 1, "mode"), yaml.safe_load("off"))
    assert read_policy(off, CATALOGUE).rules[-1].mode is Mode.OFF
    with pytest.raises(PolicyError, match=r"spec\.checks\[1\]\.mode: True is not one of"):
        read_policy(replaced(POLICY, ("spec", "checks", 1, "mode"), True), CATALOGUE)


JSON = st.recursive(
    st.none() | st.booleans() | st.text(max_size=5) | st.integers(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.sampled_from(["spec", "checks", "match", "ids", "labels"]), inner)
    ),
)


@given(JSON, st.sampled_from(sorted(SAMPLES)))
def test_no_document_at_all_brings_a_reader_down(value: Any, kind: str) -> None:
    for spec in (value, {"checks": value, "match": value, "labels": value, "expires": value, "exemptSubjects": value}):
        with pytest.raises(IocauditError):
            read({"kind": kind, "metadata": value, "spec": spec})
