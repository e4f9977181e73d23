"""Random pods on a real API server: the CEL of each exported check finds just what the check finds."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
import yaml

from devcluster.controlplane import ControlPlane
from iocaudit.core.request import Operation, Request
from iocaudit.core.resource import ADMISSION, Resource
from iocaudit.core.world import World
from iocaudit.engine.audit import Auditor
from iocaudit.engine.posture import judge
from iocaudit.install.vap.translations import TRANSLATIONS
from iocaudit.knowledge.host_places import PUBLIC_FILES, SENSITIVE
from tests.cluster.exported import CATALOGUE, Asker, exported, install, policies_of

Json = dict[str, Any]
PODS = 400
TRUSTED = [
    "hooli.com/",
    "docker.io/library/",
    "acme/",
    "*.gcr.io/team-*/",
    "ghcr.io/acme/app:1.*",
    "registry:5000",
    "ubuntu:22.04",
]
DENIED = ["docker.io/acme/bad", "hooli.com/old:1", "quay.io"]
PARAMETERS: list[dict[str, Json]] = [
    {"untrusted-registry": {"trusted": TRUSTED}},
    {
        "untrusted-registry": {"trusted": TRUSTED, "denied": DENIED},
        "sensitive-host-path": {"allowed": ["/var/log", {"pathPrefix": "/etc/ssl", "readOnly": True}]},
        "host-path-mount": {
            "allowed": ["/data", {"pathPrefix": "/etc/ssl", "readOnly": True}],
            "readOnlyRequired": True,
        },
        "capability-beyond-baseline": {"allowed": ["CHOWN", "cap_kill"]},
        "host-port": {"allowed": [{"min": 80, "max": 90}]},
        "seccomp-unconfined": {"allowedProfiles": ["RuntimeDefault", "localhost/a*"]},
        "apparmor-unconfined": {"allowedProfiles": ["localhost/a*"]},
        "unsafe-sysctl": {"allowed": ["kernel.*"], "forbidden": ["kernel.msg*"]},
        "selinux-custom": {"allowed": [{"type": "a_t", "level": "s0"}, {"user": "u"}]},
        "runs-as-root": {"groups": True},
        "unmasked-proc": {"userNamespaces": False},
    },
    {
        "untrusted-registry": {"denied": DENIED},
        **{
            name: {"exemptImages": ["hooli.com/", "nginx"]}
            for name in TRANSLATIONS
            if name not in ("untrusted-registry",)
        },
    },
]
"""Of each namespace."""


def namespaces() -> list[str]:
    return [f"ns-{at}" for at in range(len(PARAMETERS))]


def specs() -> list[Json]:
    found = []
    for name, parameters in zip(namespaces(), PARAMETERS, strict=True):
        rules = [
            {"ids": [check], "mode": "deny", **({"parameters": parameters[check]} if check in parameters else {})}
            for check in TRANSLATIONS
        ]
        found.append({"match": {"namespaces": [name]}, "checks": rules})
    return found


class Draw:
    """Draws pods that an API server takes, mostly harmless in each part so that every part is told apart."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def one_of(self, *values: Any) -> Any:
        return self._random.choice(values)

    def maybe(self, chance: float) -> bool:
        return self._random.random() < chance

    def image(self) -> str:
        host = self.one_of(
            "", "", "hooli.com/", "HOOLI.com/", "hooli.com:443/", "hooli.com:8443/", "hooli.com.evil.io/", "docker.io/",
            "index.docker.io/", "quay.io/", "quay.io:99/", "eu.gcr.io/", "gcr.io/", "ghcr.io/", "registry:5000/",
            "localhost/", "docker.io:443/",
        )  # fmt: skip
        path = self.one_of(
            "nginx", "library/nginx", "acme/app", "acme/bad", "acme/bad/x", "acme/app/x", "team-a/x", "team-/x", "old",
            "ubuntu", "acme", "acmeevil/x", "foo.bar/x", "a__b/c-d", "Upper/x", "localhost/x", "f" * 64,
        )  # fmt: skip
        version = self.one_of(
            "", "", ":1", ":1.2", ":22.04", ":latest", ":-", "@sha256:" + "a" * 64, ":1@sha256:" + "b" * 64, "@sha256:a"
        )
        return f"{host}{path}{version}"

    def path(self) -> str:
        base = self.one_of(
            *SENSITIVE, *sorted(PUBLIC_FILES), "/data", "/data/x", "/srv", "/etc/ssl", "/var/lib", "/opt"
        )
        text = str(base)
        if text.startswith("/") and not text.startswith("//"):
            if self.maybe(0.2):
                text = text.replace("/run", "/var/run", 1)
            if self.maybe(0.2):
                text += self.one_of("/x", "/.ssh", "/sda", "/docker.sock", "x", "/root", "/.aws/x")
            if self.maybe(0.2):
                text = self.one_of("/proc/1/root", "/proc/self/root", "/proc/1/task/2/root", "/proc/1/cwd") + text
            if self.maybe(0.1):
                text = text.removeprefix("/usr") or "/usr"
            if self.maybe(0.3):
                text = text.replace("/", self.one_of("//", "/./"), 1) + self.one_of("", "/", "/.")
        elif self.maybe(0.5):
            text = self.one_of(
                text.replace("/", "\\"), text.upper(), text + "\\x", text.removeprefix("c:").replace("/", "\\")
            )
        return text or "/"

    def context(self, of_pod: bool) -> Json:
        found: Json = {}
        if self.maybe(0.3):
            found["runAsUser"] = self.one_of(0, 1000)
        if self.maybe(0.2):
            found["runAsGroup"] = self.one_of(0, 1000)
        if self.maybe(0.2):
            found["runAsNonRoot"] = self.one_of(True, False)
        if self.maybe(0.2):
            kind = self.one_of("Unconfined", "RuntimeDefault", "Localhost")
            found["seccompProfile"] = {
                "type": kind,
                **({"localhostProfile": self.one_of("a", "b")} if kind == "Localhost" else {}),
            }
        if self.maybe(0.2):
            kind = self.one_of("Unconfined", "RuntimeDefault", "Localhost")
            found["appArmorProfile"] = {
                "type": kind,
                **({"localhostProfile": self.one_of("a", "b")} if kind == "Localhost" else {}),
            }
        if self.maybe(0.2):
            fields = {
                "type": ("a_t", "container_t", "spc_t"),
                "user": ("u", "v"),
                "role": ("r",),
                "level": ("s0", "s1"),
            }
            found["seLinuxOptions"] = {name: self.one_of(*values) for name, values in fields.items() if self.maybe(0.4)}
        if of_pod:
            if self.maybe(0.2):
                found["fsGroup"] = self.one_of(0, 1)
            if self.maybe(0.2):
                found["supplementalGroups"] = [1, self.one_of(0, 2)]
            if self.maybe(0.3):
                found["sysctls"] = [
                    {
                        "name": self.one_of(
                            "kernel.msgmax",
                            "kernel/shm_rmid_forced",
                            "net.ipv4.tcp_syncookies",
                            "net/ipv4/tcp_rmem",
                            "fs.mqueue.x",
                        ),
                        "value": self.one_of("1", "1+kernel.core_pattern=x", "a=b"),
                    }
                ]
        else:
            if self.maybe(0.4):
                names = (
                    "CHOWN",
                    "KILL",
                    "cap_kill",
                    "CAP_SYS_ADMIN",
                    "sys_ptrace",
                    "NET_ADMIN",
                    "NET_RAW",
                    "ALL",
                    "bpf",
                )
                found["capabilities"] = {"add": [self.one_of(*names) for _ in range(self.one_of(1, 2))]}
            if self.maybe(0.3):
                found["allowPrivilegeEscalation"] = self.one_of(True, False)
            if self.maybe(0.15):
                found["privileged"] = self.one_of(True, False)
            if found.get("privileged") or "CAP_SYS_ADMIN" in found.get("capabilities", {}).get("add", []):
                found.pop("allowPrivilegeEscalation", None)
        return found

    def container(self, name: str, volumes: list[str]) -> Json:
        found: Json = {"name": name, "image": self.image()}
        if self.maybe(0.8):
            found["securityContext"] = self.context(of_pod=False)
        if self.maybe(0.3):
            found["ports"] = [{"containerPort": 80, **({"hostPort": self.one_of(80, 99)} if self.maybe(0.5) else {})}]
        chosen = [one for one in volumes if self.maybe(0.6)]
        if chosen:
            found["volumeMounts"] = [
                {"name": one, "mountPath": f"/m/{one}", **({"readOnly": True} if self.maybe(0.5) else {})}
                for one in chosen
            ]
        return found

    def pod(self, namespace: str, name: str) -> Json:
        spec: Json = {}
        volumes: list[Json] = []
        for at in range(self.one_of(0, 1, 2)):
            source: Json = {"hostPath": {"path": self.path()}} if self.maybe(0.8) else {"emptyDir": {}}
            volumes.append({"name": f"v{at}", **source})
        if volumes:
            spec["volumes"] = volumes
        names = [one["name"] for one in volumes]
        spec["containers"] = [self.container(f"c{at}", names) for at in range(self.one_of(1, 1, 2))]
        if self.maybe(0.3):
            spec["initContainers"] = [self.container("init", names)]
        if self.maybe(0.7):
            spec["securityContext"] = self.context(of_pod=True)
        for field, chance in (("hostPID", 0.2), ("hostIPC", 0.1), ("hostNetwork", 0.15)):
            if self.maybe(chance):
                spec[field] = True
        if self.maybe(0.15) and not any(spec.get(one) for one in ("hostPID", "hostIPC", "hostNetwork")):
            spec["hostUsers"] = False
            if self.maybe(0.7):
                spec["containers"][0].setdefault("securityContext", {})["procMount"] = self.one_of(
                    "Unmasked", "Default"
                )
        metadata: Json = {"name": name, "namespace": namespace}
        if self.maybe(0.2):
            key = self.one_of(
                "container.apparmor.security.beta.kubernetes.io/", "container.seccomp.security.alpha.kubernetes.io/"
            )
            metadata["annotations"] = {
                f"{key}{self.one_of('c0', 'c9')}": self.one_of(
                    "unconfined", "runtime/default", "localhost/a", "localhost/b"
                )
            }
        elif self.maybe(0.1):
            metadata["annotations"] = {
                "seccomp.security.alpha.kubernetes.io/pod": self.one_of("unconfined", "localhost/b", "docker/default")
            }
        elif self.maybe(0.1):
            metadata["annotations"] = {
                "security.alpha.kubernetes.io/sysctls": self.one_of(
                    "kernel.msgmax=1", "net/ipv4/tcp_syncookies=1, kernel.shm_rmid_forced=1", "a=b=c"
                )
            }
        return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}

    def windows(self, namespace: str, name: str) -> Json:
        """A pod of Windows: it takes other fields."""
        options = {"runAsUserName": self.one_of("ContainerAdministrator", "NT AUTHORITY\\SYSTEM", "ContainerUser")}
        process = {"hostProcess": True} if self.maybe(0.3) else {}
        spec: Json = {
            "os": {"name": "windows"},
            "containers": [{"name": "c0", "image": self.image()}],
            "securityContext": {"windowsOptions": {**(options if self.maybe(0.5) or process else {}), **process}},
        }
        if process:
            spec["hostNetwork"] = True
        elif self.maybe(0.5):
            spec["containers"][0]["securityContext"] = {"windowsOptions": options}
        return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace}, "spec": spec}


@pytest.fixture(scope="module")
def open_api() -> Iterator[ControlPlane]:
    with ControlPlane(apiserver_args=["--disable-admission-plugins=ServiceAccount,Priority"]) as cluster:
        yield cluster


def test_random_pods_are_judged_as_the_checks_judge_them(open_api: ControlPlane) -> None:
    policies = policies_of(*specs())
    auditor = Auditor(CATALOGUE, policies, World())
    draw = Draw(20261201)
    pods = []
    for at in range(PODS):
        make = draw.windows if at % 8 == 0 else draw.pod
        pods.append(make(draw.one_of(*namespaces()), f"pod-{at}"))
    for name in namespaces():
        open_api.kubectl("create", "namespace", name)
    install(open_api, exported(policies).objects, warn=True)
    asker = Asker(open_api)
    answers = asker.all([partial(asker.create, one) for one in pods])
    found: Counter[str] = Counter()
    clean: Counter[str] = Counter()
    wrong = []
    refused: Counter[str] = Counter()
    for raw, said in zip(pods, answers, strict=True):
        if said.status >= 300:
            refused[said.message.partition(": ")[2][:160]] += 1
            continue
        request = Request(Operation.CREATE, "somebody", ())
        resource = Resource(said.body, ADMISSION)
        verdict = judge(auditor.audit(resource, request=request), auditor.settings_for(resource, request), request)
        denied = frozenset(one.check for one in verdict.denials) & TRANSLATIONS.keys()
        found.update(said.checks)
        clean.update(TRANSLATIONS.keys() - said.checks)
        if denied != said.checks:
            wrong.append((sorted(said.checks - denied), sorted(denied - said.checks), json.dumps(raw)))
    print(found, refused.most_common(5))
    assert not wrong, "\n".join(map(str, wrong[:8]))
    assert sum(refused.values()) < PODS // 2, refused.most_common(5)
    assert {name for name in TRANSLATIONS if not found[name]} == set(), "not drawn"
    assert {name for name in TRANSLATIONS if not clean[name]} == set(), "always bad"


def test_every_message_names_object_value_and_fix(open_api: ControlPlane) -> None:
    """The documented bad example of each check, in a namespace where that check alone denies."""
    given = {"untrusted-registry": {"trusted": ["hooli.com/"]}}
    rules = [{"ids": [name], "mode": "deny", "parameters": given.get(name, {})} for name in TRANSLATIONS]
    names = [f"only-{name}" for name in TRANSLATIONS]
    policies = policies_of(
        *({"match": {"namespaces": [name]}, "checks": [rule]} for name, rule in zip(names, rules, strict=True))
    )
    for name in names:
        open_api.kubectl("create", "namespace", name)
    install(open_api, exported(policies).objects)
    asker = Asker(open_api)
    for check, namespace in zip(TRANSLATIONS, names, strict=True):
        found = CATALOGUE.find(check)
        assert found is not None
        raw = yaml.safe_load(found.doc.bad)
        raw["metadata"]["namespace"] = namespace
        if check == "unmasked-proc":
            continue  # an API server takes it in a user namespace of the pod's own alone, where it is not a hit
        said = asker.create(raw)
        assert said.status == 403, (check, said.message)
        assert f"Pod {namespace}/{raw['metadata']['name']}: " in said.message, said.message
        assert said.message.endswith(f"({check})"), said.message
        assert found.doc.fix.splitlines()[0][:30] in said.message, said.message
        assert "spec." in said.message or "annotation" in said.message, said.message
        print(said.message.partition("denied request: ")[2])
        good = yaml.safe_load(found.doc.good)
        good["metadata"]["namespace"] = namespace
        assert asker.create(good).status == 201, check
