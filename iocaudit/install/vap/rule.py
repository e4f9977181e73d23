"""A check as CEL: what it looks through, what is bad there, and what is said of it.

In the expressions ``it`` is one item of what is looked through, and ``@name`` a variable that exists twice: for the
object as it is asked for, and for the one that it replaces.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from iocaudit.core.severity import Severity


class PodPart(StrEnum):
    """The part of a pod that a finder looks at, one by one."""

    POD = "pod"
    CONTAINER = "container"
    VOLUME = "volume"
    ANNOTATION = "annotation"


class DeniedHits(NamedTuple):
    """Which hits of a check are denied: those of these severities, under these parameters."""

    severities: frozenset[Severity]
    params: Mapping[str, Any]


class Finder(NamedTuple):
    """One way in which a check finds something bad.

    ``bad`` is a condition on ``it``, ``says`` a string about the first that is bad, ``field`` the path of what is bad
    below that part. ``through`` is a list other than that of all such parts.
    """

    part: PodPart
    bad: str
    says: str
    field: str
    through: str = ""


class CelRule(NamedTuple):
    """A check as CEL. ``variables`` are further ones, by name, each of which may use those before it.

    ``constants`` are variables that no object decides, and that every other may use. ``notes`` say which hits of the
    check it does not find.
    """

    finders: tuple[Finder, ...]
    variables: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    constants: tuple[tuple[str, str], ...] = ()


class NotExpressibleError(Exception):
    """Raised by a translation with the reason why CEL cannot tell what a check tells."""


POD_VARIABLES: tuple[tuple[str, str], ...] = (
    (
        "pod",
        "object.kind == 'Pod' ? @object.spec : object.kind == 'PodTemplate' ? @object.template.spec : "
        "object.kind == 'CronJob' ? @object.spec.jobTemplate.spec.template.spec : @object.spec.template.spec",
    ),
    (
        "annotations",
        "(object.kind == 'Pod' ? @object.?metadata : object.kind == 'PodTemplate' ? @object.template.?metadata : "
        "object.kind == 'CronJob' ? @object.spec.jobTemplate.spec.template.?metadata : "
        "@object.spec.template.?metadata).?annotations.orValue({})",
    ),
    (
        "containers",
        "@pod.containers + @pod.?initContainers.orValue([]) + @pod.?ephemeralContainers.orValue([])",
    ),
    ("volumes", "@pod.?volumes.orValue([])"),
)
"""What every rule may use. A kind of the API server's own has no other places for a pod."""
THROUGH: Mapping[PodPart, str] = {
    PodPart.POD: "[@pod]",
    PodPart.CONTAINER: "@containers",
    PodPart.VOLUME: "@volumes",
    PodPart.ANNOTATION: "@annotations",
}


def clipped(text: str) -> str:
    """A string of an object as messages show it: at most 200 characters of it, and nothing that is not printable."""
    short = "text.size() > 200 ? text.substring(0, 200) + '...' : text"
    return f"[{text}].map(text, {short}).map(text, text.matches('^[ -~]*$') ? text : '(not printable)')[0]"


def first(texts: str) -> str:
    """The first of a list of strings of an object."""
    return clipped(f"{texts}[0]")
