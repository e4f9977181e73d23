"""The files of ``--policy``: the same AuditPolicy objects as in a cluster."""

from typing import Any

from iocaudit.core.errors import PolicyError
from iocaudit.engine.catalogue import Catalogue
from iocaudit.engine.policy import API_VERSION, PolicySet, read_policies
from iocaudit.sources.documents import Document, Template, Unreadable, read_documents
from iocaudit.sources.files import read_bytes


def read_policy_files(files: tuple[str, ...]) -> list[dict[str, Any]]:
    """The AuditPolicies of the files as they are written; raises PolicyError naming the file."""
    raws: list[dict[str, Any]] = []
    for file in files:
        data = read_bytes(file)
        if isinstance(data, Unreadable):
            raise PolicyError(f"{file}: {data.reason}")
        before = len(raws)
        for outcome in read_documents(data, file, lambda _version, _kind: True):
            if isinstance(outcome, Unreadable | Template):
                raise PolicyError(f"{file}:{outcome.line or 1}: {outcome.reason}")
            if isinstance(outcome, Document) and outcome.value["apiVersion"] == API_VERSION:
                if outcome.value["kind"] != "AuditPolicy":
                    raise PolicyError(f"{file}:{outcome.line}: {outcome.value['kind']} is no AuditPolicy")
                raws.append(outcome.value)
        if len(raws) == before:
            raise PolicyError(f"{file}: holds no AuditPolicy of {API_VERSION}")
    return raws


def make_policies(raws: list[dict[str, Any]], catalogue: Catalogue, profile: str) -> PolicySet:
    """The policies in force; raises PolicyError for one that is invalid or names a check nobody knows."""
    policies = read_policies(raws, catalogue, profile=profile)
    for policy in policies.policies:
        if policy.unknown_ids:
            raise PolicyError(f"AuditPolicy {policy.name}: unknown checks: {', '.join(policy.unknown_ids)}")
    return policies
