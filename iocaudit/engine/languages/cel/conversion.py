"""Policies that others wrote in the dialect of the API server, as AuditPolicies with one rule each.

What would hold in another way here, or not at all, is refused by the name of its field: nothing is left out silently.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from iocaudit.core.errors import IocauditError
from iocaudit.core.kinds import POD, Kind
from iocaudit.core.shape import Json, items, lookup, mapping, mappings, strings, text
from iocaudit.engine.languages.reader import judgeable
from iocaudit.engine.presets import Mode

ADMISSION_POLICY: Final = ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy")
BINDING: Final = ("admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding")
KYVERNO_POLICY: Final = ("policies.kyverno.io", "ValidatingPolicy")
POLICIES: Final = (ADMISSION_POLICY, KYVERNO_POLICY)

_MODES: Final = {"Deny": Mode.DENY, "Warn": Mode.WARN, "Audit": Mode.AUDIT}
_LONGEST_NAME: Final = 41
_OPERATIONS: Final = ("CREATE", "UPDATE")
_ASKED: Final = "rules are asked on CREATE and UPDATE alone"
_ELSEWHERE: Final[Mapping[str, str]] = {
    "auditAnnotations": "annotations of the audit log are written by the API server alone",
    "paramKind": "the parameters of a rule stand in its policy: hand over the object with --params",
    "excludeResourceRules": "name the kinds that the rule is for in resourceRules",
    "objectSelector": "write it as a match condition, such as object.metadata.?labels[?'app'].orValue('') == 'web'",
    "resourceNames": "write it as a match condition on object.metadata.name",
    "webhookConfiguration": "the webhook's deadline holds for all rules",
}
_ADMISSION_SPEC: Final = frozenset(
    {"failurePolicy", "matchConditions", "matchConstraints", "paramKind", "validations", "variables"}
)
_KYVERNO_SPEC: Final = (_ADMISSION_SPEC - {"paramKind"}) | {"autogen", "evaluation", "validationActions"}


class ConversionError(IocauditError):
    """A policy cannot be taken; names it and, one a line, each field and why."""


def group_and_kind(document: Json) -> tuple[str, str]:
    """The API group and kind of a document."""
    return text(document.get("apiVersion")).rpartition("/")[0], text(document.get("kind"))


def converted(documents: Sequence[Json], *, params: Json | None = None, mode: Mode | None = None) -> list[Json]:
    """AuditPolicies for the policies among ``documents``; bindings among them give mode and namespaces.

    ``params`` is the object that the rules find as ``params``. ``mode`` is that of the rules; None takes the actions
    that a policy or its binding names, and deny where neither is there. Raises ConversionError.
    """
    bound: dict[str, list[Json]] = {}
    for one in documents:
        if group_and_kind(one) == BINDING:
            bound.setdefault(text(lookup(one, "spec", "policyName")), []).append(one)
    found = [
        _Conversion(one, bound.get(text(lookup(one, "metadata", "name")), []), params, mode).policy()
        for one in documents
        if group_and_kind(one) in POLICIES
    ]
    if not found:
        kinds = " or ".join(f"{kind} of {group}" for group, kind in POLICIES)
        raise ConversionError(f"holds no policy that can be converted: a {kinds}")
    return found


class _Conversion:
    """That of one policy."""

    def __init__(self, document: Json, bindings: Sequence[Json], params: Json | None, mode: Mode | None) -> None:
        self._name = text(lookup(document, "metadata", "name"))
        self._kyverno = group_and_kind(document) == KYVERNO_POLICY
        self._kind = text(document.get("kind"))
        self._spec = mapping(document.get("spec"))
        self._bindings, self._params, self._mode = bindings, params, mode
        self._refused: list[str] = []

    def policy(self) -> Json:
        known = _KYVERNO_SPEC if self._kyverno else _ADMISSION_SPEC
        self._only("spec", self._spec, known)
        constraints = mapping(self._spec.get("matchConstraints"))
        kinds, operations = self._selected(constraints, "spec.matchConstraints")
        selectors = [constraints.get("namespaceSelector"), *self._binding_selectors()]
        rule: Json = {
            "name": self._rule_name(),
            "kinds": [str(kind) if kind.group else kind.name for kind in kinds],
            "mode": self._chosen_mode().value,
            "podTemplates": self._for_templates(kinds),
        }
        if operations != list(_OPERATIONS):
            rule["operations"] = operations
        if params := self._parameters():
            rule["parameters"] = params
        rule["cel"] = self._cel()
        spec: Json = {"onFault": "allow" if self._spec.get("failurePolicy") == "Ignore" else "deny"}
        if chosen := [one for one in selectors if one]:
            if len(chosen) > 1:
                self._refuse(
                    "spec.matchConstraints.namespaceSelector", "the binding has one as well: write them as one"
                )
            if clusterwide := [kind.name for kind in kinds if not kind.namespaced]:
                self._refuse("namespaceSelector", f"{clusterwide[0]} is in no namespace, and would be left out")
            spec["match"] = {"namespaceSelector": chosen[0]}
        if self._refused:
            listed = "\n".join(f"  {one}" for one in self._refused)
            raise ConversionError(f"{self._kind} {self._name} cannot be converted:\n{listed}")
        metadata = {"name": self._name}
        return {
            "apiVersion": "iocaudit.io/v1alpha1",
            "kind": "AuditPolicy",
            "metadata": metadata,
            "spec": {**spec, "rules": [rule]},
        }

    def _refuse(self, field: str, why: str) -> None:
        self._refused.append(f"{field}: {why}")

    def _only(self, place: str, given: Mapping[str, Any], known: Iterable[str]) -> None:
        for name, value in given.items():
            if name not in known and value not in (None, [], {}, ""):
                self._refuse(f"{place}.{name}", _ELSEWHERE.get(name, "it has no counterpart in a rule"))

    def _rule_name(self) -> str:
        name = re.sub(r"[^a-z0-9]+", "-", self._name.lower()).strip("-")[:_LONGEST_NAME].strip("-")
        if not name:
            self._refuse("metadata.name", "a rule is named after it, in lower-case words and digits")
        return name

    def _chosen_mode(self) -> Mode:
        actions = strings(self._spec.get("validationActions"))
        for binding in self._bindings:
            actions += strings(lookup(binding, "spec", "validationActions"))
        for one in actions:
            if one not in _MODES:
                self._refuse("validationActions", f"{one}: it has to be {', '.join(_MODES)}")
        if self._mode is not None:
            return self._mode
        named = [_MODES[one] for one in _MODES if one in actions]
        return named[0] if named else (Mode.AUDIT if self._kyverno and not actions else Mode.DENY)

    def _parameters(self) -> Json:
        needed = "paramKind" in self._spec or any(lookup(one, "spec", "paramRef") for one in self._bindings)
        if needed and self._params is None:
            self._refuse("spec.paramKind", _ELSEWHERE["paramKind"])
        return dict(self._params or {}) if needed else {}

    def _binding_selectors(self) -> list[Any]:
        if len(self._bindings) > 1:
            self._refuse("spec", "it has several bindings: convert it once with each")
        found = []
        for binding in self._bindings:
            spec = mapping(binding.get("spec"))
            self._only("binding: spec", spec, {"policyName", "paramRef", "matchResources", "validationActions"})
            resources = mapping(spec.get("matchResources"))
            self._only("binding: spec.matchResources", resources, {"matchPolicy", "namespaceSelector"})
            found.append(resources.get("namespaceSelector"))
        return found

    def _selected(self, constraints: Mapping[str, Any], place: str) -> tuple[list[Kind], list[str]]:
        """The kinds and the operations of the resource rules."""
        self._only(place, constraints, {"matchPolicy", "namespaceSelector", "resourceRules"})
        kinds: dict[Kind, None] = {}
        asked: list[list[str]] = []
        rules = mappings(constraints.get("resourceRules"))
        if not rules:
            self._refuse(f"{place}.resourceRules", "it has to say what the policy is for")
        for number, rule in enumerate(rules):
            where = f"{place}.resourceRules[{number}]"
            self._only(where, rule, {"apiGroups", "apiVersions", "resources", "operations", "scope"})
            chosen = self._kinds_of(rule, where)
            kinds |= dict.fromkeys(chosen)
            scope = text(rule.get("scope")) or "*"
            if scope != "*" and any(kind.namespaced != (scope == "Namespaced") for kind in chosen):
                self._refuse(f"{where}.scope", f"{scope} leaves out kinds that the rule names")
            asked.append(self._operations_of(rule, where))
        if any(one != asked[0] for one in asked):
            self._refuse(f"{place}.resourceRules", "their operations differ: make a policy of each")
        return list(kinds), asked[0] if asked else []

    def _operations_of(self, rule: Json, where: str) -> list[str]:
        given = strings(rule.get("operations"))
        for one in given:
            if one not in _OPERATIONS:
                self._refuse(f"{where}.operations", f"{one}: {_ASKED}")
        if not given:
            self._refuse(f"{where}.operations", f"it has to name them: {_ASKED}")
        return [one for one in _OPERATIONS if one in given]

    def _kinds_of(self, rule: Json, where: str) -> list[Kind]:
        found: list[Kind] = []
        versions = strings(rule.get("apiVersions"))
        for group in strings(rule.get("apiGroups")):
            for resource in strings(rule.get("resources")):
                if "*" in (group, resource) or "/" in resource:
                    self._refuse(
                        f"{where}.resources", f"{group or 'core'} {resource}: name kinds, without subresources"
                    )
                    continue
                kind = next((one for one in judgeable() if (one.group, one.plural) == (group, resource)), None)
                if kind is None:
                    self._refuse(f"{where}.resources", f"{resource} of {group or 'core'} is not read by an auditor")
                elif "*" not in versions and kind.version not in versions:
                    self._refuse(f"{where}.apiVersions", f"{kind.name} is read as {kind.version}")
                else:
                    found.append(kind)
        if not found and not self._refused:
            self._refuse(where, "it names no resources")
        return found

    def _for_templates(self, kinds: Sequence[Kind]) -> bool:
        """Whether the pods of templates are judged: the API server judges pods alone, Kyverno makes rules for both."""
        if not self._kyverno:
            return False
        autogen = mapping(self._spec.get("autogen"))
        self._only("spec.autogen", autogen, {"podControllers", "validatingAdmissionPolicy"})
        controllers = lookup(autogen, "podControllers", "controllers")
        evaluation = mapping(self._spec.get("evaluation"))
        self._only("spec.evaluation", evaluation, {"admission", "background", "mode"})
        if text(evaluation.get("mode")) not in ("", "Kubernetes"):
            self._refuse("spec.evaluation.mode", "only objects of Kubernetes are judged")
        if lookup(evaluation, "admission", "enabled") is False:
            self._refuse(
                "spec.evaluation.admission", "a rule that is not for requests has the mode audit: give --mode audit"
            )
        return kinds == [POD] and controllers != []

    def _cel(self) -> Json:
        cel: Json = {}
        for field in ("matchConditions", "variables", "validations"):
            known = {"name", "expression"} if field != "validations" else {"expression", "message", "messageExpression"}
            for number, one in enumerate(items(self._spec.get(field))):
                # Of a reason only the HTTP code of the answer follows.
                self._only(f"spec.{field}[{number}]", mapping(one), {*known, "reason"} if "message" in known else known)
                cel.setdefault(field, []).append({name: value for name, value in mapping(one).items() if name in known})
        if "validations" not in cel:
            self._refuse("spec.validations", "it has none")
        return cel
