"""The index of the checks says of each what its declaration says, and imports nothing before it is called."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import checks
from iocaudit.core.check import Check
from iocaudit.engine.catalogue import builtin_catalogue, indexed_catalogue
from iocaudit.engine.check_index import LazyCheck, index_of


def test_the_index_is_what_the_declarations_say() -> None:
    """``make gen`` writes it."""
    assert (Path(checks.__path__[0]) / "index.json").read_bytes() == index_of(builtin_catalogue())


def test_every_field_of_a_check_comes_back() -> None:
    declared, indexed = builtin_catalogue(), indexed_catalogue()
    assert [check.id for check in indexed] == [check.id for check in declared]
    for ours, theirs in zip(indexed, declared, strict=True):
        for field in fields(Check):
            if field.name == "evaluate":
                assert isinstance(ours.evaluate, LazyCheck)
                assert ours.evaluate.load() is theirs
            elif field.name == "doc":
                assert ours.doc.text == theirs.doc.text
            else:
                assert getattr(ours, field.name) == getattr(theirs, field.name), f"{ours.id}: {field.name}"


def test_a_check_is_imported_when_it_is_called() -> None:
    program = """
import sys
from iocaudit.engine.catalogue import indexed_catalogue
catalogue = indexed_catalogue()
assert len(catalogue) > 100
assert not [name for name in sys.modules if name.startswith("checks.")]
catalogue.find("host-pid").title
found = [name for name in sys.modules if name.startswith("checks.")]
assert "checks.host_namespaces" in found and len(found) < 6, found
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
