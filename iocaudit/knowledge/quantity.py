"""Quantities of resources: ``500m``, ``1.5Gi``, ``2e3``, as the API server reads them, exactly.

Source: the grammar and rules of resource.Quantity in the Kubernetes API reference (apimachinery).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fractions import Fraction

_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_GRAMMAR = re.compile(
    r"([+-]?)([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:([KMGTPE]i)|[eE]([+-]?[0-9]{1,10})|([numkMGTPE]?))", re.ASCII
)
_LONGEST = 100
_NANO = 10**9
_GREATEST = 2**63 - 1
# Beyond these the value is rounded to 1n or capped anyway, so no power of ten has to be spelled out.
_EXPONENTS = range(-200, 201)


@dataclass(frozen=True, slots=True, order=True)
class Quantity:
    """An amount in the resource's base unit (cores, bytes). Equal amounts are equal however they are written."""

    value: Fraction
    text: str = field(compare=False)

    @staticmethod
    def parse(value: object) -> Quantity:
        """Read a string, or a number as YAML and JSON carry it; raises ValueError with the reason.

        As the API server does: finer than a billionth is rounded away from zero, beyond 2^63-1 is capped.
        """
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise ValueError(f"{type(value).__name__} is not a quantity: write a number with an optional suffix")
        found = _parse(value if isinstance(value, str) else _number(value))
        if isinstance(found, str):
            raise ValueError(f"{str(value)[:_LONGEST]!r} is not a quantity: {found}")
        return found

    @staticmethod
    def parse_or_none(value: object) -> Quantity | None:
        """The quantity, or None where the API server would refuse it."""
        if isinstance(value, str):  # as nearly all are: each limit of each container is asked for
            found = _parse(value)
            return None if isinstance(found, str) else found
        try:
            return Quantity.parse(value)
        except ValueError:
            return None

    @property
    def is_zero(self) -> bool:
        return not self.value

    @property
    def canonical(self) -> str:
        """One spelling for equal amounts: a whole number, or thousandths (``m``), millionths, billionths."""
        for suffix, scale in (("", 1), ("m", 10**3), ("u", 10**6), ("n", _NANO)):
            scaled = self.value * scale
            if scaled.denominator == 1:
                return f"{scaled.numerator}{suffix}"
        raise AssertionError("a quantity is a multiple of a billionth")  # parse rounds to it

    def __str__(self) -> str:
        return self.text


def _number(value: int | float) -> str:
    """A JSON number as text. Past 2^63 only the magnitude counts, so no digit limit of Python is met."""
    if isinstance(value, int) and abs(value) >= 10**30:
        return "-1e30" if value < 0 else "1e30"
    return repr(value)


def _parse(text: str) -> Quantity | str:
    return _parse_kept(text) if len(text) <= _LONGEST else f"it is longer than {_LONGEST} characters"


@lru_cache(maxsize=4096)
def _parse_kept(text: str) -> Quantity | str:
    match = _GRAMMAR.fullmatch(text)
    if match is None:
        return "write a number with one of the suffixes n u m k M G T P E Ki Mi Gi Ti Pi Ei, or an exponent"
    sign, digits, binary, exponent, suffix = match.groups()
    from fractions import Fraction  # late: it is dear to import, and many objects have no quantity

    value = Fraction(digits + "0" if digits.endswith(".") else digits)
    if binary:
        value *= 2 ** _BINARY[binary]
    else:
        power = int(exponent) if exponent is not None else _DECIMAL[suffix]
        power = max(min(power, _EXPONENTS[-1]), _EXPONENTS[0])
        value *= Fraction(10) ** power
    scaled = value * _NANO
    value = min(Fraction(-(-scaled.numerator // scaled.denominator), _NANO), Fraction(_GREATEST))
    return Quantity(-value if sign == "-" else value, text)
