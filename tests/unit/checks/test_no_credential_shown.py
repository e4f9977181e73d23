"""No hit of any check repeats a credential of the object: not one of a known format, wherever it stands, and none
of what a snippet holds."""

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from iocaudit.core.check import Check
from iocaudit.core.report import Report, findings_of
from iocaudit.engine.posture import Verdict
from iocaudit.judging.warning_lines import warnings
from iocaudit.judging.wording import annotations, denial
from iocaudit.knowledge.clipping import clip
from iocaudit.records.finding import finding_body, finding_content
from tests.support.auditing import CATALOGUE, Json, audited, judge

# What each format holds, and the part of it that nobody may see.
_PLANTED = {
    'Authorization "Basic YWRtaW46aHVudGVyMlN1cDNyUzNjcmV0"': "YWRtaW46aHVud",
    "postgres://shop:hunter2-hunter2@db.example/": "hunter2",
    "Bearer " + "h0rse" * 8: "h0rse",
    "AKIA" + "HUNTERTWOHUNTERT": "HUNTERTWO",
    "-----BEGIN PRIVATE KEY-----\nhorsebattery\n-----END PRIVATE KEY-----": "horsebattery",
}
_NAMES = frozenset({"apiVersion", "group", "kind", "name", "namespace", "path", "serviceAccountName"})
"""Fields that name an object or a place of the node: a message has to name those, and no credential is put there."""


def _leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _leaves(inner, (*path, index))
    elif isinstance(value, str) and path[-1] not in _NAMES:
        yield path


def _with(documents: list[Json], path: tuple[Any, ...], planted: str) -> list[Json]:
    changed = copy.deepcopy(documents)
    holder: Any = changed
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] += f" {planted}"
    return changed


@pytest.mark.parametrize("check", [c for c in CATALOGUE if "AdmissionReview" not in c.doc.bad], ids=lambda c: c.id)
def test_a_credential_of_a_known_format_is_shown_by_no_check(check: Check) -> None:
    documents = [document for document in yaml.safe_load_all(check.doc.bad) if document]
    parameters = yaml.safe_load(check.doc.policy or "null")
    for path in _leaves(documents):
        for planted, secret in _PLANTED.items():
            report = audited(check.id, yaml.safe_dump_all(_with(documents, path, planted)), parameters=parameters)
            assert secret not in _said(report), (path, planted)


def _said(report: Report) -> str:
    hits = [f"{one.hit.message}\n{one.hit.evidence}\n{one.fix}" for one in report.found]
    return "\n".join([*hits, *(one.reason for one in report.skipped)])


def _ingress(name: str, value: str) -> Json:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": "web", "namespace": "shop", "annotations": {name: value}},
        "spec": {"ingressClassName": "nginx", "rules": [{"http": {"paths": [{"path": f"/;\n{value}"}]}}]},
    }


@given(
    st.sampled_from(["configuration-snippet", "server-snippet", "auth-url", "mirror-target"]),
    st.text(st.characters(codec="ascii", min_codepoint=33), min_size=12, max_size=40),
)
def test_nothing_of_a_snippet_is_kept_or_told(name: str, secret: str) -> None:
    """A password that looks like nothing is one all the same."""
    value = f'proxy_set_header X-Api-Key "{secret}";\n}}'
    found = judge("ingress-snippet", _ingress(f"nginx.ingress.kubernetes.io/{name}", value))
    assert len(found) == 2
    other = judge("ingress-snippet", _ingress(f"nginx.ingress.kubernetes.io/{name}", value + " "))
    assert {one.hit.evidence for one in found}.isdisjoint(one.hit.evidence for one in other), "another value is news"
    (finding,) = findings_of(found)
    body = finding_body("shop", finding.name, finding_content(finding, "a title"))
    verdict = Verdict(allowed=False, denials=tuple(found), warnings=tuple(found))
    said = [denial(verdict), *warnings(verdict), *annotations(verdict).values(), *_strings(body)]
    assert [one for one in said if secret in one or json.dumps(secret)[1:-1] in one] == []


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _strings(inner)


def test_a_credential_that_is_cut_is_not_shown_in_part() -> None:
    token = "eyJhbGciOiJIUzI1NiJ9.eyJ" + "a" * 200 + "." + "b" * 40
    assert clip(f"x {token}") == "x (a JWT, not shown)"
    assert clip("x" * 200) == "x" * 99 + "…"
