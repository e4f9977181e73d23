"""Who acts, as far as names, groups and addresses tell: the cluster itself, its cloud, a program or a person.

Names that begin with ``system:`` are Kubernetes' own: an authenticator may not hand them out to others. Those of a
cloud's accounts are matched whole or by a prefix that its documentation reserves.
Sources: Kubernetes documentation, Authenticating, and Using RBAC Authorization (core component roles); Amazon EKS User
Guide, default Kubernetes roles and users; AKS and GKE documentation, system accounts.
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache

from iocaudit.core.namespaces import SYSTEM_NAMESPACES
from iocaudit.core.request import service_account_of
from iocaudit.signals.audit_event import AuditEvent, AuditUser

ANONYMOUS = "system:anonymous"
_COMPONENTS = frozenset(
    {
        "system:apiserver",
        "system:kube-apiserver",
        "system:kube-controller-manager",
        "system:kube-scheduler",
        "system:kube-proxy",
        "system:volume-scheduler",
        "system:addon-manager",
        "system:cloud-controller-manager",
        "system:konnectivity-server",
        "system:aks-service",
        "system:gke-controller-manager",
        "system:gcp-controller-manager",
        "system:gke-common-webhooks",
        "kube-apiserver-kubelet-client",
        "kube-apiserver-healthcheck",
    }
)
_CLOUDS = re.compile(
    r"eks:[\w-]+|(?:aks|acs)-?[Ss]ervice|masterclient|nodeclient|aks-support"
    r"|(?:[\w-]+@)?container-engine-robot(?:\.iam\.gserviceaccount\.com|@[\w.-]+\.iam\.gserviceaccount\.com)"
    r"|system:(?:gke|gcp|aks)[\w:-]*"
)
_CLOUD_SPACES = (
    "gke-",
    "gmp-",
    "aks-",
    "eks-",
    "openshift-kube-",
    "openshift-apiserver",
    "openshift-controller-manager",
)
_NODE = "system:node:"
_NODES_GROUP = "system:nodes"
_CLOUD_NODE = re.compile(
    r"ip-\d+-\d+-\d+-\d+\.(?:[\w-]+\.compute|ec2)\.internal|i-[0-9a-f]{8,17}|(?:gke|aks|gk3)-[\w.-]+"
)
"""What clouds call the nodes that they make: behind the address that such a network shows to the outside."""
_PERSON_TOOLS = re.compile(
    r"(?:kubectl|oc|k9s|helm|lens|curl|wget|python|python-requests|python-urllib|aiohttp|perl|libwww-perl|php|ruby|java|"
    r"node|node-fetch|axios|postmanruntime|httpie|powershell|mozilla)(?=[/\s]|$)",
    re.IGNORECASE,
)
_SCRIPT_TOOLS = re.compile(
    r"(?:curl|wget|python|python-requests|python-urllib|aiohttp|perl|libwww-perl|php|ruby|java|node|node-fetch|axios|"
    r"go-http-client|postmanruntime|httpie|powershell)(?=[/\s]|$)|.*(?:kali|distrib#kali)",
    re.IGNORECASE,
)
_ATTACK_TOOLS = re.compile(
    r"access_matrix|rakkess|trufflehog|azurehound|micro-scanner|kube-hunter|kubehunter|peirates|kubesploit|kdigger|"
    r"kubeletctl|cdk-team|nuclei|masscan|zgrab|sqlmap|nikto|nmap|gobuster|dirbuster|ffuf|botb|kubestalk|badpods",
    re.IGNORECASE,
)


def is_control_plane(user: AuditUser) -> bool:
    """Whether Kubernetes itself acts: its components, its nodes and the ServiceAccounts of ``kube-system``."""
    name = user.username
    if name in _COMPONENTS or is_node(user):
        return True
    account = service_account_of(name)
    return account is not None and account[0] == "kube-system"


def is_cloud(user: AuditUser) -> bool:
    """Whether the cloud that runs the control plane acts."""
    account = service_account_of(user.username)
    if account is not None:
        return account[0].startswith(_CLOUD_SPACES)
    return _CLOUDS.fullmatch(user.username) is not None


def is_own(user: AuditUser) -> bool:
    """Whether the cluster or its cloud acts: what they do all day is not news."""
    return is_control_plane(user) or is_cloud(user)


def is_node(user: AuditUser) -> bool:
    return user.username.startswith(_NODE)


def is_anonymous(user: AuditUser) -> bool:
    return user.username == ANONYMOUS or "system:unauthenticated" in user.groups


def is_program(user: AuditUser) -> bool:
    """Whether a program's own identity acts: a ServiceAccount or a component."""
    return service_account_of(user.username) is not None or is_own(user)


def is_person(user: AuditUser) -> bool:
    """Whether a user that is neither anonymous nor a program acts; a pipeline with a user's name counts as one."""
    return bool(user.username) and not is_program(user) and not is_anonymous(user)


def is_system_space(namespace: str) -> bool:
    """Whether a namespace belongs to the cluster or to its cloud."""
    return namespace in SYSTEM_NAMESPACES or namespace.startswith(_CLOUD_SPACES)


def is_own_work(event: AuditEvent) -> bool:
    """Whether the cluster or its cloud works in a namespace of its own: that is how it is installed and runs."""
    return is_own(event.requester) and is_system_space(event.target.namespace)


def uses_tool_of_person(event: AuditEvent) -> bool:
    """Whether the client says that it is a tool which people type, not a program's library."""
    return _PERSON_TOOLS.match(event.user_agent) is not None


def uses_script(event: AuditEvent) -> bool:
    """Whether the client says that it is a script or a bare HTTP client."""
    return _SCRIPT_TOOLS.match(event.user_agent) is not None


def attack_tool(event: AuditEvent) -> str:
    """The name of a known tool of attackers or scanners that the client says it is; empty where it does not."""
    found = _ATTACK_TOOLS.search(event.user_agent)
    return found[0] if found else ""


_DOCUMENTATION = tuple(
    ipaddress.ip_network(one) for one in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")
)


def is_public(address: str) -> bool:
    """Whether an address is one of the Internet's: not private, local, shared or reserved.

    Those that are set aside for documentation (RFC 5737, RFC 3849) count as such: who writes an example means one.
    """
    return _is_public(address)


@lru_cache(maxsize=4096)
def _is_public(address: str) -> bool:
    try:
        found = ipaddress.ip_address(address.strip().strip("[]"))
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    return found.is_global or any(found in one for one in _DOCUMENTATION)


def is_node_of_cloud(user: AuditUser) -> bool:
    """Whether a node is named as clouds name theirs; its requests may come from a public address by way of NAT."""
    return is_node(user) and (
        _NODES_GROUP in user.groups and _CLOUD_NODE.fullmatch(user.username.removeprefix(_NODE)) is not None
    )
