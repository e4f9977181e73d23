"""What waivers say of hits on audited objects, at one moment."""

from __future__ import annotations

from datetime import datetime

from iocaudit.core.images_behind import Images
from iocaudit.core.report import ReportedHit, WaivedHit
from iocaudit.engine.kept import AuditedObject
from iocaudit.engine.waivers import Context, Waivers


class WaiversInForce:
    """What the waivers say at one moment."""

    def __init__(self, waivers: Waivers, now: datetime) -> None:
        self._waivers, self._now = waivers, now

    def speaks_of(self, check: str) -> bool:
        return self._waivers.speaks_of(check)

    def accept(self, found: ReportedHit, kept: AuditedObject, images: Images) -> WaivedHit | None:
        return self._waivers.accept(found, kept.home, Context(dict(kept.labels), images), self._now)

    def reaches(self, found: ReportedHit, kept: AuditedObject, images: Images, other: Images) -> bool | None:
        if self.accept(found, kept, images) is None:
            return None
        return self.accept(found, kept, other) is not None
