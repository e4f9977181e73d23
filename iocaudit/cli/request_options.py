"""The options that say of which request policies are asked: by whom, what is done, on an object of which kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import click

from iocaudit.cli.kind_names import is_called
from iocaudit.cli.params import words
from iocaudit.core.kinds import Kind
from iocaudit.core.request import Operation, Request, groups_of
from iocaudit.engine.catalogue import Catalogue
from iocaudit.engine.fields import nearest
from iocaudit.engine.policy_kinds import names_of
from iocaudit.sinks.escape import visible

_Function = TypeVar("_Function", bound=Callable[..., object])
_OPERATIONS = ("CREATE", "UPDATE", "CONNECT")


def user_options(function: _Function) -> _Function:
    """``--user`` and ``--group``: who makes the request."""
    for option in (
        click.option("--group", "groups", multiple=True, metavar="NAME", help="A group that the user is in."),
        click.option(
            "--user",
            metavar="NAME",
            help="Who makes the request; system:serviceaccount:NS:NAME for a ServiceAccount.",
        ),
    ):
        function = option(function)
    return function


def operation_option(function: _Function) -> _Function:
    """``--operation``: what the request does."""
    return click.option("--operation", type=words(_OPERATIONS), help="What the request does  [default: CREATE]")(
        function
    )


def request_of(user: str | None, groups: tuple[str, ...], operation: str | None) -> Request | None:
    """The request, with the groups that the API server adds by itself; None where no option speaks of one."""
    if user is None and not groups and operation is None:
        return None
    name = user or ""
    return Request(Operation(operation or Operation.CREATE), name, groups_of(name, groups))


def kind_named(given: str, catalogue: Catalogue) -> Kind:
    """The kind that people call so, of those that checks look at; of several that of Kubernetes itself."""
    known = list(dict.fromkeys(kind for check in catalogue.whole for kind in check.looks_at))
    found = [kind for kind in known if is_called(given, kind.group, kind.name)]
    own = [kind for kind in found if "." not in kind.group or kind.group.endswith(".k8s.io")]
    for kinds in (found, own):
        if len(kinds) == 1:
            return kinds[0]
    if found:
        raise click.UsageError(visible(f"--kind {given!r} may be any of {', '.join(map(str, found))}"))
    near = nearest(given, names_of(known))
    raise click.UsageError(visible(f"--kind {given!r}: no check looks at objects of that kind{near}"))
