"""An error keeps what caused it: the user has the sentence, the log has the rest."""

from __future__ import annotations

import re
from pathlib import Path

import admission
import checks
import iocaudit

# A look-up in a table of words failed: the sentence names all of them, and the cause would only say KeyError.
ONLY_LOOKED_UP = {
    "iocaudit/core/severity.py": 1,
    "iocaudit/impact/policy_tests/objects.py": 1,
    "iocaudit/knowledge/pods/composed/patch_text.py": 1,
    "iocaudit/sources/admission_review.py": 1,
    "iocaudit/sources/yaml_scalars.py": 1,
}


def test_causes_are_dropped_only_where_they_say_nothing() -> None:
    root = Path(iocaudit.__path__[0]).parent
    found: dict[str, int] = {}
    for package in (iocaudit, admission, checks):
        for file in Path(package.__path__[0]).rglob("*.py"):
            if count := len(re.findall(r"\) from None$", file.read_text(encoding="utf-8"), re.MULTILINE)):
                found[file.relative_to(root).as_posix()] = count
    assert found == ONLY_LOOKED_UP
