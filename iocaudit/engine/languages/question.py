"""What an Evaluator is asked about one object: which rules, with what parameters, on which input."""

from __future__ import annotations

from dataclasses import dataclass

from iocaudit.core.shape import Json
from iocaudit.engine.languages.rule import Rule


@dataclass(frozen=True)
class AskedRule:
    """A rule and the parameters that hold for it there."""

    rule: Rule
    parameters: Json


@dataclass(frozen=True)
class Question:
    """One input for some rules of one language.

    ``request`` is an AdmissionRequest as the API server sends it (``operation``, ``kind``, ``namespace``, ``name``,
    ``userInfo``, ``object``, ``oldObject`` …): of what stands, one for its creation, without a user. ``namespace`` is
    the Namespace object where it is known. ``inventory`` holds the objects that the rules look up, as
    ``{"cluster": {apiVersion: {kind: {name: object}}}, "namespace": {namespace: {apiVersion: {kind: {name: …}}}}}``.
    """

    rules: tuple[AskedRule, ...]
    request: Json
    namespace: Json | None = None
    inventory: Json | None = None
