"""The documentation that is made from the declarations: whole, linked, and true of its check."""

from __future__ import annotations

import io
import json
import posixpath
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from markdown_it import MarkdownIt
from markdown_it.token import Token

from devcluster.generate import pages
from iocaudit.core.check import Check
from iocaudit.core.kinds import PODS
from iocaudit.core.severity import IoC
from iocaudit.engine.catalogue import Catalogue, builtin_catalogue
from iocaudit.engine.policy_reader import read_policies
from iocaudit.knowledge.controls import CIS, CIS_EDITIONS, controls_of
from iocaudit.sinks.blocks.markdown import as_markdown
from iocaudit.sinks.blocks.terminal import as_text, show
from iocaudit.sinks.catalogue import index, records
from iocaudit.sinks.catalogue.page import page, policy_example, related, where_it_runs
from iocaudit.sinks.escape import visible

CATALOGUE = builtin_catalogue()
CHECKS = list(CATALOGUE)
PAGES = pages(CATALOGUE)
READER = MarkdownIt("commonmark", {"html": True}).enable("table")
SCHEMA = json.loads(Path(records.__file__).with_name("catalogue.schema.json").read_text(encoding="utf-8"))


def find(check_id: str) -> Check:
    found = CATALOGUE.find(check_id)
    assert found is not None
    return found


def anchors(tokens: list[Token]) -> set[str]:
    """The anchors that a forge gives the headings of a page."""
    titles = [tokens[i + 1].content for i, token in enumerate(tokens) if token.type == "heading_open"]
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_every_link_leads_to_a_page_and_an_anchor_that_are_there() -> None:
    read = {name: READER.parse(text) for name, text in PAGES.items()}
    seen = 0
    for name, tokens in read.items():
        for token in tokens:
            for child in token.children or []:
                address = str(child.attrGet("href") or "") if child.type == "link_open" else ""
                if not address or address.startswith("https://"):
                    continue
                path, _, anchor = address.partition("#")
                target = posixpath.normpath(posixpath.join(posixpath.dirname(name), path))
                assert target in read, f"{name}: {address}"
                assert not anchor or anchor in anchors(read[target]), f"{name}: {address}"
                seen += 1
    assert seen > 20 * len(CHECKS)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.id)
def test_a_page_says_all_of_the_declaration(check: Check) -> None:
    text, doc = as_text(page(check, CATALOGUE)), check.doc
    said = " ".join(text.split())
    for part in (check.id, doc.title, doc.why, doc.fix, doc.sources, where_it_runs(check), check.severity.label):
        assert " ".join(visible(word) for word in part.split()) in said
    for parameter in check.parameters:
        assert parameter.name in said
        assert " ".join(parameter.description.rstrip(".").split()) in said
    for control in controls_of(check.controls):
        assert control.id in said
        assert control.title in said
    for kind in (*check.needs, *check.uses, *check.in_audits, *check.in_files):
        assert str(kind) in said or (kind in PODS and "pods in every kind that holds them" in said)
    others, group = related(check, CATALOGUE)
    assert all(other.id in said for other in (*group, *(one for some in others.values() for one in some)))
    assert ("a single hit may be" in said) == (check.worst > check.severity)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.id)
def test_the_manifests_of_a_page_are_those_that_are_tested(check: Check) -> None:
    doc = check.doc
    fences = [token.content for token in READER.parse(PAGES[f"checks/{check.id}.md"]) if token.type == "fence"]
    assert fences[-3:-1] == [doc.bad, doc.good]
    assert fences[:-3] == ([doc.policy] if doc.policy else [])


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.id)
def test_the_policy_of_a_page_can_be_used_and_names_the_check(check: Check) -> None:
    raw = yaml.safe_load(policy_example(check))
    namespaced = any(kind.namespaced for kind in check.looks_at)
    setting = read_policies([raw], CATALOGUE).settings("shop" if namespaced else None)[check.id]
    assert setting.policy == "shop"
    assert setting.missing == ()


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.id)
def test_defaults_fit_their_own_schemas(check: Check) -> None:
    for parameter in check.parameters:
        validator = jsonschema.Draft202012Validator(dict(parameter.schema))
        validator.check_schema(dict(parameter.schema))
        for value in (parameter.default, parameter.strict):
            if value is not None:
                assert list(validator.iter_errors(value)) == [], parameter.name


def test_each_index_has_every_check_in_its_place() -> None:
    def sections(name: str) -> dict[str, set[str]]:
        parts = re.split(r"^#{2,3} (.*)$", PAGES[name], flags=re.MULTILINE)[1:]
        found = zip(parts[::2], parts[1::2], strict=True)
        return {title: set(re.findall(r"\(checks/([a-z0-9-]+)\.md\)", body)) for title, body in found}

    groups = sections("index.md")
    assert {name: groups[name] for name in CATALOGUE.groups} == {
        name: {check.id for check in CHECKS if check.group == name} for name in CATALOGUE.groups
    }
    assert sections("by-ioc.md") == {
        f"IoC {int(ioc)}": {check.id for check in CHECKS if ioc in check.iocs} for ioc in IoC
    }
    severities = sections("by-severity.md")
    assert list(severities) == ["critical", "high", "medium", "low"]
    assert set().union(*severities.values()) == {check.id for check in CHECKS}
    assert all(find(one).severity.label == name for name, ids in severities.items() for one in ids)
    controls = sections("by-control.md")
    assert set().union(*controls.values()) == {check.id for check in CHECKS}
    assert sum(title.startswith(CIS_EDITIONS) for title in controls) == len(CIS_EDITIONS)
    in_cis = {check.id for check in CHECKS if any(c.framework is CIS for c in controls_of(check.controls))}
    assert all(ids == in_cis for title, ids in controls.items() if title.startswith(CIS_EDITIONS))


def test_every_group_is_described() -> None:
    assert set(index.GROUPS) == CATALOGUE.groups


def test_an_index_of_no_checks_is_still_a_page() -> None:
    none = Catalogue([])
    for blocks in (index.by_group, index.by_ioc, index.by_severity, index.by_control):
        assert as_markdown(blocks(none)).startswith("# ")


def test_records_fit_their_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    found = json.loads(records.render(CHECKS))
    jsonschema.validate(found, SCHEMA, format_checker=jsonschema.FormatChecker())
    assert [one["id"] for one in found] == [check.id for check in CHECKS]
    by_id: dict[str, Any] = {one["id"]: one for one in found}
    trusted = by_id["untrusted-registry"]
    assert trusted["examples"]["parameters"] == {"trusted": ["hooli.com/"]}
    assert trusted["parameters"][0]["unless"] == ["denied"]
    editions = [c["edition"] for c in by_id["host-path-mount"]["controls"] if c["framework"] == "cis"]
    assert editions == list(CIS_EDITIONS)
    assert by_id["exec-session"]["operations"] == ["CONNECT"]
    assert by_id["policy-selects-nothing"]["operations"] == []


def test_the_schema_refuses_what_is_not_described() -> None:
    one = {**json.loads(records.render(CHECKS[:1]))[0], "further": 1}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate([one], SCHEMA)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_it_formatted_and_a_pipe_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    blocks = list(page(find("host-pid"), CATALOGUE))
    terminal, pipe = Terminal(), io.StringIO()
    show(blocks, terminal)
    show(blocks, pipe)
    assert "\x1b[" in terminal.getvalue()
    assert "hostPID" in terminal.getvalue()
    assert ".md" not in terminal.getvalue()
    assert "\x1b" not in pipe.getvalue()
    assert pipe.getvalue() == as_text(blocks, 80)
    assert all(len(line) <= 84 for line in pipe.getvalue().splitlines())
    monkeypatch.setenv("NO_COLOR", "1")
    quiet = Terminal()
    show(blocks, quiet)
    assert quiet.getvalue() == pipe.getvalue()
