"""Which hits a request introduces, and which were there before it: compared by what they say and by what runs.

The images behind a hit are compared only where it may deny or warn, and where they can have changed at all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from types import MappingProxyType

from iocaudit.core.images_behind import Images
from iocaudit.core.report import Report, ReportedHit, SameHit
from iocaudit.core.severity import Severity
from iocaudit.core.wording import several
from iocaudit.engine.setting import OnExisting, Setting
from iocaudit.knowledge.clipping import clip
from iocaudit.knowledge.credentials.credential import redacted
from iocaudit.knowledge.image import repository_of
from iocaudit.knowledge.pods.images import Gains

_NO_HITS: Mapping[SameHit, Severity] = MappingProxyType({})
ImageComparison = Callable[[ReportedHit, Images, Images], bool]
"""Whether a hit leaves a waiver when the images behind it change from the first to the second."""


class IntroducedHits:
    """Asked of each hit of an object whether a request introduces it.

    A hit that the old object has too, check, path and evidence taken together, was there before, unless it is worse
    now, or images of another repository get what it is about (of another version, where the policy says ``images:
    exact``) or leave a waiver: else anyone who may change an image could run any program with what was accepted for
    one.
    """

    __slots__ = ("_before", "_gained", "_leaves", "_old", "_report", "_tags_alone")

    def __init__(self, report: Report, old: Report | None, leaves: ImageComparison | None) -> None:
        self._report, self._leaves, self._gained = report, leaves, Gains()
        self._old: Report | None = None
        self._tags_alone = False
        self._before = worst_of(old) if old is not None else _NO_HITS
        if old is None or not self._before or report.images is None or old.images is None:
            return
        if not report.images.holds_as(old.images, str):
            self._old, self._tags_alone = old, report.images.holds_as(old.images, repository_of)

    def __call__(self, found: ReportedHit, setting: Setting) -> ReportedHit | None:
        """The hit, where it is introduced: with the images that make it so, where nothing else does."""
        had = self._before.get(found.same_hit) if self._before else None
        if had is None or found.severity > had:
            return found
        exact = setting.exact_images
        if self._old is None or (self._tags_alone and not exact and self._leaves is None):
            return None
        now, before = self._report.behind(found), self._old.behind(found)
        if images := self._gained(now, before, exact=exact):
            return _by(found, "another image" if exact else "an image of another repository", images)
        if self._leaves is not None and self._leaves(found, before.images, now.images):
            return _by(found, "an image that its owner's waiver is not for", now.images)
        return None


class ExistingHits:
    """Asked of each hit of what a controller made whether its owners' templates, those that run, had it.

    None of them counts where the object has any that no template has. ``unspared`` are hits that are never taken for
    existing, as ``in_template``.
    """

    __slots__ = ("_gained", "_report", "_templates", "_unspared")

    def __init__(self, report: Report, owners: Sequence[Report], unspared: Set[SameHit]) -> None:
        self._report, self._unspared, self._gained = report, unspared, Gains()
        templates = _by_hit(owners) if owners else {}
        whole = bool(templates) and all(found.in_template in templates for found in report.found)
        self._templates = templates if whole else {}

    def __call__(self, found: ReportedHit, setting: Setting) -> bool:
        if not self._templates or setting.existing is not OnExisting.WARN or found.in_template in self._unspared:
            return False
        now = self._report.behind(found)
        return any(
            not self._gained(now, owner.behind(own), exact=setting.exact_images)
            for owner, own in self._templates[found.in_template]
        )


def _by(found: ReportedHit, what: str, images: Images) -> ReportedHit:
    """The hit, saying what is new about it."""
    named = several(images, shown=lambda image: clip(redacted(image)))
    return found._replace(hit=found.hit._replace(message=f"{found.hit.message}, now with {what}: {named}"))


def _by_hit(owners: Sequence[Report]) -> Mapping[SameHit, Sequence[tuple[Report, ReportedHit]]]:
    """The hits of templates as they read on a pod; what a waiver covers in a template is there as well."""
    hits: dict[SameHit, list[tuple[Report, ReportedHit]]] = {}
    for owner in owners:
        for found in (*owner.found, *(waived.found for waived in owner.waived)):
            hits.setdefault(found.in_template, []).append((owner, found))
    return hits


def worst_of(report: Report) -> Mapping[SameHit, Severity]:
    """The hits of a report, each with its severity."""
    found: dict[SameHit, Severity] = {}
    for one in report.found:
        known = found.get(one.same_hit)
        found[one.same_hit] = one.severity if known is None else max(known, one.severity)
    return found
