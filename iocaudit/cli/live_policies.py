"""The policies of a live cluster, read-only."""

from collections.abc import Mapping
from typing import Any

from iocaudit.cluster.client import Client
from iocaudit.cluster.errors import NotFoundError
from iocaudit.controller.resources import AUDIT_POLICY
from iocaudit.core.errors import IocauditError, PolicyError
from iocaudit.core.kinds import NAMESPACE
from iocaudit.core.shape import mapping, text
from iocaudit.engine.catalogue import Catalogue
from iocaudit.engine.policy import PolicySet, read_policy


def read_policy_set(
    catalogue: Catalogue, profile: str, namespace: str | None, *, context: str | None = None
) -> tuple[PolicySet, Mapping[str, Any], dict[str, str]]:
    """The usable policies, the namespace's labels (none for None), and why each of the others is refused, by name.

    Raises ApiError where they may not be read, IocauditError where the namespace or our own kinds are not there.
    """
    client = Client.connect(context=context)
    labels: Mapping[str, Any] = {}
    if namespace is not None:
        try:
            labels = mapping(mapping(client.get(NAMESPACE, None, namespace).get("metadata")).get("labels"))
        except NotFoundError:
            raise IocauditError(f"there is no namespace {namespace!r} in the cluster") from None
    try:
        raws, _ = client.list_all(AUDIT_POLICY)
    except NotFoundError:
        raise IocauditError("the cluster has no AuditPolicies: iocaudit is not installed in it") from None
    usable, refused = [], {}
    for raw in raws:
        try:
            usable.append(read_policy(raw, catalogue))
        except PolicyError as error:
            refused[text(mapping(raw.get("metadata")).get("name"))] = str(error)
    return PolicySet(catalogue, tuple(usable), profile), labels, refused
