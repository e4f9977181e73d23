"""The documentation of a check: what its page, ``explain``, the SARIF rules and the fix of a hit are made from."""

import re
import textwrap
from collections.abc import Callable
from functools import cached_property

_SECTION = re.compile(r"^(Bad|Good|Policy|Fix|Sources):[ \t]*", re.MULTILINE)


class CheckDoc:
    """A text of sections, taken apart when one is first asked for; an absent section is empty.

    ``bad``, ``good`` and ``policy`` are YAML texts; ``policy`` holds the parameters both are run under. ``read`` gives
    the text: a first line that is the title, a paragraph or more of why, then ``Bad:``, ``Good:`` and so on.
    """

    def __init__(self, read: Callable[[], str]) -> None:
        self._read = read

    @cached_property
    def text(self) -> str:
        """All of it, as it was written."""
        return self._read()

    @cached_property
    def title(self) -> str:
        return self.text.partition("\n")[0].strip().rstrip(".")

    @cached_property
    def why(self) -> str:
        return self._sections[""].strip()

    @cached_property
    def bad(self) -> str:
        return self._yaml("Bad")

    @cached_property
    def good(self) -> str:
        return self._yaml("Good")

    @cached_property
    def policy(self) -> str:
        return self._yaml("Policy")

    @cached_property
    def fix(self) -> str:
        return self._prose("Fix")

    @cached_property
    def sources(self) -> str:
        return self._prose("Sources")

    @cached_property
    def _sections(self) -> dict[str, str]:
        why, *parts = _SECTION.split(self.text.partition("\n")[2])
        return {"": why, **dict(zip(parts[::2], parts[1::2], strict=True))}

    def _yaml(self, section: str) -> str:
        body = textwrap.dedent(textwrap.dedent(self._sections.get(section, "")).strip("\n")).strip()
        return f"{body}\n" if body else ""

    def _prose(self, section: str) -> str:
        return " ".join(self._sections.get(section, "").split())
