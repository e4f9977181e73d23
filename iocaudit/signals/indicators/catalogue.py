"""All ten indicators, in their order, and their detections by id."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from iocaudit.core.errors import CatalogueError
from iocaudit.core.severity import IoC
from iocaudit.signals import indicators
from iocaudit.signals.indicators.declaration import Detection, Indicator


@cache
def all_indicators() -> tuple[Indicator, ...]:
    """The ten. Raises CatalogueError where one is declared twice or not at all, or two detections share an id."""
    found: dict[IoC, Indicator] = {}
    ids: set[str] = set()
    for module in _modules():
        declared = getattr(module, "INDICATOR", None)
        if isinstance(declared, Indicator) and declared is not found.get(declared.ioc):
            if declared.ioc in found:
                raise CatalogueError(f"indicator {int(declared.ioc)} is declared twice")
            found[declared.ioc] = declared
    for indicator in found.values():
        for detection in indicator.detections:
            if detection.id in ids:
                raise CatalogueError(f"two detections are called {detection.id!r}")
            ids.add(detection.id)
    if missing := [str(int(ioc)) for ioc in IoC if ioc not in found]:
        raise CatalogueError(f"no indicator is declared for {', '.join(missing)}")
    return tuple(found[ioc] for ioc in IoC)


def _modules() -> list[object]:
    names = sorted(name for _, name, _ in pkgutil.walk_packages(indicators.__path__, f"{indicators.__name__}."))
    return [importlib.import_module(name) for name in names if not name.endswith((".catalogue", ".declaration"))]


@cache
def all_detections() -> tuple[Detection, ...]:
    """Those of all indicators, each indicator's by id."""
    return tuple(
        detection for one in all_indicators() for detection in sorted(one.detections, key=lambda each: each.id)
    )


def find_detection(id: str) -> Detection | None:
    return next((one for one in all_detections() if one.id == id), None)
