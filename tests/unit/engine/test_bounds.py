"""What a file may hold is what the schemas in a cluster take."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from iocaudit.core.errors import IocauditError
from iocaudit.engine import policy_reader, waiver_reader
from iocaudit.engine.bounds import FieldBounds
from iocaudit.engine.catalogue import builtin_catalogue

CRDS = Path(__file__).parents[3] / "manifests" / "crds"
CATALOGUE = builtin_catalogue()
READERS = [("auditpolicies", policy_reader.BOUNDS), ("iocwaivers", waiver_reader.BOUNDS)]


def bounds(schema: Mapping[str, Any], at: str = "") -> Iterator[tuple[str, int]]:
    """Every bound of a schema; that on the fields of an object with known ones bounds nothing."""
    named = schema.get("properties", {})
    for word in ("maxItems", "maxLength", *(() if named else ("maxProperties",))):
        if word in schema:
            yield at, schema[word]
    for name, child in named.items():
        yield from bounds(child, f"{at}.{name}".lstrip("."))
    if "items" in schema:
        yield from bounds(schema["items"], f"{at}[]")
    if isinstance(values := schema.get("additionalProperties"), dict):
        yield from bounds(values, f"{at}.*")


@pytest.mark.parametrize(("crd", "ours"), READERS)
def test_the_bounds_are_those_of_the_schema(crd: str, ours: FieldBounds) -> None:
    definition = yaml.safe_load((CRDS / f"{crd}.yaml").read_text("utf-8"))
    (version,) = definition["spec"]["versions"]
    spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
    assert dict(bounds(spec, "spec")) == ours


def filled(at: str, length: int) -> dict[str, Any]:
    """A document that holds so much at a path, and nothing else."""
    head, *parts = at.replace("[]", ".[]").split(".")
    value: Any = "x" * length
    if at + "[]" in {**policy_reader.BOUNDS, **waiver_reader.BOUNDS} or at in LISTS:
        value = [str(n) for n in range(length)]
    elif at in MAPS:
        value = {f"k{n}": "v" for n in range(length)}
    for part in reversed(parts):
        value = [value] if part == "[]" else {"some" if part == "*" else part: value}
    return {"metadata": {"name": "big"}, head: value}


LISTS = {
    *(f"spec.{field}" for field in ("checks", "exemptSubjects", "match.subjects", "match.excludeSubjects")),
    *("spec.match.operations", "spec.checks[].profiles"),
    *(f"spec.{field}.matchExpressions" for field in ("match.namespaceSelector", "labels")),
}
MAPS = {"spec.checks[].parameters", "spec.match.namespaceSelector.matchLabels", "spec.labels.matchLabels"}


def mistakes(crd: str, raw: dict[str, Any]) -> str:
    read: dict[str, Callable[[], object]] = {
        "auditpolicies": partial(policy_reader.read_policy, raw, CATALOGUE),
        "iocwaivers": partial(waiver_reader.read_waiver, raw, CATALOGUE, stored=False, now=datetime.now(UTC)),
    }
    with pytest.raises(IocauditError) as caught:
        read[crd]()
    return str(caught.value)


@pytest.mark.parametrize(("crd", "at", "most"), [(crd, at, most) for crd, ours in READERS for at, most in ours.items()])
def test_one_more_is_refused_by_its_path(crd: str, at: str, most: int) -> None:
    line = f"{at.replace('[]', '[0]').replace('.*', '.some')}: "
    told = mistakes(crd, filled(at, most + 1))
    assert any(line in one and one.endswith(f"{most} at most") for one in told.splitlines())
    assert f"{most} at most" not in mistakes(crd, filled(at, most))
