"""``--generate``: the NetworkPolicies and rate limits that are missing, as new documents."""

from __future__ import annotations

import sys

import click

from iocaudit.core.errors import IocauditError
from iocaudit.core.report import Found
from iocaudit.core.yaml_write import block
from iocaudit.engine.missing import Wanted, documents
from iocaudit.sinks.escape import visible
from iocaudit.sources.reading import Scan
from iocaudit.sources.repairing import Rescan

_HEADER = """\
# Made by iocaudit scan --generate. Before applying it: a NetworkPolicy here denies everything but DNS, so allow what
# has to reach the workloads and what they have to reach; the rates are a start, measure your own.
"""


class GenerateError(IocauditError):
    """The new file cannot be written; names it and the reason."""


def generated(rescan: Rescan, target: str) -> Scan:
    """Scan, and write what is missing to a new file, or to standard output (``-``).

    A document is kept only if scanning with it makes hits go away; for what is still missing standard error says why.
    Raises GenerateError where the file is there already, or cannot be written.
    """
    scan = rescan({})
    name = "generated.yaml" if target == "-" else target
    made = documents(scan.missing)
    text = "\n---\n".join(["", *(block(document).rstrip("\n") for document in made)]).lstrip("\n") + "\n"
    after = rescan({name: (_HEADER + text).encode()}) if made else scan
    left = {_key(found) for found in after.report.found}
    if made:
        _write(target, _HEADER + text)
    for one in scan.missing:
        if _key(one.found) in left:
            click.echo(visible(f"not generated: {_where(one)}: {one.reason or _AFTER}"), err=True)
    gone = sum(_key(one.found) not in left for one in scan.missing)
    click.echo(f"generated: {len(made)} documents for {gone} findings", err=True)
    return scan


_AFTER = "it is still found with the new documents: another policy comes first"


def _key(found: Found) -> tuple[str | None, int, str, str]:
    return (found.origin.file, found.origin.document, found.origin.item, found.fingerprint)


def _where(one: Wanted) -> str:
    origin = one.found.origin
    place = f"{origin.file}:{origin.line}" if origin.line else str(origin.file)
    return f"{place}: {one.found.check}: {one.found.subject}"


def _write(target: str, text: str) -> None:
    if target == "-":
        sys.stdout.buffer.write(text.encode())
        sys.stdout.flush()
        return
    try:
        with open(target, "xb") as stream:
            stream.write(text.encode())
    except FileExistsError:
        raise GenerateError(f"{target}: is there already: name a new file") from None
    except OSError as error:
        raise GenerateError(f"{target}: cannot be written: {error.strerror}") from None
