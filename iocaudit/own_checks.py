"""All that a check of your own is written with, in one place; ``docs/own-checks.md`` says how.

These names stay where they are from version to version. What is not here is the product's own.
"""

from iocaudit.core.check import Check, check
from iocaudit.core.hit import Hit, Skip
from iocaudit.core.kinds import KINDS, PODS, WORKLOADS, Kind
from iocaudit.core.parameters import Parameter, Params, string_list
from iocaudit.core.place import Place
from iocaudit.core.request import Operation, Request
from iocaudit.core.resource import Resource
from iocaudit.core.severity import IoC, Severity
from iocaudit.core.world import World
from iocaudit.knowledge.pods.pod import Container, PodSpec


def kind(name: str, group: str = "") -> Kind:
    """The kind of that name, such as ``kind("Deployment", "apps")``; raises LookupError for one that is not read."""
    found = KINDS.get((group, name))
    if found is None:
        raise LookupError(f"{name}{f'.{group}' if group else ''} is not a kind that iocaudit reads")
    return found


__all__ = [
    "PODS",
    "WORKLOADS",
    "Check",
    "Container",
    "Hit",
    "IoC",
    "Kind",
    "Operation",
    "Parameter",
    "Params",
    "Place",
    "PodSpec",
    "Request",
    "Resource",
    "Severity",
    "Skip",
    "World",
    "check",
    "kind",
    "string_list",
]
