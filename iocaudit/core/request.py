"""What is known of an API request beyond the object: who asks for what."""

from enum import StrEnum
from typing import NamedTuple


class Operation(StrEnum):
    """AdmissionReview's ``operation``."""

    CREATE = "CREATE"
    UPDATE = "UPDATE"
    DELETE = "DELETE"
    CONNECT = "CONNECT"


AUTHENTICATED = "system:authenticated"
_ACCOUNT = "system:serviceaccount:"


def service_account_of(username: str) -> tuple[str, str] | None:
    """Namespace and name of the ServiceAccount that a user is; None of any other user."""
    namespace, colon, name = username.removeprefix(_ACCOUNT).partition(":")
    return (namespace, name) if username.startswith(_ACCOUNT) and colon and ":" not in name else None


def groups_of(username: str, groups: tuple[str, ...] = ()) -> tuple[str, ...]:
    """The groups of a user with those that the API server adds by itself.

    Source: Kubernetes documentation, Authenticating: anonymous requests; ServiceAccount tokens.
    """
    added: tuple[str, ...] = (AUTHENTICATED,)
    if username == "system:anonymous":
        added = ("system:unauthenticated",)
    elif (account := service_account_of(username)) is not None:
        added = ("system:serviceaccounts", f"system:serviceaccounts:{account[0]}", AUTHENTICATED)
    return tuple(dict.fromkeys((*groups, *added)))


class Request(NamedTuple):
    """The part of an AdmissionRequest that checks and posture may ask about."""

    operation: Operation
    username: str
    groups: tuple[str, ...] = ()
    subresource: str = ""
    namespace: str | None = None
    name: str = ""
    dry_run: bool = False
    user_id: str = ""
    """The uid of the user, where the authenticator gives one."""
    user_extra: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """What an authenticator adds: of a ServiceAccount's token the pod and the node that it is bound to."""
