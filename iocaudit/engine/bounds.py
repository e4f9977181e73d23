"""How much the fields of our own objects may hold: what a file may say, a cluster has to take.

The schemas in ``manifests/crds`` say the same; a test compares both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from iocaudit.core import paths
from iocaudit.core.wording import counted
from iocaudit.engine.fields import FieldProblems

FieldBounds = Mapping[str, int]
"""The most items of a list or map, or characters of a string, by the path of its field; ``[]`` stands for any item,
``.*`` for any key.
"""


def bounds_of_labels(at: str) -> dict[str, int]:
    """The bounds of a label selector at a path."""
    return {
        f"{at}.matchLabels": 32,
        f"{at}.matchLabels.*": 63,
        f"{at}.matchExpressions": 32,
        f"{at}.matchExpressions[].key": 317,
        f"{at}.matchExpressions[].values": 64,
        f"{at}.matchExpressions[].values[]": 63,
    }


def note_excess(raw: object, bounds: FieldBounds, problems: FieldProblems) -> None:
    """Note every field below ``raw`` that holds more than its bound."""
    for path, reason in _excess(raw, bounds, "", ""):
        problems.add(path, reason)


def _excess(value: object, bounds: FieldBounds, path: str, at: str) -> Iterator[tuple[str, str]]:
    most = bounds.get(at)
    match value:
        case str():
            if most is not None and len(value) > most:
                yield path, f"is {counted(len(value), 'character')} long, and may be {most} at most"
        case list():
            if most is not None and len(value) > most:
                yield path, f"has {counted(len(value), 'item')}, and may have {most} at most"
                return
            for index, item in enumerate(value):
                yield from _excess(item, bounds, f"{path}[{index}]", f"{at}[]")
        case dict():
            if most is not None and len(value) > most:
                yield path, f"has {counted(len(value), 'entry', 'entries')}, and may have {most} at most"
                return
            for key, child in value.items():
                below = f"{at}.*" if f"{at}.*" in bounds else f"{at}.{key}".lstrip(".")
                if any(bound.startswith(below) for bound in bounds):
                    yield from _excess(child, bounds, paths.field(path, str(key)), below)
        case _:
            pass
