"""Which indicator an alert of Falco shows, and how bad that is: by its fields where they say, then by rule, then tags.

The names are those of Falco's default rules and of its rules for the audit log; own rules are told by their tags.
Sources: falcosecurity/rules (falco, incubating, sandbox), falcosecurity/plugins (k8saudit), Falco documentation,
Default Rules and Rules style guide (tags).
"""

from __future__ import annotations

import re

from iocaudit.core.severity import IoC, Severity
from iocaudit.knowledge.command import is_miner, suspicions
from iocaudit.knowledge.host_path import danger
from iocaudit.signals.commands import asks_metadata
from iocaudit.signals.falco import FalcoAlert

_NAMES: dict[IoC, str] = {
    IoC.RESOURCE_SPIKE: """
        Known Cryptominer Process Executed; Detect crypto miners using the Stratum protocol;
        Detect outbound connections to common miner pool ports
    """,
    IoC.OUTBOUND_TRAFFIC: """
        Network Connection outside Local Subnet; Unexpected UDP Traffic; Contact cloud metadata service from container;
        Contact EC2 Instance Metadata Service From Container; Contact K8S API Server From Container;
        Launch Suspicious Network Tool in Container; Launch Suspicious Network Tool on Host;
        Launch Remote File Copy Tools in Container; Launch Ingress Remote File Copy Tools in Container;
        Redirect STDOUT/STDIN to Network Connection in Container; Netcat Remote Code Execution in Container;
        Netcat/Socat Remote Code Execution on Host; Exfiltrating Artifacts via Kubernetes Control Plane;
        Disallowed SSH Connection Non Standard Port; System procs network activity; Packet socket created in container;
        Interpreted procs outbound network activity; Program run with disallowed http proxy env;
        Network Tool Executed During NPM Package Install
    """,
    IoC.CLUSTER_ADMIN: """
        Attach to cluster-admin Role; ClusterRole With Wildcard Created; ClusterRole With Write Privileges Created;
        ClusterRole With Pod Exec Created; System ClusterRole Modified/Deleted; Create Privileged Pod;
        Create HostNetwork Pod; Create HostPid Pod; Create HostIPC Pod; Launch Privileged Container;
        Launch Excessively Capable Container; Detect release_agent File Container Escapes; Change thread namespace;
        Change namespace privileges via unshare; Debugfs Launched in Privileged Container;
        Mount Launched in Privileged Container; Linux Kernel Module Injection Detected; Container Run as Root User;
        PTRACE attached to process; Non sudo setuid; Set Setuid or Setgid bit; Sudo Potential Privilege Escalation;
        Polkit Local Privilege Escalation Vulnerability (CVE-2021-4034); Privileged Container Device Access;
        Potential Local Privilege Escalation via Environment Variables Misuse; BPF Program Not Profiled;
        Unprivileged Delegation of Page Faults Handling to a Userspace Process;
        Service Account Created in Kube Namespace; Pod Created in Kube Namespace; K8s ClusterRoleBinding Created;
        K8s RoleBinding Created; K8s ClusterRole Created; K8s Role Created;
        Untrusted Node Successfully Joined the Cluster; Untrusted Node Unsuccessfully Tried to Join the Cluster
    """,
    IoC.USER_ACTIVITY: """
        Terminal shell in container; Attach/Exec Pod; EphemeralContainers Created; port-forward;
        Anonymous Request Allowed; Disallowed K8s User; Full K8s Administrative Access; K8s Secret Get Successfully;
        K8s Secret Get Unsuccessfully Tried; System user interactive; User mgmt binaries;
        Adding ssh keys to authorized_keys; Basic Interactive Reconnaissance;
        Kubernetes Client Tool Launched in Container; Run shell untrusted; Search Private Keys or Passwords;
        Find AWS Credentials; Read ssh information; Read environment variable from /proc files;
        Delete or rename shell history; K8s Secret Created; K8s Secret Deleted; Create Disallowed Namespace;
        K8s Serviceaccount Created; K8s Serviceaccount Deleted
    """,
    IoC.INBOUND_TRAFFIC: """
        Unexpected inbound connection source; Unexpected K8s NodePort Connection; Create NodePort Service;
        Interpreted procs inbound network activity; Ingress Object without TLS Certificate Created
    """,
    IoC.FILESYSTEM_CHANGE: """
        Write below etc; Write below root; Write below binary dir; Write below monitored dir; Write below rpm database;
        Modify binary dirs; Mkdir binary dirs; Create files below dev; Schedule Cron Jobs;
        Modify Shell Configuration File; Read Shell Configuration File; Create Symlink Over Sensitive Files;
        Create Hardlink Over Sensitive Files; Create Sensitive Mount Pod; Launch Sensitive Mount Container;
        Container Access to Host Sensitive Paths; Read sensitive file untrusted;
        Read sensitive file trusted after startup; Directory traversal monitored file read; Clear Log Activities;
        Remove Bulk Data from Disk; Create Hidden Files or Directories; Modify Container Entrypoint;
        Update Package Repository; Create/Modify Configmap With Private Credentials
    """,
    IoC.UNKNOWN_BINARY: """
        Drop and execute new binary in container; Execution from /dev/shm; Fileless execution via memfd_create;
        Container Drift Detected (chmod); Container Drift Detected (open+create);
        Launch Package Management Process in Container; Launch Disallowed Container; DB program spawned process;
        Web Server Spawned Shell; Web Server Spawned Suspicious Child Process; Reverse Shell from Web Server;
        Java Process Class File Download; Decoding Payload in Container; PTRACE anti-debug attempt;
        Backdoored library loaded into SSHD (CVE-2024-3094); Create Disallowed Pod
    """,
}
RULES: dict[str, IoC] = {
    " ".join(name.split()).casefold(): ioc for ioc, names in _NAMES.items() for name in names.split(";") if name.strip()
}
_TAGS: tuple[tuple[IoC, re.Pattern[str]], ...] = (
    (IoC.RESOURCE_SPIKE, re.compile(r"t1496(?:\.\d+)?|cryptomining|mitre_impact_resource_hijacking")),
    (IoC.OUTBOUND_TRAFFIC, re.compile(r"mitre_(?:exfiltration|command_and_control)|ta0010|ta0011|t104[18](?:\.\d+)?")),
    (IoC.CLUSTER_ADMIN, re.compile(r"mitre_privilege_escalation|t1611|t1068|ta0004")),
    (IoC.USER_ACTIVITY, re.compile(r"shell|users|t1098(?:\.\d+)?|t1059(?:\.\d+)?|mitre_credential_access")),
    (IoC.FILESYSTEM_CHANGE, re.compile(r"filesystem|file_integrity")),
    (IoC.UNKNOWN_BINARY, re.compile(r"process")),
    (IoC.OUTBOUND_TRAFFIC, re.compile(r"network")),
)
"""The first that matches: a tag of what is done says more than one of where."""
_OWN = re.compile(r"ioc[-_]?(10|[1-9])")
"""The tag that our own rules carry."""
_SEVERITIES = {
    "emergency": Severity.HIGH,
    "alert": Severity.HIGH,
    "critical": Severity.HIGH,
    "error": Severity.MEDIUM,
    "warning": Severity.MEDIUM,
}
_WRITES = re.compile(r"open|creat|write|rename|link|mkdir|chmod|unlink")


def indicator_of(alert: FalcoAlert) -> IoC | None:
    """The indicator that an alert shows; None where nothing tells."""
    by_field = _by_fields(alert)
    if by_field is not None:
        return by_field
    tags = [tag.casefold() for tag in sorted(alert.tags)]
    for tag in tags:
        own = _OWN.fullmatch(tag)
        if own is not None:
            return IoC(int(own[1]))
    by_name = RULES.get(" ".join(alert.rule.split()).casefold())
    if by_name is not None:
        return by_name
    return next((ioc for ioc, pattern in _TAGS if any(pattern.fullmatch(tag) for tag in tags)), None)


def _argv(alert: FalcoAlert) -> tuple[str, ...]:
    line = alert.field("proc.cmdline") or alert.field("ka.uri.param[command]")
    return tuple(line.split())


def _by_fields(alert: FalcoAlert) -> IoC | None:
    """What the process and the connection say, whatever the rule is called."""
    names = (alert.field("proc.name"), alert.field("proc.exepath"))
    if any(is_miner(name) for name in names if name):
        return IoC.RESOURCE_SPIKE
    found = {one.id for one in suspicions(_argv(alert))}
    if found & {"miner", "stratum"}:
        return IoC.RESOURCE_SPIKE
    return IoC.OUTBOUND_TRAFFIC if asks_metadata((alert.field("fd.rip"), alert.field("fd.name"))) else None


def severity_of(alert: FalcoAlert) -> Severity:
    """By Falco's priority, raised where the fields say that it is worse: a miner, a reverse shell, a critical path."""
    severity = _SEVERITIES.get(alert.priority, Severity.LOW)
    if suspicions(_argv(alert)) or is_miner(alert.field("proc.name")):
        return max(severity, Severity.HIGH)
    path = alert.field("fd.name")
    if path.startswith("/") and not alert.is_cut("fd.name") and _WRITES.search(alert.field("evt.type")):
        found = danger(path)
        if found is not None and found.relation == "is" and found.severity is Severity.CRITICAL:
            return max(severity, Severity.HIGH)
    return severity


def message_of(alert: FalcoAlert) -> str:
    """Who did what where, of the fields that are there; else what Falco wrote."""
    where = "/".join(filter(None, (alert.field("k8s.ns.name"), alert.field("k8s.pod.name"))))
    place = f"Pod {where}" if where else f"container {alert.field('container.id')}"
    if not where and alert.field("container.id") in ("", "host"):
        place = f"node {alert.hostname}" if alert.hostname else "an unknown place"
    target = alert.field("ka.target.name") or alert.field("ka.target.resource")
    if target:
        spaces = "/".join(filter(None, (alert.field("ka.target.namespace"), target)))
        place = f"{alert.field('ka.target.resource') or 'object'} {spaces}"
    command = alert.field("proc.cmdline") or alert.field("proc.name") or alert.field("ka.uri.param[command]")
    user = alert.field("ka.user.name") or alert.field("user.name")
    details = [f"user {user}" if user else "", f"command {command}" if command else "", _connection(alert)]
    said = ", ".join(filter(None, details))
    return f"{alert.rule or 'a rule without a name'} in {place}" + (f": {said}" if said else "")


def _connection(alert: FalcoAlert) -> str:
    if alert.field("fd.rip"):
        port = alert.field("fd.rport")
        return f"connection to {alert.field('fd.rip')}{f' port {port}' if port else ''}"
    name = alert.field("fd.name")
    return f"file {name}" if name.startswith("/") else f"connection {name}" if name else ""
