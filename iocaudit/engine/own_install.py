"""RBAC objects under the names of our own install that hold something else than this version installs.

Another version looks like that, and so does anyone who wants to hide a grant where nobody looks twice. Anyone who holds
every right could have given it anyway, and is warned; everybody else is denied.
"""

from __future__ import annotations

from iocaudit.core.guard import TAMPERING
from iocaudit.core.hit import Hit
from iocaudit.core.report import ReportedHit
from iocaudit.core.request import Operation, Request
from iocaudit.core.resource import Resource
from iocaudit.engine.audit import Auditor
from iocaudit.engine.posture import Verdict, spare
from iocaudit.engine.presets import Mode
from iocaudit.engine.setting import Setting
from iocaudit.knowledge.rbac.own import bears_own_name, content_of, is_own
from iocaudit.knowledge.rbac.requester import holds_everything

_WHY = "own"
"""Stands in the audit annotation where a denial was spared because the requester holds every right."""


def judge_own_install(
    resource: Resource, old: Resource | None, request: Request, verdict: Verdict, auditor: Auditor
) -> Verdict:
    """The verdict, where an object bears one of our names, with what is to be said of that. By labels nothing is."""
    world = auditor.world
    if not bears_own_name(resource, world) or is_own(resource, world):
        return verdict
    if request.operation is Operation.UPDATE and old is not None and content_of(old) == content_of(resource):
        return verdict
    setting = auditor.settings_for(resource, request).get(TAMPERING)
    if setting is None:
        return verdict
    found = _found(resource, setting)
    mode = setting.mode_for(found.severity)
    if mode is Mode.AUDIT:
        return verdict._replace(observed=(*verdict.observed, found))
    if mode is Mode.WARN or setting.exempts(request):
        return verdict._replace(warnings=(found, *verdict.warnings))
    denied = verdict._replace(allowed=False, denials=(found, *verdict.denials))
    return spare(denied, _WHY) if holds_everything(request, world) else denied


def _found(resource: Resource, setting: Setting) -> ReportedHit:
    check = setting.check
    message = "has a name of this auditor's own install, but not the content that this version installs"
    content = content_of(resource)
    evidence = (
        "; ".join(sorted(rule.canonical for rule in content.rules)) or f"{content.role} {sorted(content.subjects)}"
    )
    path = "rules" if content.role == ("", "") else "roleRef"
    hit = Hit(path, message, evidence)
    severity = setting.severity or check.severity
    return ReportedHit(check.id, severity, check.iocs, resource.ref, resource.origin, hit, check.doc.fix)
