"""The commands and objects that the pages show: each command parses, each object is one that we take."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import click
import pytest
import yaml

from iocaudit.cli.main import cli
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.engine.policy_reader import read_policy
from iocaudit.engine.waiver_reader import read_waiver
from iocaudit.signals.profiles.reader import read_profile

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "SECURITY.md", *(ROOT / "docs").glob("*.md")])
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """A fenced block of a page."""

    language: str
    text: str


def blocks(page: Path) -> list[Block]:
    return [Block(*found) for found in _BLOCK.findall(page.read_text(encoding="utf-8"))]


def shell_lines(block: Block) -> Iterator[str]:
    """What somebody types: after a prompt in a console, every line of a script, what a workflow runs."""
    text = block.text.replace("\\\n", " ")
    if block.language == "console":
        yield from (line[2:] for line in text.splitlines() if line.startswith("$ "))
    elif block.language in ("sh", "bash"):
        yield from text.splitlines()
    elif block.language == "yaml":
        for document in yaml.safe_load_all(text):
            yield from _run_by(document)


def _run_by(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, child in value.items():
            if key in ("run", "entry") and isinstance(child, str):
                yield from child.splitlines()
            elif key == "script" and isinstance(child, list):
                yield from child
            else:
                yield from _run_by(child)
    elif isinstance(value, list):
        for child in value:
            yield from _run_by(child)


def commands(page: Path) -> list[list[str]]:
    """Each call of ours: its words behind the program's name."""
    found = []
    for block in blocks(page):
        for line in shell_lines(block):
            words = shlex.split(line, comments=True)
            for start, word in enumerate(words):
                if word == "iocaudit" and (start == 0 or words[start - 1] in ("|", "&&", "kubectl")):
                    rest = words[start + 1 :]
                    end = next(
                        (n for n, one in enumerate(rest) if one in ("|", ">", ">>", "&&", ";", "2>&1")), len(rest)
                    )
                    found.append(rest[:end])
    return found


def parse(words: list[str]) -> None:
    """Parse a call as the program would, but for whether its files are there. Raises click.UsageError."""
    command: click.Command = cli
    context = click.Context(cli, info_name="iocaudit")
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        found = command.get_command(context, words[0])
        if found is None:
            raise click.UsageError(f"there is no command {words[0]}")
        command, words = found, words[1:]
        context = click.Context(command, parent=context, info_name=command.name)
    given, _, _ = command.make_parser(context).parse_args(list(words))
    for parameter in command.params:
        value = given.get(parameter.name or "")
        if isinstance(parameter, click.Option) and isinstance(value, str | list | tuple):
            values = [value] if isinstance(value, str) else value
            for one in [] if isinstance(parameter.type, click.Path) else values:
                parameter.type.convert(one, parameter, context)


def test_the_pages_show_commands() -> None:
    assert sum(len(commands(page)) for page in PAGES) > 25
    for name in ("README.md", "rollout.md", "ci.md", "upgrade.md", "when-it-is-down.md"):
        (page,) = [page for page in PAGES if page.name == name]
        assert commands(page), name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_of_a_page_parses(page: Path) -> None:
    for words in commands(page):
        parse(words)


def test_a_wrong_command_is_seen() -> None:
    for words in (["scna"], ["scan", "--no-such-option"], ["scan", "--fail-on", "worst", "."], ["policy", "tri", "f"]):
        with pytest.raises(click.UsageError):
            parse(words)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_object_of_ours_on_a_page_is_one_that_we_take(page: Path) -> None:
    catalogue = builtin_catalogue()
    for block in blocks(page):
        if block.language != "yaml":
            continue
        for document in yaml.safe_load_all(block.text):
            if not isinstance(document, dict):
                continue
            if document.get("kind") == "AuditPolicy":
                assert read_policy(document, catalogue).name == document["metadata"]["name"]
            elif document.get("kind") == "IocWaiver":
                now = datetime.fromisoformat(document["spec"]["expires"]) - timedelta(days=30)
                waiver = read_waiver(document, catalogue, stored=False, now=now)
                assert waiver.name == document["metadata"]["name"]
            elif document.get("kind") == "ActivityProfile":
                assert read_profile(document).name == document["metadata"]["name"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_of_a_page_leads_to_a_file(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), target
