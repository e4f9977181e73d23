"""What tests of exports share: an export of specs of AuditPolicies."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.engine.policy_reader import read_policies
from iocaudit.engine.waiver_reader import read_waiver
from iocaudit.engine.waivers import Waivers
from iocaudit.install.vap.export import VapExport, export

Json = dict[str, Any]
CATALOGUE = builtin_catalogue()
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def exported(*specs: Json, waivers: tuple[Json, ...] = ()) -> VapExport:
    raws = [{"metadata": {"name": f"p{at}"}, "spec": spec} for at, spec in enumerate(specs)]
    read = [
        read_waiver({"metadata": {"name": f"w{at}"}, "spec": spec}, CATALOGUE, stored=False, now=NOW)
        for at, spec in enumerate(waivers)
    ]
    return export(read_policies(raws, CATALOGUE), Waivers(read), NOW, "iocaudit")


def denying(*checks: str, **parameters: Any) -> Json:
    rule: Json = {"ids": [*checks], "mode": "deny"}
    return {"checks": [rule | ({"parameters": parameters} if parameters else {})]}


def rules_of(*checks: str, **parameters: Any) -> dict[str, Json]:
    """The specs of the policies, by the id of the check."""
    found = exported(denying(*checks, **parameters)).objects
    return {
        one["metadata"]["name"].removeprefix("iocaudit-"): one["spec"]
        for one in found
        if one["kind"] == "ValidatingAdmissionPolicy"
    }


def bad(spec: Json, number: str = "") -> str:
    """The expression of what is bad."""
    return next(str(one["expression"]) for one in spec["variables"] if one["name"] == f"bad{number}")
