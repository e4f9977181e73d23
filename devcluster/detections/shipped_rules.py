"""The rules for Falco that we ship, and the indicator that the tags of each name."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from devcluster.detections.rule_file import FalcoRule, RuleFile, RuleFileError, read_rules
from iocaudit.core.severity import IoC

FOLDER = Path(__file__).parents[2] / "manifests" / "detections" / "falco"
_TAG = "ioc-"


@cache
def rule_files() -> tuple[RuleFile, ...]:
    """The files, by name. Raises RuleFileError where one cannot be read."""
    return tuple(read_rules(path) for path in sorted(FOLDER.glob("*.yaml")))


def ioc_of(rule: FalcoRule) -> IoC:
    """The one indicator that a rule is tagged with. Raises RuleFileError where there is not exactly one."""
    tags = [tag.removeprefix(_TAG) for tag in rule.tags if tag.startswith(_TAG)]
    if len(tags) != 1 or not tags[0].isdecimal() or not 1 <= int(tags[0]) <= len(IoC):
        raise RuleFileError(
            f"rule {rule.name!r}: needs one tag {_TAG}1 to {_TAG}{len(IoC)}, has {', '.join(tags) or 'none'}"
        )
    return IoC(int(tags[0]))
