"""A rule as the objects of the API: a ValidatingAdmissionPolicy, and a binding for each set of namespaces."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence

import orjson

from iocaudit.core.check import Check
from iocaudit.core.kinds import JOB, POD, REPLICA_SET, Kind
from iocaudit.core.own_names import LABELS
from iocaudit.core.request import Operation
from iocaudit.core.shape import Json
from iocaudit.engine.subjects import ExemptSubject, SubjectKind
from iocaudit.install.vap.cel import literals, quoted
from iocaudit.install.vap.regions import Denial, Region
from iocaudit.install.vap.rule import POD_VARIABLES, THROUGH, CelRule, Finder, PodPart
from iocaudit.install.webhook_configuration import resource_rules
from iocaudit.knowledge.controllers import CONTROLLERS, account_of

API_VERSION = "admissionregistration.k8s.io/v1"
POLICY = Kind(
    "admissionregistration.k8s.io",
    "v1",
    "ValidatingAdmissionPolicy",
    "validatingadmissionpolicies",
    namespaced=False,
)
BINDING = Kind(
    "admissionregistration.k8s.io",
    "v1",
    "ValidatingAdmissionPolicyBinding",
    "validatingadmissionpolicybindings",
    namespaced=False,
)
EXPORT_LABEL = "iocaudit.io/export"
EXPORT_LABELS = {**LABELS, EXPORT_LABEL: "vap"}
DIGEST, LEFT_OUT = "iocaudit.io/digest", "iocaudit.io/left-out"
"""Annotations: of the spec, and of what is denied by the webhook and not by this."""
RequestKinds = frozenset[tuple[Kind, Operation]]
_NAME = re.compile(r"r'[^']*'|'(?:\\.|[^'\\])*'|@([a-z][A-Za-z]*)")
"""A literal, in which nothing is a name, or a name."""
_AT = (
    "object.kind == 'Pod' ? 'spec' : object.kind == 'PodTemplate' ? 'template.spec' : "
    "object.kind == 'CronJob' ? 'spec.jobTemplate.spec.template.spec' : 'spec.template.spec'"
)
_SUBJECT = (
    "object.kind + ' ' + request.namespace + '/' + "
    "object.metadata.?name.orValue(object.metadata.?generateName.orValue('')) + ': '"
)
_LIST = (
    "(variables.pod.containers.exists(one, one.name == it.name) ? 'containers' : "
    "variables.pod.?initContainers.orValue([]).exists(one, one.name == it.name) ? 'initContainers' : "
    "'ephemeralContainers')"
)
_WHO: Mapping[PodPart, tuple[str, str]] = {
    PodPart.POD: ("''", "variables.at"),
    PodPart.CONTAINER: ("'container \"' + it.name + '\" '", f"variables.at + '.' + {_LIST} + '[\"' + it.name + '\"]'"),
    PodPart.VOLUME: ("'volume \"' + it.name + '\" '", "variables.at + '.volumes[\"' + it.name + '\"]'"),
    PodPart.ANNOTATION: ("'annotation ' + it + ' '", "'metadata.annotations'"),
}
"""Who does it, and at which path, as CEL about ``it``."""


def policy_object(
    name: str,
    check: Check,
    rule: CelRule,
    denial: Denial,
    conditions: Iterable[str],
    asked: RequestKinds,
    left_out: str,
) -> Json:
    """The ValidatingAdmissionPolicy. ``conditions`` are further ones on the request, ``asked`` what it is for."""
    spec: Json = {
        "failurePolicy": "Fail",
        "matchConditions": _conditions(denial, conditions, asked),
        "matchConstraints": {
            "matchPolicy": "Equivalent",
            "namespaceSelector": {},
            "objectSelector": {},
            "resourceRules": _rules(asked),
        },
        "validations": [
            {
                "expression": f"size(variables.{_bad(rule, at)}) == 0 || variables.before",
                "message": f"{check.title.rstrip('.')} ({check.id})",
                "messageExpression": _message(check, finder, _bad(rule, at)),
                "reason": "Forbidden",
            }
            for at, finder in enumerate(rule.finders)
        ],
    }
    spec["variables"] = _variables(rule, spec["validations"])
    if not spec["matchConditions"]:
        del spec["matchConditions"]
    return _object(POLICY, name, spec, left_out)


def binding_object(
    name: str, policy: str, region: Region, asked: RequestKinds, whole: RequestKinds, left_out: str
) -> Json:
    """A binding of a policy: where it holds, and for what of that for which the policy is made."""
    matched: Json = {
        "matchPolicy": "Equivalent",
        "namespaceSelector": region.selector,
        "objectSelector": {},
    }
    if asked != whole:
        matched["resourceRules"] = _rules(asked)
    spec = {"matchResources": matched, "policyName": policy, "validationActions": ["Deny"]}
    return _object(BINDING, name, spec, left_out)


def digest_of(spec: object) -> str:
    """What tells one spec from another."""
    return "sha256:" + hashlib.sha256(orjson.dumps(spec, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _object(kind: Kind, name: str, spec: Json, left_out: str) -> Json:
    annotations = {DIGEST: digest_of(spec), **({LEFT_OUT: left_out} if left_out else {})}
    metadata = {"name": name, "labels": EXPORT_LABELS, "annotations": annotations}
    return {"apiVersion": API_VERSION, "kind": kind.name, "metadata": metadata, "spec": spec}


def _rules(asked: RequestKinds) -> list[Json]:
    kinds = {kind for kind, _ in asked}
    return resource_rules({kind: frozenset(one for other, one in asked if other == kind) for kind in kinds})


def _conditions(denial: Denial, conditions: Iterable[str], asked: RequestKinds) -> list[Json]:
    found = [{"name": f"namespace-{at}", "expression": text} for at, text in enumerate(conditions, 1)]
    if denial.spares_existing and (controllers := _controllers(asked)):
        found.append({"name": "not-made-of-a-template", "expression": controllers})
    users = sorted({one.username for one in denial.exempt if one.kind is not SubjectKind.GROUP})
    groups = sorted({one.name for one in denial.exempt if one.kind is SubjectKind.GROUP})
    if users:
        found.append({"name": "not-exempt-users", "expression": f"!(request.userInfo.username in {literals(users)})"})
    if groups:
        own = "(has(request.userInfo.groups) ? request.userInfo.groups : [])"
        found.append({"name": "not-exempt-groups", "expression": f"!{own}.exists(one, one in {literals(groups)})"})
    return found


def _controllers(asked: RequestKinds) -> str:
    """What a controller makes is judged at its template: it is left out here, as its owner may have had it before."""
    made = sorted(kind.name for kind in (POD, REPLICA_SET, JOB) if (kind, Operation.CREATE) in asked)
    if not made:
        return ""
    names = {account_of(name) for kind in (POD, REPLICA_SET, JOB) for name in CONTROLLERS[kind].values()}
    return (
        f"!(request.operation == 'CREATE' && request.kind.kind in {literals(made)} && request.userInfo.username in "
        f"{literals(sorted({'system:kube-controller-manager', *names}))})"
    )


def _bad(rule: CelRule, at: int) -> str:
    return "bad" if len(rule.finders) == 1 else f"bad{at + 1}"


def _through(finder: Finder) -> str:
    return finder.through or THROUGH[finder.part]


def _message(check: Check, finder: Finder, bad: str) -> str:
    who, path = _WHO[finder.part]
    place = f"{path} + {quoted('.' + finder.field)}" if finder.field else path
    more = f"(size(variables.{bad}) > 1 ? ' and ' + string(size(variables.{bad}) - 1) + ' more' : '')"
    says = _written(finder.says, "")
    fix = quoted(f". {check.doc.fix} ({check.id})")
    return f"[variables.{bad}[0]].map(it, {_SUBJECT} + {who} + {says} + ' (' + {place} + ')' + {more} + {fix})[0]"


def _variables(rule: CelRule, validations: Sequence[Json]) -> list[Json]:
    """Those that the validations need, each before what uses it."""
    known = [("at", _AT), *rule.constants]
    for prefix in ("", "old"):
        # A rule may have its own in place of one of the pod's, where that stands.
        for name, text in (dict(POD_VARIABLES) | dict(rule.variables)).items():
            known.append((_named(name, prefix), _written(text, prefix)))
    for at, finder in enumerate(rule.finders):
        known.append((_bad(rule, at), _written(f"{_through(finder)}.filter(it, {finder.bad})", "")))
    before = " || ".join(_written(f"{_through(one)}.exists(it, {one.bad})", "old") for one in rule.finders)
    known.append(("before", f"oldObject != null && ({before})"))
    needed = {name for one in validations for name in _used(one["expression"] + one["messageExpression"])}
    for name, text in reversed(known):
        if name in needed:
            needed.update(_used(text))
    return [{"name": name, "expression": text} for name, text in known if name in needed]


def _used(text: str) -> set[str]:
    return set(re.findall(r"\bvariables\.([A-Za-z0-9]+)", text))


def _written(text: str, prefix: str) -> str:
    """An expression with its ``@names`` as those of the new object, or with prefix ``old`` of the old one."""
    return _NAME.sub(lambda match: _reference(match[1], prefix) if match[1] else match[0], text)


def _reference(name: str, prefix: str) -> str:
    if name == "object":
        return "oldObject" if prefix else "object"
    return f"variables.{_named(name, prefix)}"


def _named(name: str, prefix: str) -> str:
    return f"{prefix}{name[0].upper()}{name[1:]}" if prefix else name


def subjects_named(exempt: Iterable[ExemptSubject]) -> list[str]:
    """Exempt subjects as they are told of."""
    return sorted(
        f"{one.kind} {one.namespace}/{one.name}" if one.namespace else f"{one.kind} {one.name}" for one in exempt
    )
