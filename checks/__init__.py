"""The catalogue of checks: one file a subject. Every module-level Check of every module here is in it."""

import importlib
import pkgutil
from collections.abc import Iterator

from iocaudit.core.check import Check


def declared() -> Iterator[Check]:
    """Every check declared in this package, in the order of module and declaration."""
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda found: found.name):
        if module.name.startswith("_"):
            continue
        for value in vars(importlib.import_module(f"{__name__}.{module.name}")).values():
            if isinstance(value, Check):
                yield value
