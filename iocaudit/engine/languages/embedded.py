"""What makes the Evaluator of each language where one process asks for itself: a program that it starts as its child.

Each is imported when the first rule of its language is there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from iocaudit.engine.languages.evaluator import Evaluator
from iocaudit.engine.languages.rule import Language, Rule


def rego() -> Evaluator:
    """An OPA of our own. Raises EngineMissingError."""
    from iocaudit.engine.languages.programs import find_program
    from iocaudit.engine.languages.rego.preparer import Preparer
    from iocaudit.engine.languages.rego.service import OpaKeeper
    from iocaudit.engine.languages.rego.setup import embedded
    from iocaudit.engine.languages.sources import Engine

    program = find_program(Engine.OPA)
    return embedded(OpaKeeper(program), Preparer(program))


def cel() -> Evaluator:
    """A worker of our own. Raises EngineMissingError."""
    from iocaudit.engine.languages.cel.evaluator import CelEvaluator
    from iocaudit.engine.languages.programs import find_program
    from iocaudit.engine.languages.sources import Engine

    program = find_program(Engine.CEL)
    return CelEvaluator(lambda: program)


def read_folder(folder: Path) -> list[Rule]:
    """The rules in the files of a folder of Rego. Raises ModulesError, EngineMissingError, EngineError."""
    from iocaudit.engine.languages.programs import find_program
    from iocaudit.engine.languages.rego.modules import read_folder as read
    from iocaudit.engine.languages.rego.preparer import Preparer
    from iocaudit.engine.languages.sources import Engine

    return read(folder, Preparer(find_program(Engine.OPA)))


def read_modules(texts: Mapping[str, str], where: str) -> tuple[list[Rule], dict[str, str]]:
    """The rules in the data of a ConfigMap, and by key why one cannot be used.

    Raises EngineMissingError, EngineError.
    """
    from iocaudit.engine.languages.programs import find_program
    from iocaudit.engine.languages.rego.modules import read_modules as read
    from iocaudit.engine.languages.rego.preparer import Preparer
    from iocaudit.engine.languages.sources import Engine

    return read(texts, where, Preparer(find_program(Engine.OPA)))


EMBEDDED: Final[Mapping[Language, Callable[[], Evaluator]]] = {Language.REGO: rego, Language.CEL: cel}
