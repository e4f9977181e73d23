"""The rules in ConfigMaps of a live cluster, as its webhook and operator take them; read-only."""

from __future__ import annotations

from dataclasses import dataclass, field

from iocaudit.cluster.api import Api, ListScope
from iocaudit.cluster.errors import ApiError, ForbiddenError, NotFoundError
from iocaudit.core import own_names
from iocaudit.core.kinds import CLUSTER_ROLE_BINDING, CONFIG_MAP
from iocaudit.core.shape import mapping, mappings, text
from iocaudit.core.wording import several
from iocaudit.engine.catalogue import Catalogue
from iocaudit.engine.languages.as_checks import check_of
from iocaudit.live.modules import SELECTOR, ModuleStore
from iocaudit.scanning.rules import RunRules

_NAMED = 5
"""How many ConfigMaps a note names."""


@dataclass(frozen=True, slots=True)
class ClusterRules:
    """``catalogue`` has the rules; ``notes`` say where they come from and which are broken, ``unread`` what could not
    be read. ``namespace`` is where iocaudit is installed.
    """

    catalogue: Catalogue
    namespace: str = own_names.NAMESPACE
    notes: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)


def read_cluster_rules(client: Api, catalogue: Catalogue, rules: RunRules) -> ClusterRules:
    """A catalogue with the rules in the labelled ConfigMaps of the namespace that iocaudit is installed in.

    A rule that the catalogue has already stands in place of the cluster's of the same id. Raises ApiError where the API
    server answers anything else than that they may not be read, EngineMissingError and EngineError.
    """
    namespace = own_namespace(client)
    try:
        raws, _ = client.list_all(CONFIG_MAP, scope=ListScope(namespace, SELECTOR))
    except NotFoundError:
        return ClusterRules(catalogue, namespace)
    except ForbiddenError as error:
        why = f"cannot read the ConfigMaps with rules in namespace {namespace}, their rules are left out: {error}"
        return ClusterRules(catalogue, namespace, unread=[why])
    if not raws:
        return ClusterRules(catalogue, namespace)
    store = ModuleStore(rules)
    store.replace(raws)
    store.settle()
    names = [text(mapping(raw.get("metadata")).get("name")) for raw in raws]
    notes = [f"rules in Rego come from ConfigMaps of namespace {namespace}: {several(sorted(names), _NAMED)}"]
    notes += [
        f"ConfigMap {one.config_map}: {one.message} (a running operator keeps its last good state)"
        for one in store.problems
    ]
    return ClusterRules(catalogue.also(map(check_of, store.rules)), namespace, notes)


def own_namespace(client: Api) -> str:
    """The namespace of the operator's ServiceAccount; the usual one where nothing says so."""
    try:
        binding = client.get(CLUSTER_ROLE_BINDING, None, own_names.OPERATOR)
    except ApiError:
        return own_names.NAMESPACE
    for subject in mappings(binding.get("subjects")):
        if subject.get("name") == own_names.OPERATOR and (found := text(subject.get("namespace"))):
            return found
    return own_names.NAMESPACE
