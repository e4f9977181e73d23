"""Who a binding names. Sources: the API reference of rbac.authorization.k8s.io, and OpenShift's older bindings."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from iocaudit.core.request import service_account_of
from iocaudit.core.shape import mappings, text

_OPENSHIFT = {"SystemUser": "User", "SystemGroup": "Group"}
ANONYMOUS = frozenset(
    f"{kind}:{name}" for kind in ("User", "Group") for name in ("system:anonymous", "system:unauthenticated")
)
"""Anyone who reaches the API server: a user of the first name, in a group of the second. The other way about nobody is
meant today; anyone who writes it means them all the same."""
_AUTHENTICATED = "Group:system:authenticated"
_ACCOUNTS = "Group:system:serviceaccounts"
EVERYBODY = frozenset({_AUTHENTICATED, _ACCOUNTS})
"""Everybody inside."""
MASTERS = "Group:system:masters"
ACCOUNTS_OF = "Group:system:serviceaccounts:"
"""The group of one namespace's ServiceAccounts, before the namespace's name."""


class Subject(NamedTuple):
    """A subject of a binding. ``text`` is ``User:alice``, ``Group:dev`` or ``ServiceAccount:ns:name``."""

    kind: str
    name: str
    namespace: str = ""

    @property
    def text(self) -> str:
        if self.kind == "ServiceAccount":
            return f"ServiceAccount:{self.namespace}:{self.name}"
        return f"{self.kind}:{self.name}"

    @property
    def title(self) -> str:
        if self.kind == "ServiceAccount":
            return f"ServiceAccount {self.namespace}/{self.name}" if self.namespace else f"ServiceAccount {self.name}"
        return f"{self.kind} {self.name}"

    @property
    def groups(self) -> tuple[str, ...]:
        """The texts of the groups it is in whatever anyone binds; for a group, those all of its members are in."""
        if self.kind == "ServiceAccount":
            return (_ACCOUNTS, f"{ACCOUNTS_OF}{self.namespace}", _AUTHENTICATED)
        if self.text == "User:system:anonymous":
            return ("Group:system:unauthenticated",)
        if self.kind not in ("User", "Group") or self.text in ("Group:system:unauthenticated", _AUTHENTICATED):
            return ()
        return (_ACCOUNTS, _AUTHENTICATED) if self.text.startswith(ACCOUNTS_OF) else (_AUTHENTICATED,)

    def is_everyone_in(self, namespace: str | None) -> bool:
        """Whether it stands for anybody or everybody where a grant holds (None: the whole cluster): within their own
        namespace its ServiceAccounts are those whom a grant is for."""
        return self.is_everyone and self.text != f"{ACCOUNTS_OF}{namespace}"

    @property
    def everyone(self) -> str:
        """Whom a subject that is everyone means, in words."""
        if self.text.startswith(ACCOUNTS_OF):
            return f"every ServiceAccount of namespace {self.text.removeprefix(ACCOUNTS_OF)}"
        return "anonymous users" if self.text in ANONYMOUS else "everybody"

    @property
    def is_everyone(self) -> bool:
        """Whether it stands for anybody, everybody, or every ServiceAccount of a namespace."""
        return self.text in ANONYMOUS or self.text in EVERYBODY or self.text.startswith(ACCOUNTS_OF)


def subject_of(raw: Mapping[str, Any]) -> Subject:
    """One entry of ``subjects``; a ServiceAccount spelled as a user is that ServiceAccount."""
    kind, name = text(raw.get("kind")), text(raw.get("name"))
    kind = _OPENSHIFT.get(kind, kind)
    if kind == "User" and (found := service_account_of(name)) is not None:
        namespace, account = found
        return Subject("ServiceAccount", account, namespace)
    return Subject(kind, name, text(raw.get("namespace")) if kind == "ServiceAccount" else "")


def subjects_in(raw: object) -> Iterator[tuple[int, Subject]]:
    """The subjects of a list with their positions."""
    for index, item in enumerate(mappings(raw)):
        yield index, subject_of(item)
