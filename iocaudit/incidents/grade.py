"""How severe it is that strands belong together. One noisy rule never makes an incident that is high.

What checks found in objects counts for nothing here: a weakness that was written does not show that it is used.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from iocaudit.core.severity import IoC, Severity
from iocaudit.incidents.strand import Strand

RARE: Final = 3
UNCOMMON: Final = 2
FREQUENT: Final = 1
ENOUGH: Final = 5
"""A rule that is heard of two accounts or targets at most with one that is heard of a few, or two of the latter with
one that is heard more often. By chance two that are heard now and then meet each day, three hardly ever."""


def indicators_of(strands: Iterable[Strand]) -> tuple[IoC, ...]:
    """The indicators that signals showed, in their order."""
    return tuple(sorted({ioc for strand in strands if not strand.is_check for ioc in strand.iocs}))


def grade(strands: Sequence[Strand], weights: Mapping[str, int]) -> Severity | None:
    """None where it is not an incident. ``weights`` say what each voice counts for; ENOUGH of them have to agree.

    - CRITICAL: proof of use, and enough rules that show two indicators.
    - HIGH: proof of use (what is critical by itself, or a sequence of high severity), or enough rules of medium
      severity or worse that show two indicators.
    - MEDIUM: a sequence, a rare rule of high severity, or enough rules of medium severity.
    """
    signs = [strand for strand in strands if not strand.is_check]
    strong = [strand for strand in signs if strand.severity >= Severity.MEDIUM]
    is_proof = any(
        strand.severity >= Severity.CRITICAL or (strand.is_sequence and strand.severity >= Severity.HIGH)
        for strand in signs
    )
    voices = {strand.key.voice for strand in strong}
    is_enough = len(voices) >= 2 and sum(weights[voice] for voice in voices) >= ENOUGH
    is_several = is_enough and len(indicators_of(strong)) >= 2
    if is_proof:
        return Severity.CRITICAL if is_several else Severity.HIGH
    if is_several:
        return Severity.HIGH
    is_rare_and_high = any(one.severity >= Severity.HIGH and weights[one.key.voice] >= RARE for one in signs)
    return Severity.MEDIUM if is_enough or is_rare_and_high or any(one.is_sequence for one in signs) else None
