"""Where the documentation is published: links in reports lead there.

The address is that of ``Documentation`` in ``pyproject.toml``; a test compares the two.
"""

DOCUMENTATION = "https://github.com/iocaudit/iocaudit/blob/main/docs"
"""The folder ``docs`` as it is published."""


def check_url(check: str) -> str:
    """The page of a check, by its id."""
    return f"{DOCUMENTATION}/checks/{check}.md"
