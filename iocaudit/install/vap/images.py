"""Checks of where images come from."""

from __future__ import annotations

from iocaudit.install.vap.image_lookup import ImageCondition, image_lookup, trusted_lookup
from iocaudit.install.vap.rule import CelRule, DeniedHits, Finder, PodPart, clipped

_OF_CONTAINER = "it.?image.orValue('')"


def untrusted_registry(denied: DeniedHits) -> CelRule:
    trusted, refused = tuple(denied.params.get("trusted") or ()), tuple(denied.params["denied"])
    finders = []
    found = ImageCondition("false")
    for part, text, field in (
        (PodPart.CONTAINER, _OF_CONTAINER, "image"),
        (PodPart.VOLUME, "it.?image.?reference.orValue('')", "image.reference"),
    ):
        if trusted:
            found = trusted_lookup(text, trusted, refused)
            bad = f"!({found.condition})"
        else:
            found = image_lookup(text, refused, "refused", refused=True)
            bad = found.condition
        says = f"'uses image ' + {clipped(text)} + ', which is from a registry that is not trusted'"
        finders.append(Finder(part, f"{text} != '' && {bad}", says, field))
    return CelRule(tuple(finders), notes=found.notes, constants=found.constants)


def exempt(images: tuple[str, ...]) -> ImageCondition:
    """That a policy exempts the image of the container ``it`` from a check."""
    return image_lookup(_OF_CONTAINER, images, "exempt")
