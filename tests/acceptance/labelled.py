"""Read the labelled cases and audit each in a world of its own."""

import json
import os
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iocaudit.core.report import Found, Report
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.engine.policy import PolicySet, read_policies
from iocaudit.sources.documents import Document, read_documents
from iocaudit.sources.scan import audit_documents

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
CATALOGUE = builtin_catalogue()
SLUGS: dict[str, list[str]] = tomllib.loads((HERE / "slugs.toml").read_text())["slugs"]
PARAMETERS: dict[str, str] = tomllib.loads((HERE / "slugs.toml").read_text())["parameters"]
EXCEPTIONS: dict[str, str] = tomllib.loads((HERE / "exceptions.toml").read_text()).get("rows", {})
REALWORLD_EXCEPTIONS: dict[str, str] = tomllib.loads((HERE / "exceptions.toml").read_text()).get("realworld", {})
# Groups whose policies and routes are not read yet: their rows wait for the checks that read them.
_LATER = ("cilium.io/", "projectcalico.org/", "policy.networking.k8s.io/", "gateway.networking.k8s.io/")


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
    def in_scope(self) -> bool:
        return (
            self.raw["tier"] in ("core", "derived")
            and self.raw["check"] in SLUGS
            and self.raw["input"] == "manifest"
            and not any(group in self.raw["manifest"] for group in _LATER)
        )


def rows() -> list[Row]:
    path = folder("IOCAUDIT_CASES", "../shared/acceptance") / "cases.jsonl"
    return [Row(json.loads(line)) for line in path.read_text("utf-8").splitlines()]


def report_of(row: Row) -> Report:
    """The audit of a row's manifest as a world of its own, under its parameters."""
    data = row.raw["manifest"].encode()
    documents = [
        outcome for outcome in read_documents(data, "case.yaml", lambda _v, _k: True) if isinstance(outcome, Document)
    ]
    return audit_documents(documents, "case.yaml", CATALOGUE, policies_for(row))


def policies_for(row: Row) -> PolicySet:
    """The row's parameters as a policy: PARAMETERS says which parameter of which check each one is."""
    rules = []
    for name, value in row.raw["params"].items():
        for check in SLUGS.get(row.raw["check"], []):
            parameter = PARAMETERS.get(f"{check}.{name}")
            if parameter is not None:
                rules.append({"ids": [check], "parameters": {parameter: value}})
    raw = {"metadata": {"name": "case"}, "spec": {"checks": rules}}
    return read_policies([raw], CATALOGUE, profile="strict")


def hits(row: Row, report: Report) -> Iterator[Found]:
    """The hits that count for a row: of its checks, on its target."""
    ids, target = SLUGS[row.raw["check"]], row.raw["target"]
    for found in report.found:
        if found.check not in ids:
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
