"""What makes the Evaluator of each language, once a process has a rule for it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Final

from iocaudit.engine.languages.evaluator import Evaluator
from iocaudit.engine.languages.rule import Language
from iocaudit.live.engine_options import EngineOptions, RegoMode
from iocaudit.live.engines import EngineMaker

if TYPE_CHECKING:
    from iocaudit.live.rego_engine import ProcessObserver, Supervise

CEL_PART: Final = "cel"


def factories(
    options: EngineOptions, supervise: Supervise, observer: ProcessObserver | None = None
) -> Mapping[Language, EngineMaker]:
    """By language. ``supervise`` runs a part in a thread, again and again, as `Supervisor.thread` does."""
    return {
        Language.REGO: partial(_rego, options, supervise, observer),
        Language.CEL: partial(_cel, supervise, observer),
    }


def _rego(options: EngineOptions, supervise: Supervise, observer: ProcessObserver | None) -> Evaluator:
    from iocaudit.live.rego_engine import opa_elsewhere, own_opa  # late: most have no rules

    if options.rego is RegoMode.EMBEDDED:
        return own_opa(supervise, observer)
    return opa_elsewhere(options, supervise)


def _cel(supervise: Supervise, observer: ProcessObserver | None) -> Evaluator:
    from iocaudit.engine.languages.cel.evaluator import CelEvaluator
    from iocaudit.engine.languages.programs import find_program
    from iocaudit.engine.languages.sources import Engine

    program = find_program(Engine.CEL)
    evaluator = CelEvaluator(lambda: program)
    if observer is None:
        supervise(CEL_PART, evaluator.keeper.watch)
    else:
        ended = partial(observer.ended, Language.CEL)
        supervise(CEL_PART, lambda life: evaluator.keeper.watch(life, lambda _: observer.started(Language.CEL), ended))
    return evaluator
