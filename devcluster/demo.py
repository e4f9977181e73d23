"""``make demo``: the main job on a real local control plane, from bad objects to resolved findings."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import orjson

from devcluster import configuration
from devcluster.binaries import ensure_engines
from devcluster.controlplane import ControlPlane
from devcluster.errors import ControlPlaneError
from devcluster.local_webhook import LocalWebhook
from devcluster.ports import free_port
from devcluster.supervisor import ProcessSupervisor
from iocaudit.engine.languages.toolchain.console import ConsoleProgress

_ROOT = Path(__file__).parent.parent
_IMAGE = "hooli.com/shop/web:1.4"

POLICY: dict[str, Any] = {
    "apiVersion": "iocaudit.io/v1alpha1",
    "kind": "AuditPolicy",
    "metadata": {"name": "trusted-registries"},
    "spec": {
        "priority": 10,
        "checks": [{"ids": ["untrusted-registry"], "mode": "warn", "parameters": {"trusted": ["hooli.com/"]}}],
    },
}

RULE: dict[str, Any] = {
    "apiVersion": "iocaudit.io/v1alpha1",
    "kind": "AuditPolicy",
    "metadata": {"name": "image-registry"},
    "spec": {
        "match": {"namespaces": ["lab"]},
        "rules": [
            {
                "name": "image-registry",
                "kinds": ["Pod"],
                "mode": "deny",
                "rego": {
                    "module": """package kubernetes.admission

deny[msg] {
    input.request.kind.kind == "Pod"
    image := input.request.object.spec.containers[_].image
    not startswith(image, "hooli.com/")
    msg := sprintf("image %q comes from an untrusted registry", [image])
}
"""
                },
            }
        ],
    },
}
"""The rule that many who write Rego know, in the syntax that it is mostly written in."""


def _guard(namespace: str) -> dict[str, Any]:
    """Preset guard for one namespace, and for what is in none."""
    match = {"namespaces": [namespace], "clusterScoped": True}
    return {
        "apiVersion": "iocaudit.io/v1alpha1",
        "kind": "AuditPolicy",
        "metadata": {"name": f"guard-{namespace}"},
        "spec": {"priority": 10, "preset": "guard", "match": match},
    }


_ROLLED_OUT = "guard-apps"


def _rolled_out(*namespaces: str) -> dict[str, Any]:
    """Preset guard for some namespaces, once it is known to deny nothing that goes on there."""
    return {
        "apiVersion": "iocaudit.io/v1alpha1",
        "kind": "AuditPolicy",
        "metadata": {"name": _ROLLED_OUT},
        "spec": {
            "priority": 20,
            "preset": "guard",
            "match": {"namespaces": list(namespaces)},
            "rollout": {"from": "warn", "to": "deny", "after": "4s"},
        },
    }


def _object(kind: str, name: str, spec: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    versions = {"Deployment": "apps/v1", "Ingress": "networking.k8s.io/v1", "NetworkPolicy": "networking.k8s.io/v1"}
    body: dict[str, Any] = {
        "apiVersion": versions.get(kind, "v1"),
        "kind": kind,
        "metadata": {"name": name, "namespace": "shop"},
    }
    if spec is not None:
        body["spec"] = spec
    return body | more


def _pod_spec(image: str = _IMAGE, **more: Any) -> dict[str, Any]:
    container: dict[str, Any] = {"name": "app", "image": image, **more.pop("container", {})}
    return {"containers": [container], **more}


def _deployment(name: str, pod: dict[str, Any]) -> dict[str, Any]:
    template = {"metadata": {"labels": {"app": name}}, "spec": pod}
    # No kubelet makes pods ready here, so a rolling update would wait for ever.
    strategy = {"type": "Recreate"}
    spec = {"selector": {"matchLabels": {"app": name}}, "strategy": strategy, "template": template}
    return _object("Deployment", name, spec)


AUDIT_POLICY: dict[str, Any] = {
    **configuration.AUDIT_POLICY,
    "rules": [
        {
            "level": "RequestResponse",
            "verbs": ["create", "update", "patch"],
            "resources": [
                {"group": "", "resources": ["pods"]},
                {"group": "apps"},
                {"group": "rbac.authorization.k8s.io"},
            ],
        },
        *configuration.AUDIT_POLICY["rules"],
    ],
}
"""As it is, with the objects that policies judge: what a policy would have denied can be asked of such a log."""
PRIVILEGED: dict[str, Any] = {"securityContext": {"privileged": True}}
_PROBE = _object("Pod", "probe", _pod_spec(container=PRIVILEGED))
_FAILURE_POLICIES = 'jsonpath={range .webhooks[*]}{.name}{": "}{.failurePolicy}{"\\n"}{end}'


class Demo:
    """One run. Fails with a message where a step does not do what it should."""

    def __init__(self, cluster: ControlPlane, folder: Path) -> None:
        self.cluster = cluster
        self.folder = folder
        self.certificates = folder / "certificates"
        self.certificates.mkdir(parents=True)
        self.attempts_port = free_port()
        attempts_url = f"https://127.0.0.1:{self.attempts_port}"
        self.webhook = LocalWebhook(
            cluster, folder / "webhook", certificates=self.certificates, attempts_url=attempts_url
        )
        processes = folder / "operator"
        processes.mkdir(parents=True)
        self.operator = ProcessSupervisor(processes)
        self.operator_log = folder / "operator.log"

    def run(self) -> None:
        self.before()
        self.install()
        self.warnings()
        self.impact()
        self.denials()
        self.rule()
        self.rollout()
        self.findings()
        self.fix()

    def before(self) -> None:
        say("Before the install: a namespace with bad objects that run already")
        self.kubectl("create", "namespace", "shop")
        self.kubectl("create", "namespace", "lab", quiet=True)
        self.kubectl("create", "namespace", "pay", quiet=True)
        self.apply(_deployment("legacy", _pod_spec(container=PRIVILEGED)))
        backend = {"service": {"name": "web", "port": {"number": 80}}}
        self.apply(_object("Ingress", "web", {"ingressClassName": "nginx", "defaultBackend": backend}))

    def install(self) -> None:
        say("Install: CRDs, the webhook, the operator")
        for crd in sorted((_ROOT / "manifests/crds").glob("*.yaml")):
            self.kubectl("apply", "-f", str(crd), quiet=True)
        self.kubectl("create", "namespace", "iocaudit", quiet=True)
        self.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s", quiet=True)
        self.kubectl("apply", "-f", str(_ROOT / "manifests/base/default-policy.yaml"))
        self.apply(POLICY)
        command = [
            sys.executable,
            "-m",
            "iocaudit.cli",
            "operator",
            f"--kubeconfig={self.cluster.kubeconfig}",
            "--namespace=iocaudit",
            "--period=20",
            "--health-host=127.0.0.1",
            f"--health-port={free_port()}",
            "--metrics-host=127.0.0.1",
            f"--metrics-port={free_port()}",
            "--attempts-host=127.0.0.1",
            f"--attempts-port={self.attempts_port}",
            f"--webhook-url={self.webhook.url}",
            f"--certificate-folder={self.certificates}",
        ]
        environment = {**os.environ, "PYTHONPATH": str(_ROOT)}
        self.operator.start("operator", command, self.operator_log, environment)
        # In a cluster the kubelet mounts the certificate; the operator registers the webhook once it answers.
        self.webhook.start()
        self.wait(lambda: "privileged-container" in self.tried(_PROBE), "the API server to call the webhook")

    def warnings(self) -> None:
        say("Preset warn, the default: a privileged pod is warned about, and nothing is denied")
        said = self.kubectl("apply", "-f", "-", input=_object("Pod", "first", _pod_spec(container=PRIVILEGED)))
        if "privileged-container" not in said:
            raise ControlPlaneError("the privileged pod was not warned about")
        self.kubectl("get", "validatingwebhookconfiguration", "iocaudit", "-o", _FAILURE_POLICIES)

    def impact(self) -> None:
        say("Before anything is denied: whom would preset guard have denied, of all that went on so far?")
        policy = self.folder / "guard-shop.json"
        policy.write_bytes(orjson.dumps(_guard("shop")))
        arguments = ["policy", "impact", f"--policy={policy}", f"--audit-log={self.cluster.audit_log}", "-n", "shop"]
        print("  $ iocaudit policy impact --policy guard-shop.json --audit-log audit.log -n shop")
        command = [sys.executable, "-m", "iocaudit.cli", *arguments]
        environment = {**os.environ, "PYTHONPATH": str(_ROOT)}
        told = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        print(textwrap.indent((told.stdout + told.stderr).rstrip(), "    "))
        if told.returncode != 1 or "Deployment/legacy" not in told.stdout or "Pod/first" not in told.stdout:
            raise ControlPlaneError("policy impact should have told of Deployment legacy and Pod first")

    def denials(self) -> None:
        say("Preset guard for namespace shop: what hands over a node or the cluster is denied there")
        self.apply(_guard("shop"))
        # The webhook denies as soon as it knows the policy, by whichever registration; by this one it fails closed.
        self.wait(lambda: '"deny.iocaudit.io" denied the request' in self.tried(_PROBE), "preset guard to be in force")
        self.expect_denied(_object("Pod", "miner", _pod_spec(container=PRIVILEGED)))
        say("In namespace lab the same is still warned about")
        body = _object("Pod", "miner", _pod_spec(container=PRIVILEGED))
        body["metadata"]["namespace"] = "lab"
        self.apply(body)
        say("The node's /etc mounted at /mnt/etc")
        mounts = {"volumeMounts": [{"name": "etc", "mountPath": "/mnt/etc"}]}
        volumes = [{"name": "etc", "hostPath": {"path": "/etc"}}]
        self.expect_denied(_object("Pod", "reader", _pod_spec(container=mounts, volumes=volumes)))
        say("An image from elsewhere: the demo's policy warns")
        said = self.kubectl("apply", "-f", "-", input=_object("Pod", "stranger", _pod_spec("hooli.com.evil.io/web:1")))
        if "untrusted-registry" not in said:
            raise ControlPlaneError("the untrusted image was not warned about")
        say("A binding to cluster-admin")
        binding = {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "ops"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "mallory"}],
        }
        self.expect_denied(binding)
        say("What was denied is on record: who tried what")
        self.wait(lambda: self.listed().count("Denied") >= 2, "the denied attempts in namespace shop")
        self.wait(lambda: "Denied" in self.quiet("get", "clusteriocfindings"), "the denied binding's finding")
        shown = {"NAMESPACE": "metadata.namespace"} | {
            name: f"finding.{field}"
            for name, field in (("USER", "user"), ("TARGET", "target"), ("CHECK", "check"), ("COUNT", "count"))
        }
        columns = ",".join(f"{name}:.{path}" for name, path in shown.items())
        denied = "--field-selector=finding.state=Denied"
        self.kubectl("get", "iocfindings,clusteriocfindings", "-A", denied, "-o", f"custom-columns={columns}")

    def rule(self) -> None:
        say("A rule of our own, in Rego, on an OPA that the webhook starts: namespace lab denies other registries")
        self.apply(RULE)
        print(textwrap.indent(RULE["spec"]["rules"][0]["rego"]["module"].rstrip(), "    "))
        body = _object("Pod", "outsider", _pod_spec("hooli.com.evil.io/web:1"))
        body["metadata"]["namespace"] = "lab"
        by = '"deny.iocaudit.io" denied the request: [high] rego-image-registry'
        self.wait(lambda: by in self.tried(body), "the rule to be in force")
        self.expect_denied(body)

    def findings(self) -> None:
        say("What was there before")
        for check in ("privileged-container", "no-rate-limit", "namespace-without-default-deny"):
            self.wait(partial(self.is_listed, check), f"a finding of {check}")
        self.kubectl("get", "iocfindings", "-A", "--sort-by=.finding.rank")
        say("One line a namespace, as of the last sweep")
        self.wait(lambda: "shop" in self.quiet("get", "auditreports", "-A"), "a report of namespace shop")
        self.kubectl("get", "auditreports", "-A")

    def rollout(self) -> None:
        say("Preset guard for other namespaces by stages: in force once nothing would have been denied for 4 seconds")
        self.apply(_rolled_out("pay", "lab"))
        self.wait(lambda: self.stage("stage") == "Counting", "the rollout to begin")
        body = _object("Pod", "late", _pod_spec(container=PRIVILEGED))
        body["metadata"]["namespace"] = "lab"
        self.apply(body)
        self.wait(lambda: self.stage("stage") == "Promoted", "the promotion")
        self.kubectl("get", "auditpolicy", _ROLLED_OUT)
        print(textwrap.indent(self.stage("reason"), "    "))
        body = _object("Pod", "miner", _pod_spec(container=PRIVILEGED))
        body["metadata"]["namespace"] = "pay"
        self.wait(lambda: '"deny.iocaudit.io" denied the request' in self.tried(body), "namespace pay to be guarded")
        self.expect_denied(body)

    def stage(self, field: str) -> str:
        """What the status of the policy under rollout says."""
        return self.quiet("get", "auditpolicy", _ROLLED_OUT, "-o", f"jsonpath={{.status.rollout.{field}}}")

    def fix(self) -> None:
        say("Fix the old Deployment: its finding becomes Resolved")
        self.apply(_deployment("legacy", _pod_spec(container={"securityContext": {"privileged": False}})))
        self.wait(
            lambda: any("privileged-container" in line and "Resolved" in line for line in self.listed().splitlines()),
            "the finding to become Resolved",
        )
        for line in self.listed().splitlines():
            if "privileged-container" in line:
                print(f"    {line}")

    # -- helpers ------------------------------------------------------------------------------------------

    def listed(self) -> str:
        return self.quiet("get", "iocfindings", "-n", "shop")

    def is_listed(self, check: str) -> bool:
        return check in self.listed()

    def quiet(self, *arguments: str) -> str:
        return self.cluster.kubectl(*arguments, check=False).stdout

    def kubectl(self, *arguments: str, input: dict[str, Any] | None = None, quiet: bool = False) -> str:
        text = orjson.dumps(input).decode() if input is not None else None
        if not quiet:
            print(f"  $ kubectl {' '.join(arguments)}")
        result = self.cluster.kubectl(*arguments, input=text, check=False)
        output = result.stdout + result.stderr
        if not quiet:
            print(textwrap.indent(output.rstrip(), "    "))
        if result.returncode != 0:
            raise ControlPlaneError(f"kubectl {' '.join(arguments)} failed: {output}")
        return output

    def apply(self, body: dict[str, Any]) -> None:
        self.kubectl("apply", "-f", "-", input=body)

    def tried(self, body: dict[str, Any]) -> str:
        """What is said to an apply that is only tried."""
        text = orjson.dumps(body).decode()
        return self.cluster.kubectl("apply", "-f", "-", "--dry-run=server", input=text, check=False).stderr

    def expect_denied(self, body: dict[str, Any]) -> None:
        name = f"{body['kind']}/{body['metadata']['name']}"
        print(f"  $ kubectl apply -f -    # {name}")
        result = self.cluster.kubectl("apply", "-f", "-", input=orjson.dumps(body).decode(), check=False)
        print(textwrap.indent((result.stdout + result.stderr).rstrip(), "    "))
        if result.returncode == 0 or "deny.iocaudit.io" not in result.stderr:
            raise ControlPlaneError(f"{name} should have been denied by deny.iocaudit.io")

    def wait(self, condition: Callable[[], bool], what: str, seconds: float = 60.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                tail = self.operator_log.read_text("utf-8")[-1500:] if self.operator_log.exists() else ""
                raise ControlPlaneError(f"waited {seconds:.0f} s for {what}; the operator's log:\n{tail}")
            time.sleep(0.3)

    def close(self) -> None:
        self.operator.end(3.0)
        self.webhook.close()


def say(text: str) -> None:
    print(f"\n== {text}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave everything running until Ctrl-C")
    options = parser.parse_args()
    ensure_engines(ConsoleProgress())
    started = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="iocaudit-demo-") as folder,
        ControlPlane(audit_policy=AUDIT_POLICY) as cluster,
    ):
        say(f"A Kubernetes control plane is up ({time.monotonic() - started:.0f} s)")
        demo = Demo(cluster, Path(folder))
        try:
            demo.run()
            say(f"Done in {time.monotonic() - started:.0f} s")
            if options.keep:
                print(f"  export KUBECONFIG={cluster.kubeconfig}\n  Ctrl-C ends it.", flush=True)
                try:
                    while True:
                        time.sleep(3600)
                except KeyboardInterrupt:
                    print("cleaning up")
        except ControlPlaneError as error:
            print(f"\nthe demo failed: {error}", file=sys.stderr)
            return 1
        finally:
            demo.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
