"""The rules of a run of the command line: those of folders of Rego, and those that policies in files declare.

Nothing that evaluates rules is imported, or started, before there is one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from iocaudit.engine.catalogue import Catalogue
from iocaudit.scanning.policy_files import PolicyDocument, make_policies, read_policy_files

if TYPE_CHECKING:
    from types import TracebackType

    from iocaudit.engine.languages.local import LocalRules
    from iocaudit.engine.languages.rule import Rule


class RunRules:
    """What compiles the rules of a run and answers for them. Used as a context, it ends what it has started."""

    def __init__(self, local: LocalRules | None = None) -> None:
        self._local = local

    def __enter__(self) -> RunRules:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        if self._local is not None:
            self._local.close()

    def _needed(self) -> LocalRules:
        if self._local is None:
            from iocaudit.engine.languages.local import LocalRules

            self._local = LocalRules()
        return self._local

    def compile(self, rules: Sequence[Rule]) -> Mapping[str, str]:
        """By id why a rule is broken. Raises EngineMissingError, EngineError."""
        return self._needed().compile(rules)

    def read_modules(self, texts: Mapping[str, str], where: str) -> tuple[list[Rule], dict[str, str]]:
        """The rules in the data of a ConfigMap, and why each key that cannot be used is.

        Raises EngineMissingError, EngineError.
        """
        from iocaudit.engine.languages.embedded import read_modules  # late: few clusters have any

        return read_modules(texts, where)

    def begin(self, catalogue: Catalogue) -> LocalRules | None:
        """What answers for the rules of a catalogue; None where it has none. Raises EngineMissingError, EngineError."""
        return self._needed().begin(catalogue) if catalogue.asks else None

    def with_folders(self, catalogue: Catalogue, folders: Iterable[str]) -> Catalogue:
        """The same with the rules in folders of Rego.

        Raises ModulesError for what is wrong in a folder, EngineMissingError, EngineError.
        """
        rules: dict[str, Rule] = {}
        for folder in folders:
            from iocaudit.engine.languages.embedded import read_folder
            from iocaudit.engine.languages.evaluator import EngineError  # late, as what follows: few runs have any

            for rule in read_folder(Path(folder)):
                other = rules.setdefault(rule.id, rule)
                if other is not rule:
                    raise EngineError(
                        f"{rule.where}: {rule.id} is a rule of {other.where} as well: call one of them anew"
                    )
        if not rules:
            return catalogue
        from iocaudit.engine.languages.as_checks import check_of

        return catalogue.also(map(check_of, rules.values()))

    def read(self, files: tuple[str, ...], catalogue: Catalogue) -> list[PolicyDocument]:
        """The policies and waivers in files, the rules that they declare compiled. Raises PolicyError."""
        return read_policy_files(files, catalogue, self.compile)


def with_declared(catalogue: Catalogue, documents: Sequence[PolicyDocument]) -> Catalogue:
    """The same with the rules that policies in files declare, for what names checks by their ids."""
    return make_policies(documents, catalogue, "default").catalogue if documents else catalogue


def catalogue_with(catalogue: Catalogue, folders: tuple[str, ...], policy_files: tuple[str, ...]) -> Catalogue:
    """The catalogue as it is shown: with the rules of folders, and those of policies in files.

    Raises ModulesError, PolicyError, EngineMissingError and EngineError for rules that cannot be used.
    """
    with RunRules() as rules:
        catalogue = rules.with_folders(catalogue, folders)
        return with_declared(catalogue, rules.read(policy_files, catalogue))
