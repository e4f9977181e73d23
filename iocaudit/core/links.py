"""Where the documentation is published: links in reports lead there.

The address is that of ``Documentation`` in ``pyproject.toml``; a test compares the two.
"""

from iocaudit.core.check import OWN_PREFIX

DOCUMENTATION = "https://github.com/iocaudit/iocaudit/blob/main/docs"
"""The folder ``docs`` as it is published."""

_RULES = ("rego-", "cel-")
"""How the ids of rules in languages of their own begin."""


def check_url(check: str) -> str:
    """The page of a check, by its id; of one that does not come with the product, the page about such checks."""
    if check.startswith(OWN_PREFIX):
        return f"{DOCUMENTATION}/own-checks.md"
    if check.startswith(_RULES):
        return f"{DOCUMENTATION}/languages.md"
    return f"{DOCUMENTATION}/checks/{check}.md"
