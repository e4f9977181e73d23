"""``--check`` and ``--skip``: narrow the catalogue, and refuse an id that is not known."""

from collections.abc import Iterable

import click

from iocaudit.core.check import Check
from iocaudit.engine.catalogue import Catalogue
from iocaudit.engine.fields import nearest
from iocaudit.engine.languages.rule_fields import RULE_PREFIXES, near_check, no_check


def known_check(catalogue: Catalogue, name: str) -> Check:
    """The check of that id or alias; wrong usage with the nearest ids where there is none."""
    check = catalogue.find(name.lower())
    if check is None:
        if name.startswith(RULE_PREFIXES):
            raise click.UsageError(f"{no_check(name)}{near_check(name, catalogue.names)}")
        hint = nearest(name, catalogue.names, most=3, otherwise=" (iocaudit checks lists them)")
        raise click.UsageError(f"there is no check {name!r}{hint}")
    return check


def select_checks(catalogue: Catalogue, only: Iterable[str], skip: Iterable[str]) -> Catalogue:
    """The catalogue narrowed to ``only`` (all where it is empty) and without ``skip``."""
    wanted = {known_check(catalogue, name).id for name in only} or {check.id for check in catalogue}
    unwanted = {known_check(catalogue, name).id for name in skip}
    if not only and not unwanted:
        return catalogue
    return catalogue.select(wanted - unwanted)
