"""Read the labelled cases and audit each in a world of its own."""

import json
import os
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iocaudit.core.report import Report, ReportedHit
from iocaudit.core.world import World
from iocaudit.engine.audit import Auditor
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.engine.policy_reader import read_policies
from iocaudit.engine.policy_set import PolicySet
from iocaudit.scanning.scan import audit_documents
from iocaudit.sources.documents import Document, read_documents
from tests.acceptance.events import reviews_of

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
CATALOGUE = builtin_catalogue()
_DATA = tomllib.loads((HERE / "slugs.toml").read_text())
SLUGS: dict[str, list[str]] = _DATA["slugs"]
PARAMETERS: dict[str, str] = _DATA["parameters"]
CONSTANTS: dict[str, Any] = _DATA.get("constants", {})
EVIDENCE: dict[str, str] = _DATA.get("evidence", {})
ONLY_WITH: dict[str, dict[str, str]] = _DATA.get("only-with", {})
TIERS = ("core", "derived", "strict", "config")
EXCEPTIONS: dict[str, str] = tomllib.loads((HERE / "exceptions.toml").read_text()).get("rows", {})
OVERRULED: dict[str, str] = tomllib.loads((HERE / "exceptions.toml").read_text()).get("overruled", {})
REALWORLD_EXCEPTIONS: dict[str, str] = tomllib.loads((HERE / "exceptions.toml").read_text()).get("realworld", {})


def folder(variable: str, default: str) -> Path:
    """A folder the tests read; fails, naming the variable, where it is absent."""
    path = Path(os.environ.get(variable) or ROOT / default)
    assert path.is_dir(), f"{variable} names the folder of these cases; there is no {path}"
    return path


@dataclass(frozen=True, slots=True)
class Row:
    """One labelled case."""

    raw: dict[str, Any]

    @property
    def id(self) -> str:
        return str(self.raw["id"])

    @property
    def ids(self) -> list[str]:
        """The checks that answer for the row: of its tier (``slug.tier``) where the data tells it apart."""
        slug = str(self.raw["check"])
        return SLUGS.get(f"{slug}.{self.raw['tier']}", SLUGS.get(slug, []))

    @property
    def in_scope(self) -> bool:
        return (
            self.raw["tier"] in TIERS
            and self.raw["check"] in SLUGS
            and self.raw["input"] in ("manifest", "auditevent")
            and not self.unmapped
        )

    @property
    def unmapped(self) -> list[str]:
        """The parameters of a config row that slugs.toml maps to none of its checks."""
        if self.raw["tier"] != "config":
            return []
        slug = self.raw["check"]
        return [name for name in self.raw["params"] if all(mapped(slug, check, name) is None for check in self.ids)]


def rows() -> list[Row]:
    path = folder("IOCAUDIT_CASES", "../shared/acceptance") / "cases.jsonl"
    return [Row(json.loads(line)) for line in path.read_text("utf-8").splitlines()]


def report_of(row: Row) -> Report:
    """The audit of a row's manifest, or of what its events record, as a world of its own, under its parameters."""
    if row.raw["input"] == "auditevent":
        auditor, report = Auditor(CATALOGUE, policies_for(row), World()), Report()
        for review in reviews_of(row.raw["manifest"]):
            if review.resource is not None:
                report.extend(auditor.audit(review.resource, request=review.request))
        return report
    data = row.raw["manifest"].encode()
    documents = [
        outcome for outcome in read_documents(data, "case.yaml", lambda _v, _k: True) if isinstance(outcome, Document)
    ]
    return audit_documents(documents, "case.yaml", CATALOGUE, policies_for(row))


def mapped(slug: str, check: str, name: str) -> str | None:
    """Which parameter of a check a row's parameter is: empty where it says nothing, None where it is none."""
    for key in (f"{slug}/{check}.{name}", f"{check}.{name}", f"*.{name}"):
        if key in PARAMETERS:
            return PARAMETERS[key]
    return None


def _give(given: dict[str, Any], target: str, value: Any) -> None:
    """Put a value where a mapping says.

    ``a``, ``a.field``, ``a[].field`` (a list of one map), ``a|field`` (that field of each),
    ``a+end`` (each with an end).
    """
    if "+" in target:
        name, _, end = target.partition("+")
        given[name] = [item + end for item in value]
    elif "|" in target:
        name, _, field = target.partition("|")
        given[name] = [item[field] for item in value]
    elif "[]." in target:
        name, _, field = target.partition("[].")
        given.setdefault(name, [{}])[0][field] = value
    elif "." in target:
        name, _, field = target.partition(".")
        given.setdefault(name, {})[field] = value
    else:
        given[target] = value


def policies_for(row: Row) -> PolicySet:
    """The row's parameters as a policy; ``off`` switches the check off where the value is true."""
    rules: list[dict[str, Any]] = []
    slug = row.raw["check"]
    for check in row.ids:
        known = {parameter.name for parameter in CATALOGUE.find(check).parameters}  # type: ignore[union-attr]
        given: dict[str, Any] = dict(CONSTANTS.get(f"{slug}/{check}", {}))
        off = any(
            not (listed := row.raw["params"].get(name)) or (entry != "*" and entry not in listed)
            for name, entry in ONLY_WITH.get(f"{slug}/{check}", {}).items()
        )
        for name, value in row.raw["params"].items():
            target = mapped(slug, check, name) or ""
            if target == "off":
                off = bool(value)
            elif re.split(r"[.|+[]", target)[0] in known:
                _give(given, target, value)
        if off:
            rules.append({"ids": [check], "mode": "off"})
        elif given:
            rules.append({"ids": [check], "parameters": given})
    raws = [{"metadata": {"name": "case"}, "spec": {"checks": rules}}] if rules else []
    # The baseline of the Pod Security Standards is what profile default holds, in a few checks not what strict does.
    profile = "default" if row.raw["params"].get("pss_level") == "baseline" else "strict"
    return read_policies(raws, CATALOGUE, profile=profile)


def hits(row: Row, report: Report) -> Iterator[ReportedHit]:
    """The hits that count for a row: of its checks, on its target."""
    ids, target = row.ids, row.raw["target"]
    about = EVIDENCE.get(row.raw["check"])
    for found in report.found:
        if found.check not in ids or about not in (None, found.hit.evidence):
            continue
        if target is not None:
            if found.subject.kind != target["kind"]:
                continue
            if target["name"] is not None and found.subject.name != target["name"]:
                continue
            # Cluster-scoped objects have no namespace, whatever a file writes.
            if target["namespace"] is not None and found.subject.namespace not in (None, target["namespace"]):
                continue
        yield found


def is_right(row: Row, report: Report) -> bool:
    return any(hits(row, report)) is bool(row.raw["expect"] == "flag")
