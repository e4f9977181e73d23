"""The manifests hold together, follow from the catalogue, pass our own scan, and come with the wheel."""

import json
import re
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from admission.options import WebhookOptions
from devcluster.generate import generate, with_checks
from iocaudit import __version__
from iocaudit.cli.manifests_command import _DETECTIONS
from iocaudit.cli.manifests_command import command as manifests_command
from iocaudit.cli.receivers_command import command as receivers_command
from iocaudit.cli.scan_command import command as scan_command
from iocaudit.cli.webhook_command import command as webhook_command
from iocaudit.controller.metrics import OperatorMetrics
from iocaudit.controller.options import OperatorOptions
from iocaudit.controller.rollout_metrics import RolloutMetrics
from iocaudit.core.kinds import NAMESPACE
from iocaudit.core.own_names import RECEIVERS, SERVING_SECRET
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.engine.languages.rule import Language
from iocaudit.engine.policy_reader import read_policy
from iocaudit.engine.policy_set import PolicySet
from iocaudit.engine.presets import Preset
from iocaudit.evidence.metrics import EvidenceMetrics as OperatorAttempts
from iocaudit.evidence.reporter import ReporterMetrics as AdmissionAttempts
from iocaudit.install.rbac import cluster_roles
from iocaudit.install.webhook_configuration import WebhookTarget
from iocaudit.install.webhook_configuration import configuration as configuration_of
from iocaudit.knowledge.quantity import Quantity
from iocaudit.serving.authority import Names
from iocaudit.serving.metrics import CertificateMetrics, ConnectionMetrics, PartCollector, WatchMetrics, new_registry
from iocaudit.serving.rotation import first_state
from iocaudit.serving.rule_metrics import RuleMetrics
from iocaudit.supervision.supervisor import Supervisor

ROOT = Path(__file__).parents[3]
MANIFESTS = ROOT / "manifests"
CATALOGUE = builtin_catalogue()
Json = dict[str, Any]
PROCESSES = ("iocaudit-admission", "iocaudit-operator")


def printed(*args: str) -> list[Json]:
    result = CliRunner().invoke(manifests_command, args, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return [document for document in yaml.safe_load_all(result.stdout) if document]


def one(kind: str, name: str) -> Json:
    (found,) = [d for d in printed() if (d["kind"], d["metadata"]["name"]) == (kind, name)]
    return found


def pod(name: str) -> Json:
    template: Json = one("Deployment", name)["spec"]["template"]
    return template


def ports(name: str) -> dict[str, int]:
    return {p["name"]: p["containerPort"] for p in pod(name)["spec"]["containers"][0]["ports"]}


def scan(*args: str, text: str | None = None) -> Result:
    return CliRunner().invoke(scan_command, ["--profile", "strict", *args], input=text, standalone_mode=False)


def test_prints_every_manifest_once_definitions_first() -> None:
    kinds = [document["kind"] for document in printed()]
    assert kinds[:9] == ["CustomResourceDefinition"] * 8 + ["Namespace"]
    kustomization = yaml.safe_load((MANIFESTS / "kustomization.yaml").read_text(encoding="utf-8"))
    # The command prints the files as they are: a patch here would make it differ from `kubectl apply -k`.
    assert set(kustomization) == {"apiVersion", "kind", "resources"}
    files = {str(p.relative_to(MANIFESTS)) for folder in ("crds", "base") for p in (MANIFESTS / folder).iterdir()}
    assert sorted(kustomization["resources"]) == sorted(files)


def test_everything_lies_in_one_namespace_that_is_restricted() -> None:
    (namespace,) = [d for d in printed() if d["kind"] == "Namespace"]
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    used = {d["metadata"]["namespace"] for d in printed() if "namespace" in d["metadata"]}
    used |= {s["namespace"] for d in printed() for s in d.get("subjects", [])}
    # Events about objects outside namespaces have to be in `default`: the Role for those, and its binding.
    assert used == {namespace["metadata"]["name"], "default"}
    elsewhere = [d["kind"] for d in printed() if d["metadata"].get("namespace") == "default"]
    assert elsewhere == ["Role", "RoleBinding"]


def test_pass_our_own_scan_in_profile_strict(tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    trusted = {"ids": ["untrusted-registry"], "parameters": {"trusted": ["ghcr.io/iocaudit/"]}}
    policy.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "iocaudit.io/v1alpha1",
                "kind": "AuditPolicy",
                "metadata": {"name": "ours"},
                "spec": {"checks": [trusted]},
            }
        ),
        encoding="utf-8",
    )
    options = ("-o", "json", "--fail-on", "medium", "--policy", str(policy))
    clean = scan(*options, "--require-complete", "-", text=yaml.safe_dump_all(printed()))
    assert clean.return_value == 0, clean.output
    # And the scan does look: the same objects, one of them made bad.
    documents = printed()
    (deployment,) = [d for d in documents if (d["kind"], d["metadata"]["name"]) == ("Deployment", PROCESSES[0])]
    deployment["spec"]["template"]["spec"]["containers"][0]["securityContext"] = {"privileged": True}
    bad = scan(*options, "-", text=yaml.safe_dump_all(documents))
    assert bad.return_value == 1
    assert "privileged-container" in bad.stdout


def test_folder_passes_as_a_user_would_scan_it() -> None:
    result = scan("--fail-on", "medium", str(MANIFESTS))
    assert result.return_value == 0, result.output


def test_the_default_profile_has_nothing_to_say_of_our_install() -> None:
    result = CliRunner().invoke(
        scan_command, ["-o", "json", "-"], input=yaml.safe_dump_all(printed()), standalone_mode=False
    )
    report = json.loads(result.stdout)
    assert [f"{hit['check']}: {hit['message']}" for hit in report["findings"]] == []
    assert report["skipped"] == report["faults"] == []


@pytest.mark.parametrize("name", PROCESSES)
def test_selectors_match(name: str) -> None:
    deployment = one("Deployment", name)
    labels = pod(name)["metadata"]["labels"].items()
    spread = pod(name)["spec"]["affinity"]["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
    selectors = [
        deployment["spec"]["selector"]["matchLabels"],
        one("NetworkPolicy", name)["spec"]["podSelector"]["matchLabels"],
        spread[0]["podAffinityTerm"]["labelSelector"]["matchLabels"],
    ]
    selectors.append(one("PodDisruptionBudget", name)["spec"]["selector"]["matchLabels"])
    if name == "iocaudit-admission":
        selectors.append(one("Service", name)["spec"]["selector"])
    for selector in selectors:
        assert selector.items() <= labels
    other = pod(next(p for p in PROCESSES if p != name))["metadata"]["labels"].items()
    assert not any(selector.items() <= other for selector in selectors)
    assert pod(name)["spec"]["serviceAccountName"] == one("ServiceAccount", name)["metadata"]["name"]


def test_ports_agree() -> None:
    webhook, operator = WebhookOptions(Path()), OperatorOptions()
    assert ports("iocaudit-admission") == {
        "https": webhook.port,
        "health": webhook.health_port,
        "metrics": webhook.metrics_port,
    }
    assert ports("iocaudit-operator") == {
        "health": operator.health_port,
        "metrics": operator.metrics_port,
        "attempts": operator.attempts_port,
    }
    for name in PROCESSES:
        ingress = one("NetworkPolicy", name)["spec"]["ingress"]
        assert {port["port"] for rule in ingress for port in rule["ports"]} == set(ports(name).values())
        container = pod(name)["spec"]["containers"][0]
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            assert container[probe]["httpGet"]["port"] == "health"
    (service_port,) = one("Service", operator.webhook_service)["spec"]["ports"]
    assert (service_port["port"], service_port["targetPort"]) == (operator.webhook_port, "https")
    # The operator knocks at the webhook before it registers it: behind the Service, at the pod's port.
    egress = one("NetworkPolicy", "iocaudit-operator")["spec"]["egress"]
    (knock,) = [rule for rule in egress if webhook.port in {port["port"] for port in rule["ports"]}]
    selected = knock["to"][0]["podSelector"]["matchLabels"].items()
    assert selected <= pod("iocaudit-admission")["metadata"]["labels"].items()


def test_webhook_posts_denied_attempts_to_the_operator_and_nobody_else_can() -> None:
    context = webhook_command.make_context("webhook", pod("iocaudit-admission")["spec"]["containers"][0]["args"][1:])
    service = one("Service", "iocaudit-operator")
    (port,) = service["spec"]["ports"]
    metadata = service["metadata"]
    # A name that the operator puts into the certificate.
    assert context.params["attempts_url"] == f"https://{metadata['name']}.{metadata['namespace']}.svc:{port['port']}"
    assert port["targetPort"] == "attempts"
    number = ports("iocaudit-operator")["attempts"]
    webhook, operator = one("NetworkPolicy", "iocaudit-admission"), one("NetworkPolicy", "iocaudit-operator")

    def rule(rules: list[Json]) -> Json:
        (found,) = [rule for rule in rules if number in {port["port"] for port in rule["ports"]}]
        return found

    assert rule(operator["spec"]["ingress"])["from"] == [{"podSelector": webhook["spec"]["podSelector"]}]
    assert rule(webhook["spec"]["egress"])["to"] == [{"podSelector": operator["spec"]["podSelector"]}]
    assert service["spec"]["selector"] == operator["spec"]["podSelector"]["matchLabels"]


def test_webhook_gets_the_operators_certificate_and_time_to_drain() -> None:
    spec = pod("iocaudit-admission")["spec"]
    (container,) = spec["containers"]
    volume = next(v["name"] for v in spec["volumes"] if v.get("secret", {}).get("secretName") == SERVING_SECRET)
    mount = next(m for m in container["volumeMounts"] if m["name"] == volume)
    context = webhook_command.make_context("webhook", container["args"][1:])
    assert context.params["certificates"] == Path(mount["mountPath"])
    assert spec["terminationGracePeriodSeconds"] > context.params["drain_seconds"]


@pytest.mark.parametrize("name", PROCESSES)
def test_survives_the_loss_of_a_node_and_of_a_container(name: str) -> None:
    spec = pod(name)["spec"]
    (container,) = spec["containers"]
    assert one("Deployment", name)["spec"]["replicas"] >= 2
    assert spec["priorityClassName"] == "system-cluster-critical"
    assert container["image"] == f"ghcr.io/iocaudit/iocaudit:{__version__}"
    bounded = {"cpu", "memory", "ephemeral-storage"}
    assert set(container["resources"]["limits"]) == set(container["resources"]["requests"]) == bounded
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    budget = one("PodDisruptionBudget", name)["spec"]
    assert 0 < budget["minAvailable"] < one("Deployment", name)["spec"]["replicas"]
    assert budget["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


def test_quota_leaves_room_for_ten_of_each() -> None:
    hard = one("ResourceQuota", "critical-pods")["spec"]["hard"]
    assert int(hard["pods"]) == 10 * len(PROCESSES)
    for kind in ("requests", "limits"):
        for resource in ("cpu", "memory"):
            each = [pod(name)["spec"]["containers"][0]["resources"][kind][resource] for name in PROCESSES]
            room = Quantity.parse(hard[f"{kind}.{resource}"]).value
            assert room == 10 * sum(Quantity.parse(amount).value for amount in each)


def test_webhook_reads_the_kinds_that_the_catalogue_looks_up() -> None:
    (role,) = [r for r in cluster_roles(CATALOGUE) if r["metadata"]["name"] == "iocaudit-admission"]
    watched = {
        (g, r)
        for rule in role["rules"]
        if "watch" in rule["verbs"]
        for g in rule["apiGroups"]
        for r in rule["resources"]
    }
    looked_up = {(kind.group, kind.plural) for kind in CATALOGUE.admission_world_kinds}
    assert watched == looked_up | {
        ("", "namespaces"),
        ("iocaudit.io", "auditpolicies"),
        ("iocaudit.io", "iocwaivers"),
    }


def test_webhook_may_write_nothing_and_read_no_secret() -> None:
    """Whoever steals its token can look, at what the catalogue needs, and change nothing."""
    documents = printed()
    bound = {
        (d["roleRef"]["kind"], d["roleRef"]["name"])
        for d in documents
        if any(subject["name"] == "iocaudit-admission" for subject in d.get("subjects", []))
    }
    assert bound == {("ClusterRole", "iocaudit-admission"), ("Role", "iocaudit-admission")}
    everywhere = one("ClusterRole", "iocaudit-admission")["rules"]
    at_home = one("Role", "iocaudit-admission")["rules"]
    assert {verb for rule in everywhere + at_home for verb in rule["verbs"]} == {"get", "list", "watch"}
    assert "secrets" not in {resource for rule in everywhere + at_home for resource in rule["resources"]}
    assert "configmaps" not in {resource for rule in everywhere for resource in rule["resources"]}
    assert {resource for rule in at_home for resource in rule["resources"]} == {"configmaps"}


def test_figures_are_fetched_from_where_the_processes_give_them() -> None:
    monitor = yaml.safe_load((MANIFESTS / "monitoring/pod-monitor.yaml").read_text(encoding="utf-8"))
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    for name in PROCESSES:
        assert endpoint["port"] in ports(name)
        assert monitor["spec"]["selector"]["matchLabels"].items() <= pod(name)["metadata"]["labels"].items()
    assert monitor["metadata"]["namespace"] == one("Namespace", "iocaudit")["metadata"]["name"]
    kustomization = yaml.safe_load((MANIFESTS / "monitoring/kustomization.yaml").read_text(encoding="utf-8"))
    there = {path.name for path in (MANIFESTS / "monitoring").iterdir()} - {"kustomization.yaml"}
    assert set(kustomization["resources"]) == there


def test_alerts_ask_for_figures_that_the_processes_give() -> None:
    webhook, operator = new_registry("webhook"), new_registry("operator")
    CertificateMetrics(webhook).expiry.labels("serving").set(0)
    ConnectionMetrics(webhook).closed("admission")
    OperatorMetrics(operator)
    AdmissionAttempts(webhook)
    supervisor = Supervisor()
    supervisor.pulse("event loop", lambda: 0.0)
    webhook.register(PartCollector(supervisor))
    WatchMetrics(webhook).follow([NAMESPACE], lambda _kind: 0.0)
    OperatorAttempts(operator)
    RolloutMetrics(operator)
    RuleMetrics(webhook).loaded(Language.REGO, 1, None)
    names = {sample.name for registry in (webhook, operator) for f in registry.collect() for sample in f.samples}
    text = (MANIFESTS / "monitoring/prometheus-rule.yaml").read_text(encoding="utf-8")
    asked = {
        name
        for group in yaml.safe_load(text)["spec"]["groups"]
        for rule in group["rules"]
        for name in re.findall(r"\biocaudit_\w+", rule["expr"])
    }
    assert len(asked) >= 4
    assert asked <= names


def copy_of_the_sources(folder: Path) -> Path:
    for name in ("iocaudit", "admission", "checks", "manifests", "docs"):
        shutil.copytree(ROOT / name, folder / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / name)
    return folder


def test_generate_has_nothing_to_write_and_writes_what_is_missing(tmp_path: Path) -> None:
    copy = copy_of_the_sources(tmp_path)
    assert generate(copy) == []
    rights, readme = copy / "manifests/base/rbac.yaml", copy / "README.md"
    rights.unlink()
    readme.write_text("<!-- checks:begin -->\nold\n<!-- checks:end -->\nkept\n", encoding="utf-8")
    page, gone, index = copy / "docs/checks/host-pid.md", copy / "docs/checks/gone.md", copy / "docs/by-ioc.md"
    page.write_text("old\n", encoding="utf-8")
    gone.write_text("stale\n", encoding="utf-8")
    index.unlink()
    assert generate(copy) == [rights, readme, page, index, gone]
    assert not gone.exists()
    assert generate(copy) == []
    for path in (page, index):
        assert path.read_bytes() == (ROOT / path.relative_to(copy)).read_bytes()
    assert rights.read_bytes() == (MANIFESTS / "base/rbac.yaml").read_bytes()
    text = readme.read_text(encoding="utf-8")
    assert text.endswith("|\n<!-- checks:end -->\nkept\n")
    assert "\nold\n" not in text
    assert all(f"[{group}](docs/index.md#{group})" in text for group in CATALOGUE.groups)
    assert sum(int(number) for number in re.findall(r"\| (\d+) (?=\|)", text)) == len(CATALOGUE)


def test_a_readme_without_markers_is_left_alone() -> None:
    assert with_checks("no markers\n", CATALOGUE) == "no markers\n"


def test_static_webhook_is_the_operators_own_and_the_operator_leaves_it_alone(tmp_path: Path) -> None:
    bundle = tmp_path / "ca.crt"
    state = first_state(Names.of("iocaudit-admission"), datetime.now(UTC))
    bundle.write_bytes(state.ca_bundle)
    documents = printed("--static-webhook", "--ca-bundle", str(bundle))
    configuration = documents[-1]
    assert configuration["kind"] == "ValidatingWebhookConfiguration"
    operators = OperatorOptions()
    target = WebhookTarget(
        operators.namespace, operators.webhook_service, operators.webhook_port, operators.webhook_url
    )
    written = configuration_of(CATALOGUE, PolicySet(CATALOGUE), target, state.ca_bundle)
    # Without a cluster there is no owner to name; the rest is what the operator would put there.
    assert configuration == json.loads(json.dumps(written))
    service = one("Service", "iocaudit-admission")["metadata"]
    for webhook in configuration["webhooks"]:
        called = webhook["clientConfig"]["service"]
        assert (called["namespace"], called["name"], called["port"]) == (service["namespace"], service["name"], 443)
    (operator,) = [d for d in documents if (d["kind"], d["metadata"]["name"]) == ("Deployment", "iocaudit-operator")]
    assert operator["spec"]["template"]["spec"]["containers"][0]["args"] == [
        "operator",
        "--waiver-max-days=90",
        "--no-manage-webhook",
    ]
    (webhook,) = [d for d in documents if (d["kind"], d["metadata"]["name"]) == ("Deployment", "iocaudit-admission")]
    # Without a certificate that both know, the operator takes no posts.
    assert webhook["spec"]["template"]["spec"]["containers"][0]["args"] == [
        "webhook",
        "--certificates=/etc/iocaudit/tls",
        "--waiver-max-days=90",
    ]


def test_webhook_and_operator_are_told_the_same_of_waivers() -> None:
    told = [
        [a for a in pod(name)["spec"]["containers"][0]["args"] if a.startswith("--waiver-max-days=")]
        for name in PROCESSES
    ]
    assert told[0] == told[1] == [f"--waiver-max-days={OperatorOptions().longest_waiver.days}"]
    assert WebhookOptions(Path()).longest_waiver == OperatorOptions().longest_waiver


def test_only_a_role_of_its_own_may_accept_risks() -> None:
    """Neither what everybody may see nor our processes' rights bring it along, and no role is aggregated from it."""
    writing = {"create", "update", "patch", "delete", "deletecollection", "*"}
    may = {
        role["metadata"]["name"]: role
        for role in cluster_roles(CATALOGUE)
        for rule in role["rules"]
        if "iocwaivers" in rule["resources"] and writing & set(rule["verbs"])
    }
    assert list(may) == ["iocaudit-waiver-editor"]
    assert not [label for label in may["iocaudit-waiver-editor"]["metadata"]["labels"] if "aggregate" in label]
    status = [
        (role["metadata"]["name"], rule["verbs"])
        for role in cluster_roles(CATALOGUE)
        for rule in role["rules"]
        if "iocwaivers/status" in rule["resources"]
    ]
    assert status == [("iocaudit-operator", ["update"])]


def test_a_bundle_that_is_none_is_refused(tmp_path: Path) -> None:
    bundle = tmp_path / "ca.crt"
    bundle.write_text("not PEM", encoding="utf-8")
    result = CliRunner().invoke(manifests_command, ["--static-webhook", "--ca-bundle", str(bundle)])
    assert "ca.crt: not a CA bundle" in str(result.exception)
    assert result.stdout == ""
    assert CliRunner().invoke(manifests_command, ["--static-webhook"]).exit_code == 2


@pytest.mark.parametrize("preset", [None, *Preset])
def test_the_default_policy_chooses_the_preset_with_the_lowest_priority(preset: Preset | None) -> None:
    documents = printed(*([] if preset is None else [f"--preset={preset}"]))
    (found,) = [document for document in documents if document["kind"] == "AuditPolicy"]
    assert documents[-1] is found, "kubectl and people find it last"
    assert found["metadata"]["name"] == "iocaudit-default"
    assert found["spec"] == {"priority": -1_000_000, "preset": preset or "warn"}
    policy = read_policy(found, CATALOGUE)
    assert (policy.preset, policy.is_universal, policy.cluster_scoped) == (preset or Preset.WARN, True, True)


def test_only_the_definitions_for_a_first_install() -> None:
    assert {document["kind"] for document in printed("--crds")} == {"CustomResourceDefinition"}
    assert printed("--crds") == printed()[:8]
    assert CliRunner().invoke(manifests_command, ["--crds", "--static-webhook", "--ca-bundle=x"]).exit_code == 2


def test_another_namespace_and_image_are_everywhere_and_nothing_else_changes() -> None:
    image = "reg.hooli.com:5000/sec/iocaudit@sha256:" + "0" * 64
    ours, theirs = printed(), printed("--namespace=audit", f"--image={image}")

    def told(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
        if isinstance(value, dict):
            for key, child in value.items():
                yield from told(child, f"{path}.{key}")
        elif isinstance(value, list):
            for index, child in enumerate(value):
                yield from told(child, f"{path}[{index}]")
        else:
            yield path, value

    changed = set()
    for one, other in zip(ours, theirs, strict=True):
        for (path, before), (same, after) in zip(told(one), told(other), strict=True):
            assert path == same
            if before != after:
                changed.add((before, after))
    attempts = "--attempts-url=https://iocaudit-operator.{}.svc:8444"
    assert changed == {
        ("iocaudit", "audit"),
        (f"ghcr.io/iocaudit/iocaudit:{__version__}", image),
        (attempts.format("iocaudit"), attempts.format("audit")),
    }
    # In default lie the Events about objects outside namespaces.
    assert {d["metadata"].get("namespace") for d in theirs} == {None, "audit", "default"}
    assert [d["metadata"]["name"] for d in theirs if d["kind"] == "Namespace"] == ["audit"]
    assert {s["namespace"] for d in theirs for s in d.get("subjects", ()) if "namespace" in s} == {"audit"}
    (role,) = [d for d in theirs if (d["kind"], d["metadata"]["name"]) == ("ClusterRole", "iocaudit-operator")]
    assert role in ours, "what it is bound to is known by its content"


@pytest.mark.parametrize(
    "arguments",
    [
        *(["--preset=lax"], ["--namespace=Audit"], ["--namespace=a.b"], ["--image="], ["--image=a b"]),
        *(["--image=a\nb: c"], ["--ephemeral"], ["--receivers", "--crds"]),
        *(["--detections=falc"], ["--detections=falco", "--crds"], ["--detections=falco", "--receivers"]),
    ],
)
def test_what_cannot_be_installed_is_refused(arguments: list[str]) -> None:
    result = CliRunner().invoke(manifests_command, arguments)
    assert (result.exit_code, result.stdout) == (2, "")


def test_what_rules_look_up_is_granted_by_itself() -> None:
    names = {"iocaudit-needs-teams.acme.io", "iocaudit-needs-resourcequotas"}
    found = printed("--rules-need=teams.acme.io", "--rules-need=resourcequotas", "--namespace=audit")
    assert {(one["kind"], one["metadata"]["name"]) for one in found} == {
        (kind, name) for kind in ("ClusterRole", "ClusterRoleBinding") for name in names
    }
    (role,) = [one for one in found if one["kind"] == "ClusterRole" and "teams" in one["metadata"]["name"]]
    assert role["rules"] == [{"apiGroups": ["acme.io"], "resources": ["teams"], "verbs": ["get", "list", "watch"]}], (
        "it never grants more than to read"
    )
    accounts = {(one["name"], one["namespace"]) for one in found[1]["subjects"]}
    assert accounts == {(name, "audit") for name in PROCESSES}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--rules-need=secrets",), "Secrets are never read"),
        (("--rules-need=*",), "is not the name of a resource"),
        (("--rules-need=Team.acme.io",), "is not the name of a resource"),
        (("--rules-need=pods", "--crds"), "leave out --crds"),
    ],
)
def test_what_no_rule_may_look_up_is_refused(arguments: tuple[str, ...], said: str) -> None:
    result = CliRunner().invoke(manifests_command, arguments)
    assert result.exit_code == 2
    assert said in " ".join(result.output.split())


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("audit-policy", "audit/policy.yaml"),
        ("dashboard", "prometheus/dashboard.json"),
        ("falco", "falco/iocaudit_rules.yaml"),
        ("falco-audit", "falco/iocaudit_audit_rules.yaml"),
        ("prometheus", "prometheus/prometheus-rule.yaml"),
    ],
)
def test_detections_are_printed_as_they_are(name: str, path: str) -> None:
    result = CliRunner().invoke(manifests_command, ["--detections", name])
    assert result.exit_code == 0
    assert result.stdout == (MANIFESTS / "detections" / path).read_text(encoding="utf-8")


def test_every_sort_of_detections_can_be_printed() -> None:
    folder = MANIFESTS / "detections"
    there = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    printed = {path.removeprefix("detections/") for path in _DETECTIONS.values()}
    assert {path for path in there - printed if not path.startswith("prometheus/rules/")} == set()


def test_rules_of_prometheus_go_where_iocaudit_is() -> None:
    (rule,) = printed("--detections=prometheus", "--namespace=audit")
    assert rule["metadata"]["namespace"] == "audit"
    assert (
        rule["spec"]
        == yaml.safe_load((MANIFESTS / "detections/prometheus/prometheus-rule.yaml").read_text(encoding="utf-8"))[
            "spec"
        ]
    )


def receivers(*arguments: str) -> dict[str, Json]:
    """What ``--receivers`` adds, by kind, and the operator's Deployment."""
    without = printed()
    return {d["kind"]: d for d in printed("--receivers", *arguments) if d not in without}


def test_receivers_are_added_and_the_operator_issues_their_certificate() -> None:
    added = receivers()
    assert set(added) == {
        *("ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Service", "NetworkPolicy", "StatefulSet"),
        "Deployment",
    }
    (operator,) = added["Deployment"]["spec"]["template"]["spec"]["containers"]
    assert operator["args"][:2] == ["operator", "--receivers"]
    spec = added["StatefulSet"]["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    told = receivers_command.make_context("receivers", container["args"][1:]).params
    volumes = {v["name"]: v.get("secret", {}).get("secretName") for v in spec["volumes"]}
    mounts = {m["mountPath"]: volumes.get(m["name"]) for m in container["volumeMounts"]}
    assert mounts[str(told["certificates"])] == RECEIVERS
    assert str(told["data"]) in mounts
    assert told["senders"].parent == told["client_ca"].parent
    assert mounts[str(told["senders"].parent)] == "iocaudit-senders"
    opened = {p["name"]: p["containerPort"] for p in container["ports"]}
    assert opened == {
        "signals": told["port"],
        "tokens": told["token_port"],
        "health": told["health_port"],
        "metrics": told["metrics_port"],
    }
    assert {p["port"] for p in added["Service"]["spec"]["ports"]} == {told["port"], told["token_port"]}
    assert added["StatefulSet"]["spec"]["replicas"] == 1
    assert spec["terminationGracePeriodSeconds"] > told["drain_seconds"]


def test_receivers_may_look_at_pods_and_nothing_else() -> None:
    assert receivers()["ClusterRole"]["rules"] == [
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "watch"]}
    ]


def test_without_a_volume_what_is_kept_goes_with_the_pod() -> None:
    (claim,) = receivers()["StatefulSet"]["spec"]["volumeClaimTemplates"]
    spec = receivers("--ephemeral")["StatefulSet"]["spec"]
    assert "volumeClaimTemplates" not in spec
    volume = next(v for v in spec["template"]["spec"]["volumes"] if v["name"] == claim["metadata"]["name"])
    assert volume["emptyDir"] == {"sizeLimit": claim["spec"]["resources"]["requests"]["storage"]}


def test_receivers_in_another_namespace_reach_the_operator_there() -> None:
    text = json.dumps(receivers("--namespace=audit", "--image=registry.acme.io/i:1"))
    assert "https://iocaudit-operator.audit.svc:8444" in text
    assert '"namespace": "iocaudit"' not in text
    assert "ghcr.io" not in text


def test_the_default_profile_has_nothing_to_say_of_receivers() -> None:
    text = yaml.safe_dump_all(printed("--receivers"))
    result = CliRunner().invoke(scan_command, ["-o", "json", "-"], input=text, standalone_mode=False)
    assert [f"{hit['check']}: {hit['message']}" for hit in json.loads(result.stdout)["findings"]] == []
