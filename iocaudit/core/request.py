"""What is known of an API request beyond the object: who asks for what."""

from enum import StrEnum
from typing import NamedTuple


class Operation(StrEnum):
    """AdmissionReview's ``operation``."""

    CREATE = "CREATE"
    UPDATE = "UPDATE"
    DELETE = "DELETE"
    CONNECT = "CONNECT"


class Request(NamedTuple):
    """The part of an AdmissionRequest that checks and posture may ask about."""

    operation: Operation
    username: str
    groups: tuple[str, ...] = ()
    subresource: str = ""
    namespace: str | None = None
    name: str = ""
    dry_run: bool = False
