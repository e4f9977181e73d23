"""``iocaudit policy convert``: policies that others wrote in the dialect of the API server, as AuditPolicies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import click

from iocaudit.cli.params import words
from iocaudit.core.errors import IocauditError
from iocaudit.core.shape import Json
from iocaudit.engine.presets import Mode

_WIDTH = 118


@click.command("convert")
@click.argument("files", nargs=-1, required=True, metavar="FILE... | -")
@click.option("--params", "params_file", metavar="FILE", help="The object that the rules find as params.")
@click.option(
    "--mode",
    type=words([mode.value for mode in Mode if mode is not Mode.OFF]),
    help="The mode of the rules  [default: by the actions of the policy or of its binding]",
)
def command(files: tuple[str, ...], params_file: str | None, mode: str | None) -> int:
    """Write AuditPolicies for ValidatingAdmissionPolicies, and for the ValidatingPolicies of Kyverno.

    Bindings in the same files give the mode and the namespaces. Each policy becomes one rule in CEL, which iocaudit-cel
    compiles before anything is written. What a rule cannot hold is refused by the name of its field.

    Exit code: 2 if a file cannot be read, a policy cannot be converted, or iocaudit-cel is not installed.
    """
    import yaml  # late, as the rest: after usage is known good

    from iocaudit.engine.languages.cel.conversion import ConversionError, converted

    documents = [document for file in files for document in _documents(file)]
    params = _one(params_file) if params_file is not None else None
    try:
        policies = converted(documents, params=params, mode=Mode(mode) if mode is not None else None)
    except ConversionError as error:
        raise ConversionError(f"{', '.join(files)}: {error}") from error
    _check(policies)
    text = yaml.safe_dump_all(policies, sort_keys=False, allow_unicode=True, width=_WIDTH)
    click.echo(text, nl=False)
    return 0


def _documents(file: str) -> Iterator[Json]:
    from iocaudit.sources.documents import Document, ReadFailure, read_documents
    from iocaudit.sources.files import read_bytes

    data = read_bytes(file, named=True)
    outcomes = [data] if isinstance(data, ReadFailure) else read_documents(data, file, lambda _version, _kind: True)
    for outcome in outcomes:
        if isinstance(outcome, Document):
            yield outcome.value
        elif isinstance(outcome, ReadFailure):
            line = f":{outcome.line}" if outcome.line else ""
            raise IocauditError(f"{file}{line}: {outcome.reason}")


def _one(file: str) -> Json:
    found = list(_documents(file))
    if len(found) != 1:
        raise IocauditError(f"{file}: holds {len(found)} objects, and params is one")
    return found[0]


def _check(policies: Sequence[Json]) -> None:
    """Raises PolicyError with what of their rules does not compile, EngineMissingError, EngineError."""
    from iocaudit.engine.catalogue import indexed_catalogue
    from iocaudit.engine.languages.cel.evaluator import CelEvaluator
    from iocaudit.engine.languages.programs import find_program
    from iocaudit.engine.languages.sources import Engine
    from iocaudit.engine.policy_reader import read_policy

    evaluator = CelEvaluator(lambda: find_program(Engine.CEL))
    catalogue = indexed_catalogue()
    try:
        for policy in policies:
            read_policy(policy, catalogue, compile_rules=evaluator.check)
    finally:
        evaluator.close()
