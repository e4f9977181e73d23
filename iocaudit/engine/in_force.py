"""What waivers say of hits on audited objects, at one moment."""

from __future__ import annotations

from datetime import datetime

from iocaudit.core.pod_images import Images
from iocaudit.core.report import Found, Waived
from iocaudit.engine.kept import Kept
from iocaudit.engine.waivers import Context, Waivers


class InForce:
    """What the waivers say at one moment."""

    def __init__(self, waivers: Waivers, now: datetime) -> None:
        self._waivers, self._now = waivers, now

    def speaks_of(self, check: str) -> bool:
        return self._waivers.speaks_of(check)

    def accept(self, found: Found, kept: Kept, images: Images) -> Waived | None:
        return self._waivers.accept(found, kept.home, Context(dict(kept.labels), images), self._now)

    def reaches(self, found: Found, kept: Kept, images: Images, other: Images) -> bool | None:
        if self.accept(found, kept, images) is None:
            return None
        return self.accept(found, kept, other) is not None
