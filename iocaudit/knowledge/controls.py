"""The frameworks that checks are mapped to: what a control is called and where it is described.

A declaration maps a framework's key to identifiers, several of them joined by ``, ``. CIS numbers shift between
editions: a declaration gives those of the newest, and the earlier ones follow from it (or are given too, under
``cis-1.11`` and so on). Sources: the benchmarks' numbering as kube-bench carries it (cfg/cis-1.9 to cis-1.12), MITRE
ATT&CK, Microsoft's threat matrix for Kubernetes, OWASP Kubernetes Top Ten 2025, the Kubernetes Hardening Guide of NSA
and CISA 1.2 (which has no identifiers: its sections are named), the Pod Security Standards. Names are our own short
ones where the original is a sentence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

CIS_EDITIONS = ("1.12", "1.11", "1.10", "1.9")
"""Newest first."""
CIS_KUBERNETES = {"1.12": "1.32 to 1.34", "1.11": "1.29 to 1.31", "1.10": "1.28", "1.9": "1.27"}
"""The Kubernetes releases that each edition is about."""


@dataclass(frozen=True, slots=True, eq=False)
class Framework:
    """``titles`` holds every control that a check may name; ``link`` gives the address of one."""

    key: str
    title: str
    titles: Mapping[str, str]
    link: Callable[[str], str | None]


@dataclass(frozen=True, slots=True)
class Control:
    """One control of one framework; ``edition`` is set for CIS."""

    framework: Framework
    id: str
    title: str
    edition: str | None = None

    @property
    def link(self) -> str | None:
        return self.framework.link(self.id)


_PSS = {
    f"{level}/{name}": title
    for level, names in {
        "baseline": {
            "privileged": "privileged containers",
            "capabilities_baseline": "capabilities beyond the default ones",
            "hostPathVolumes": "HostPath volumes",
            "hostNamespaces": "host namespaces",
            "hostPorts": "host ports",
            "hostProbesAndHostLifecycle": "host in probes and lifecycle hooks",
            "procMount": "/proc mount type",
            "seLinuxOptions": "SELinux options",
            "sysctls": "sysctls",
            "windowsHostProcess": "Windows HostProcess",
            "seccompProfile_baseline": "seccomp profile, baseline",
            "appArmorProfile": "AppArmor profile",
        },
        "restricted": {
            "runAsNonRoot": "running as non-root",
            "runAsUser": "running as a non-root user",
            "allowPrivilegeEscalation": "privilege escalation",
            "capabilities_restricted": "capabilities, restricted",
            "restrictedVolumes": "volume types",
            "seccompProfile_restricted": "seccomp profile, restricted",
        },
    }.items()
    for name, title in names.items()
}
_CIS = {
    "5.1": "RBAC and ServiceAccounts (the section)",
    "5.1.1": "use of cluster-admin",
    "5.1.2": "access to Secrets",
    "5.1.3": "wildcards in roles",
    "5.1.4": "access to create pods",
    "5.1.5": "use of default ServiceAccounts",
    "5.1.6": "mounted ServiceAccount tokens",
    "5.1.7": "use of system:masters",
    "5.1.8": "bind, impersonate and escalate",
    "5.1.9": "access to create PersistentVolumes",
    "5.1.10": "access to the proxy of nodes",
    "5.1.11": "access to approve certificate requests",
    "5.1.12": "access to webhook configurations",
    "5.1.13": "access to create ServiceAccount tokens",
    "5.2.1": "an active policy control mechanism",
    "5.2.2": "privileged containers",
    "5.2.3": "host PID namespace",
    "5.2.4": "host IPC namespace",
    "5.2.5": "host network namespace",
    "5.2.6": "privilege escalation",
    "5.2.7": "root containers",
    "5.2.8": "capability NET_RAW",
    "5.2.9": "capabilities assigned",
    "5.2.10": "Windows HostProcess containers",
    "5.2.11": "HostPath volumes",
    "5.2.12": "host ports",
    "5.3.2": "NetworkPolicies in every namespace",
    "5.4.1": "Secrets as files rather than environment",
    "5.5.1": "image provenance",
    "5.6.1": "namespaces as boundaries",
    "5.6.2": "seccomp profile",
    "5.6.3": "security contexts",
    "5.6.4": "use of the default namespace",
}
_CIS_BEFORE_12 = {"5.2.9": "5.2.10", "5.2.10": "5.2.11", "5.2.11": "5.2.12", "5.2.12": "5.2.13"}
"""1.12 dropped what was 5.2.9 (added capabilities), so what came after it moved up."""
_ADDED_CAPABILITIES = "5.2.9"
_CIS_BEFORE_11 = {f"5.6.{number}": f"5.7.{number}" for number in range(1, 5)}
"""1.11 renumbered the general policies."""
_ATTACK = {
    "T1040": "Network Sniffing",
    "T1046": "Network Service Discovery",
    "T1059.004": "Command and Scripting Interpreter: Unix Shell",
    "T1059.013": "Command and Scripting Interpreter: Container CLI/API",
    "T1068": "Exploitation for Privilege Escalation",
    "T1070": "Indicator Removal",
    "T1078": "Valid Accounts",
    "T1098.006": "Account Manipulation: Additional Container Cluster Roles",
    "T1133": "External Remote Services",
    "T1190": "Exploit Public-Facing Application",
    "T1204.003": "User Execution: Malicious Image",
    "T1496.001": "Resource Hijacking: Compute Hijacking",
    "T1498": "Network Denial of Service",
    "T1499": "Endpoint Denial of Service",
    "T1525": "Implant Internal Image",
    "T1528": "Steal Application Access Token",
    "T1552.001": "Unsecured Credentials: Credentials In Files",
    "T1552.005": "Unsecured Credentials: Cloud Instance Metadata API",
    "T1552.007": "Unsecured Credentials: Container API",
    "T1557": "Adversary-in-the-Middle",
    "T1562": "Impair Defenses",
    "T1609": "Container Administration Command",
    "T1610": "Deploy Container",
    "T1611": "Escape to Host",
}
_MS = {
    "MS-TA9002": "Compromised image in registry",
    "MS-TA9005": "Exposed sensitive interfaces",
    "MS-TA9006": "Exec into container",
    "MS-TA9007": "bash or cmd inside container",
    "MS-TA9008": "New container",
    "MS-TA9013": "Writable hostPath mount",
    "MS-TA9015": "Malicious admission controller",
    "MS-TA9016": "Container service account",
    "MS-TA9018": "Privileged container",
    "MS-TA9019": "Cluster-admin binding",
    "MS-TA9021": "Clear container logs",
    "MS-TA9022": "Delete Kubernetes events",
    "MS-TA9025": "List Kubernetes secrets",
    "MS-TA9026": "Mount service principal",
    "MS-TA9027": "Application credentials in configuration files",
    "MS-TA9030": "Access the kubelet API",
    "MS-TA9033": "Instance metadata API",
    "MS-TA9034": "Cluster internal networking",
    "MS-TA9035": "CoreDNS poisoning",
    "MS-TA9036": "ARP poisoning and IP spoofing",
    "MS-TA9039": "Resource hijacking",
    "MS-TA9040": "Denial of service",
}
_OWASP = {
    "K01": "Insecure Workload Configurations",
    "K02": "Overly Permissive Authorization Configurations",
    "K03": "Secrets Management Failures",
    "K04": "Lack of Cluster Level Policy Enforcement",
    "K05": "Missing Network Segmentation Controls",
    "K06": "Overly Exposed Kubernetes Components",
    "K07": "Misconfigured and Vulnerable Cluster Components",
    "K08": "Cluster to Cloud Lateral Movement",
    "K09": "Broken Authentication Mechanisms",
    "K10": "Inadequate Logging and Monitoring",
}
_NSA = {
    "Non-root containers": "Kubernetes Pod security",
    "Immutable container file systems": "Kubernetes Pod security",
    "Building secure container images": "Kubernetes Pod security",
    "Pod security enforcement": "Kubernetes Pod security",
    "Protecting Pod service account tokens": "Kubernetes Pod security",
    "Hardening container environments": "Kubernetes Pod security",
    "Namespaces": "Network separation and hardening",
    "Network policies": "Network separation and hardening",
    "Resource policies": "Network separation and hardening",
    "Control plane hardening": "Network separation and hardening",
    "Worker node segmentation": "Network separation and hardening",
    "Encryption": "Network separation and hardening",
    "Secrets": "Network separation and hardening",
    "Protecting sensitive cloud infrastructure": "Network separation and hardening",
    "Authentication": "Authentication and authorization",
    "Role-based access control": "Authentication and authorization",
    "Logging": "Audit logging and threat detection",
    "Threat detection": "Audit logging and threat detection",
}


def _pss_link(control: str) -> str:
    return f"https://kubernetes.io/docs/concepts/security/pod-security-standards/#{control.partition('/')[0]}"


PSS = Framework("pss", "Pod Security Standards", _PSS, _pss_link)
CIS = Framework("cis", "CIS Kubernetes Benchmark", _CIS, lambda _: "https://www.cisecurity.org/benchmark/kubernetes")
ATTACK = Framework(
    "attack",
    "MITRE ATT&CK",
    _ATTACK,
    lambda control: f"https://attack.mitre.org/techniques/{control.replace('.', '/')}/",
)
MS = Framework(
    "ms",
    "Microsoft threat matrix for Kubernetes",
    _MS,
    lambda _: "https://microsoft.github.io/Threat-Matrix-for-Kubernetes/",
)
OWASP = Framework(
    "owasp",
    "OWASP Kubernetes Top Ten 2025",
    _OWASP,
    lambda _: "https://owasp.org/www-project-kubernetes-top-ten/",
)
NSA = Framework(
    "nsa",
    "NSA and CISA, Kubernetes Hardening Guide 1.2",
    _NSA,
    lambda _: (
        "https://media.defense.gov/2022/Aug/29/2003066362/-1/-1/0/CTR_KUBERNETES_HARDENING_GUIDANCE_1.2_20220829.PDF"
    ),
)
FRAMEWORKS = (PSS, CIS, ATTACK, MS, OWASP, NSA)
"""In the order pages show them."""


def controls_of(mapping: Mapping[str, str]) -> Iterator[Control]:
    """The controls that a declaration's mapping names, by framework and for CIS by edition.

    Raises KeyError for a framework or a control that is not listed here.
    """
    known = {framework.key for framework in FRAMEWORKS} | {f"cis-{edition}" for edition in CIS_EDITIONS}
    for key in mapping:
        if key not in known or key == CIS.key:
            raise KeyError(key)
    for framework in FRAMEWORKS:
        if framework is CIS:
            yield from _cis(mapping)
        else:
            for control in _ids(mapping.get(framework.key)):
                yield Control(framework, control, framework.titles[control])


def _ids(value: str | None) -> list[str]:
    return value.split(", ") if value else []


def _cis(mapping: Mapping[str, str]) -> Iterator[Control]:
    newest = _ids(mapping.get(f"cis-{CIS_EDITIONS[0]}"))
    for edition in CIS_EDITIONS:
        given = mapping.get(f"cis-{edition}")
        for control in _ids(given) if given is not None else [_earlier(number, edition) for number in newest]:
            yield Control(CIS, control, _cis_title(control, edition), edition)


def _earlier(number: str, edition: str) -> str:
    """The number that an earlier edition has for what the newest calls ``number``."""
    before = dict(_CIS_BEFORE_12)
    if edition in ("1.10", "1.9"):
        before |= _CIS_BEFORE_11
    return before.get(number, number)


def _cis_title(number: str, edition: str) -> str:
    """What a number means in an edition."""
    if edition == CIS_EDITIONS[0]:
        return _CIS[number]
    if number == _ADDED_CAPABILITIES:
        return "added capabilities"
    return next(title for newest, title in _CIS.items() if _earlier(newest, edition) == number)
