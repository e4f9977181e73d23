"""An indicator as data, and how a function becomes one of its detections.

A detection is a pure function of one report (``event`` of the audit log, ``alert`` of Falco or of Alertmanager), or of
one report and what it remembers of the account (``steps``). It returns an Observation where it saw something.
"""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, field
from datetime import timedelta
from functools import cached_property
from typing import NamedTuple

from iocaudit.core.errors import CatalogueError
from iocaudit.core.severity import IoC, Severity
from iocaudit.signals.signal import SignalSource

_ID = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_SECTION = re.compile(r"^(Profile|Fires|Quiet|Sources):[ \t]*", re.MULTILINE)
DetectionFunction = Callable[..., "Observation | None"]


class Observation(NamedTuple):
    """What a detection saw: in words that name who did what to what, and how bad it is where that is not the usual."""

    message: str
    severity: Severity | None = None


class DetectionDoc:
    """The documentation of a detection: a title, why it matters, a sample that fires and one that does not.

    Samples are YAML: a report, or a list of reports in their order. ``profile`` is the spec of the ActivityProfile that is
    in force meanwhile, for a detection that asks one.
    """

    def __init__(self, text: str) -> None:
        self.title = text.partition("\n")[0].strip().rstrip(".")
        why, *parts = _SECTION.split(text.partition("\n")[2])
        self.why = why.strip()
        sections = dict(zip(parts[::2], parts[1::2], strict=True))
        self.fires, self.quiet = _yaml(sections.get("Fires", "")), _yaml(sections.get("Quiet", ""))
        self.profile = _yaml(sections.get("Profile", ""))
        self.sources = " ".join(sections.get("Sources", "").split())


def _yaml(section: str) -> str:
    body = textwrap.dedent(section.strip("\n")).strip()
    return f"{body}\n" if body else ""


@dataclass(frozen=True, eq=False)
class Detection:
    """One detection: all of it is data but ``judge``."""

    judge: DetectionFunction
    id: str
    indicator: IoC
    _: KW_ONLY
    severity: Severity
    """What an observation has that says nothing else."""
    technique: str
    """In MITRE ATT&CK."""
    feeds: SignalSource = SignalSource.AUDIT
    on: frozenset[str] = frozenset()
    """The resources (``pods/exec``) that it is about; empty: any request."""
    related: tuple[str, ...] = ()
    """The posture checks that find the weakness behind it."""
    window: timedelta | None = None
    """How far it looks back; None where one report is enough."""
    is_sequence: bool = False
    """Whether several different steps of one account have to come together, not many alike."""
    asks_profiles: bool = False
    """Whether it also takes the ActivityProfiles in force (``profiles``); without any it is left out."""

    @property
    def remembers(self) -> bool:
        return self.window is not None

    @cached_property
    def doc(self) -> DetectionDoc:
        return DetectionDoc(inspect.cleandoc(self.judge.__doc__ or ""))

    @property
    def title(self) -> str:
        return self.doc.title


@dataclass(frozen=True, eq=False)
class Indicator:
    """One of the ten. ``slug`` names its page; ``summary`` says what shows it, and ``blind`` what nothing here sees."""

    ioc: IoC
    slug: str
    summary: str
    blind: str
    detections: list[Detection] = field(default_factory=list)

    def detects(
        self,
        id: str,
        *,
        severity: Severity,
        technique: str,
        feeds: SignalSource = SignalSource.AUDIT,
        on: tuple[str, ...] = (),
        related: tuple[str, ...] = (),
        window: timedelta | None = None,
        is_sequence: bool = False,
        asks_profiles: bool = False,
    ) -> Callable[[DetectionFunction], Detection]:
        """Declare a function as a detection of this indicator. Raises CatalogueError on a broken declaration."""

        def declare(function: DetectionFunction) -> Detection:
            detection = Detection(
                function,
                id,
                self.ioc,
                severity=severity,
                technique=technique,
                feeds=feeds,
                on=frozenset(on),
                related=related,
                window=window,
                is_sequence=is_sequence,
                asks_profiles=asks_profiles,
            )
            problems = []
            if not _ID.fullmatch(id):
                problems.append("the id must be lower-case words joined by '-'")
            doc = detection.doc
            if not (doc.title and doc.why and doc.fires and doc.quiet):
                problems.append("its docstring must have a title, a reason, Fires: and Quiet:")
            wanted = ("event" if feeds is SignalSource.AUDIT else "alert", *(("steps",) if window else ()))
            wanted += ("profiles",) if asks_profiles else ()
            if tuple(inspect.signature(function).parameters) != wanted:
                problems.append(f"it must take {' and '.join(wanted)}")
            if asks_profiles != bool(doc.profile):
                problems.append("its docstring must have Profile: if it asks profiles, and only then")
            if is_sequence and window is None:
                problems.append("a sequence needs a window")
            if problems:
                raise CatalogueError(f"detection {id!r} ({function.__module__}): {'; '.join(problems)}")
            self.detections.append(detection)
            return detection

        return declare
