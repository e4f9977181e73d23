"""Workloads of all sorts, the same for the same seed: what repairs touch, beside what the API server ties to it."""

from __future__ import annotations

from random import Random
from typing import Any

Json = dict[str, Any]
KINDS = ("Pod", "Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob", "ReplicaSet")


def workload(seed: int, namespace: str, name: str) -> Json:
    """One workload; the API server may refuse it."""
    random = Random(seed)
    kind = random.choice(KINDS)
    is_windows = random.random() < 0.15
    spec, annotations = _windows(random) if is_windows else _linux(random)
    if kind in ("Job", "CronJob"):
        spec["restartPolicy"] = "Never"
    labels = {"app": name}
    template: Json = {"metadata": {"labels": labels, "annotations": annotations}, "spec": spec}
    metadata: Json = {"name": name, "namespace": namespace, "labels": labels}
    if kind == "Pod":
        return {"apiVersion": "v1", "kind": kind, "metadata": {**metadata, "annotations": annotations}, "spec": spec}
    if kind == "CronJob":
        body: Json = {"schedule": "0 0 1 1 *", "jobTemplate": {"spec": {"template": template}}}
    elif kind == "Job":
        body = {"suspend": True, "template": template}
    else:
        body = {"selector": {"matchLabels": labels}, "template": template}
        if kind != "DaemonSet":
            body["replicas"] = 0
        if kind == "StatefulSet":
            body["serviceName"] = name
    version = "batch/v1" if kind in ("Job", "CronJob") else "apps/v1"
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": body}


def _some(random: Random, **choices: Any) -> Json:
    """Some of these fields, each with one of its values."""
    return {name: random.choice(values) for name, values in choices.items() if random.random() < 0.35}


_PROFILES = [{"type": "Unconfined"}, {"type": "RuntimeDefault"}, {"type": "Localhost", "localhostProfile": "a.json"}]


def _linux(random: Random) -> tuple[Json, Json]:
    spec = _some(
        random,
        hostNetwork=[True, False],
        hostPID=[True],
        hostIPC=[True],
        shareProcessNamespace=[True],
        hostUsers=[False, True],
        nodeName=["node-1"],
        tolerations=[[{"operator": "Exists"}, {"key": "a", "operator": "Exists"}], [{"operator": "Exists"}]],
        automountServiceAccountToken=[True, False],
        serviceAccountName=["default"],
        dnsPolicy=["ClusterFirstWithHostNet", "Default"],
        os=[{"name": "linux"}],
    )
    if context := _some(
        random,
        runAsUser=[0, 1000],
        runAsNonRoot=[False, True],
        runAsGroup=[0, 1000],
        fsGroup=[0, 2000],
        seccompProfile=_PROFILES,
        appArmorProfile=[
            {**one} if one["type"] != "Localhost" else {**one, "localhostProfile": "a"} for one in _PROFILES
        ],
        seLinuxOptions=[{"type": "spc_t"}, {"user": "a", "role": "b"}, {"level": "s0:c1,c2"}],
        sysctls=[[{"name": "kernel.msgmax", "value": "1"}, {"name": "net.core.somaxconn", "value": "2"}]],
    ):
        spec["securityContext"] = context
    spec["volumes"] = [
        {"name": "host", "hostPath": {"path": random.choice(["/etc", "/srv/data", "/var/run/docker.sock"])}},
        {"name": "empty", "emptyDir": {}},
    ]
    spec["containers"] = [_container(random, f"c{number}") for number in range(random.choice([1, 1, 2]))]
    if random.random() < 0.3:
        spec["initContainers"] = [_container(random, "init")]
        if random.random() < 0.5:
            spec["initContainers"][0]["restartPolicy"] = "Always"
    annotations: Json = {}
    if random.random() < 0.15:
        annotations["container.apparmor.security.beta.kubernetes.io/c0"] = random.choice(["unconfined", "localhost/a"])
    if random.random() < 0.15:
        annotations["seccomp.security.alpha.kubernetes.io/pod"] = random.choice(["unconfined", "localhost/a.json"])
    return spec, annotations


def _container(random: Random, name: str) -> Json:
    context = _some(
        random,
        privileged=[True, True, False],
        allowPrivilegeEscalation=[True, False],
        readOnlyRootFilesystem=[False, True],
        runAsUser=[0, 1000],
        runAsNonRoot=[False, True],
        procMount=["Unmasked", "Default"],
        capabilities=[
            {"add": ["SYS_ADMIN"]},
            {"add": ["CAP_SYS_ADMIN", "CHOWN"]},
            {"add": ["ALL"], "drop": ["NET_RAW"]},
            {"drop": ["ALL"], "add": ["NET_ADMIN"]},
            {"drop": ["NET_RAW"]},
        ],
        seccompProfile=_PROFILES,
        appArmorProfile=[{"type": "Unconfined"}, {"type": "Localhost", "localhostProfile": "a"}],
        seLinuxOptions=[{"type": "spc_t"}, {"user": "a"}],
    )
    mount: Json = {"name": "host", "mountPath": "/host"} | _some(
        random,
        mountPropagation=["Bidirectional", "HostToContainer", "None"],
        readOnly=[True, False],
        subPath=["a"],
        recursiveReadOnly=["Enabled", "IfPossible", "Disabled"],
    )
    port: Json = {"containerPort": 80} | _some(random, hostPort=[80, 8080], hostIP=["127.0.0.1"], protocol=["UDP"])
    found: Json = {"name": name, "image": random.choice(["example.org/a:1", "example.org/a:latest"])} | _some(
        random,
        imagePullPolicy=["IfNotPresent", "Always", "Never"],
        tty=[True],
        stdin=[True],
        ports=[[port]],
        volumeMounts=[[mount], [mount, {"name": "empty", "mountPath": "/empty"}]],
        lifecycle=[{"preStop": {"httpGet": {"host": "example.org", "port": 80}}}],
        stdinOnce=[True],
    )
    if name != "init" and random.random() < 0.3:
        found["livenessProbe"] = {random.choice(["httpGet", "tcpSocket"]): {"host": "example.org", "port": 80}}
    if context:
        found["securityContext"] = context
    return found


def _windows(random: Random) -> tuple[Json, Json]:
    spec: Json = {"os": {"name": "windows"}, "hostNetwork": random.choice([True, True, False])}
    options = {"hostProcess": True, "runAsUserName": "NT AUTHORITY\\SYSTEM"}
    place = random.choice(["pod", "all", "none", "both"])
    if place in ("pod", "both"):
        spec["securityContext"] = {"windowsOptions": options}
    containers: list[Json] = [{"name": f"c{number}", "image": "example.org/w:1"} for number in range(2)]
    for one in containers:
        if place in ("all", "both"):
            one["securityContext"] = {"windowsOptions": {"hostProcess": True}}
        one |= _some(random, tty=[True], stdin=[True], ports=[[{"containerPort": 80, "hostPort": 80}]])
    return {**spec, "containers": containers}, {}
