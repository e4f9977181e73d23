"""One run over recorded signals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from iocaudit.core.world import World
from iocaudit.detecting.objects import RecordedObjects
from iocaudit.detecting.summary import SightingSummary
from iocaudit.engine.audit import Auditor
from iocaudit.engine.catalogue import Catalogue
from iocaudit.engine.policy_set import PolicySet
from iocaudit.incidents.strand import StrandLog
from iocaudit.signals.detector import Detector
from iocaudit.signals.profiles.profile import ProfileSet
from iocaudit.signals.signal_log import SignalLog
from iocaudit.signals.timed_log import LogProgress, LogTally

_NO_WORLD = "a log holds no other objects"


@dataclass(slots=True)
class DetectOutcome:
    """What was seen, what was read, and what failed: mistakes of ours, each in a sentence."""

    summary: SightingSummary
    strands: StrandLog
    tally: LogTally
    objects: RecordedObjects
    faults: list[str]


def detect(
    paths: Sequence[str],
    catalogue: Catalogue,
    policies: PolicySet,
    *,
    namespace: str | None = None,
    profiles: ProfileSet | None = None,
    progress: LogProgress | None = None,
) -> DetectOutcome:
    """What the signals in the logs show; with a namespace, what is in it. Raises LogError for an unreadable path.

    With profiles, what lies outside of them is seen as well.

    Memory does not grow with the logs: sightings are grouped as they come.
    """
    log = SignalLog(paths, progress)
    detector, summary, strands = Detector(profiles=profiles), SightingSummary(), StrandLog()
    world = World()
    for kind in catalogue.admission_world_kinds:
        world.mark_incomplete(kind, _NO_WORLD)
    objects = RecordedObjects(Auditor(catalogue, policies, world))
    for signal in log:
        # All signals go through the detector: sequences lead through several namespaces.
        seen = [*detector.take(signal), *objects.take(signal)]
        if namespace is None or signal.locus.namespace == namespace:
            for sighting in seen:
                summary.add(sighting)
                strands.add(sighting)
    faults = [f"{one.detection}: {one.error}" for one in detector.faults] + objects.faults
    return DetectOutcome(summary, strands, log.tally, objects, faults)
