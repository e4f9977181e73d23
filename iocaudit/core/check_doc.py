"""A check's docstring taken apart: what its page, ``explain`` and the SARIF rules are made from."""

import re
import textwrap
from functools import cache
from typing import NamedTuple

from iocaudit.core.check import Check

_SECTION = re.compile(r"^(Bad|Good|Policy|Fix|Sources):[ \t]*", re.MULTILINE)


class CheckDoc(NamedTuple):
    """``bad``, ``good`` and ``policy`` are YAML texts; ``policy`` holds the parameters both are run under."""

    title: str
    why: str
    bad: str
    good: str
    policy: str
    fix: str
    sources: str


@cache
def doc_of(check: Check) -> CheckDoc:
    """The sections of a check's documentation; an absent one is empty."""
    title, _, rest = check.documentation.partition("\n")
    parts = _SECTION.split(rest)
    sections: dict[str, str] = {}
    for name, body in zip(parts[1::2], parts[2::2], strict=True):
        sections[name] = textwrap.dedent(body).strip("\n")
    return CheckDoc(
        title=title.strip().rstrip("."),
        why=parts[0].strip(),
        bad=_yaml(sections.get("Bad", "")),
        good=_yaml(sections.get("Good", "")),
        policy=_yaml(sections.get("Policy", "")),
        fix=_prose(sections.get("Fix", "")),
        sources=_prose(sections.get("Sources", "")),
    )


def _yaml(body: str) -> str:
    return textwrap.dedent(body).strip() + "\n" if body.strip() else ""


def _prose(body: str) -> str:
    return " ".join(body.split())
