"""Argo workflows: what a template, its defaults, the workflow and their patches say together, and where."""

from typing import Any

import pytest
import yaml

from iocaudit.core.report import Report
from iocaudit.core.resource import ADMISSION, Origin, Resource
from iocaudit.core.world import World
from iocaudit.engine.audit import Auditor
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.engine.policy_reader import read_policies
from iocaudit.knowledge.pods.images import ImageIndex
from iocaudit.knowledge.pods.places import pods_of

Json = dict[str, Any]
_CATALOGUE = builtin_catalogue()
_PLACES = {
    "Workflow": ("spec",),
    "WorkflowTemplate": ("spec",),
    "ClusterWorkflowTemplate": ("spec",),
    "CronWorkflow": ("spec", "workflowSpec"),
}


def _workflow(text: str, kind: str = "Workflow") -> Resource:
    value: Json = yaml.safe_load(text)
    for name in reversed(_PLACES[kind]):
        value = {name: value}
    metadata = {"name": "w", "namespace": "shop", "labels": {"of": "workflow"}}
    raw = {"apiVersion": "argoproj.io/v1alpha1", "kind": kind, "metadata": metadata}
    return Resource({**raw, **value}, ADMISSION)


def _report(resource: Resource, *checks: str) -> Report:
    catalogue = _CATALOGUE.select(checks)
    return Auditor(catalogue, read_policies([], _CATALOGUE), World()).audit(resource)


def _hits(text: str, *checks: str, kind: str = "Workflow") -> list[tuple[str, str]]:
    report = _report(_workflow(text, kind), *checks)
    assert not report.faults
    assert not report.skipped
    return sorted((found.check, found.hit.path) for found in report.found)


@pytest.mark.parametrize("kind", _PLACES)
def test_what_a_workflow_says_for_all_is_found_once_where_it_stands(kind: str) -> None:
    at = ".".join(_PLACES[kind])
    text = """
    hostNetwork: true
    securityContext: {runAsUser: 0}
    volumes: [{name: host, hostPath: {path: /etc}}, {name: spare, hostPath: {path: /root}}]
    templates:
    - {name: a, container: {image: x, volumeMounts: [{name: host, mountPath: /mnt}]}}
    - {name: b, script: {image: y, source: exit, volumeMounts: [{name: host, mountPath: /mnt}]}}
    - {name: both, steps: [[{name: a, template: a}, {name: b, template: b}]]}
    """
    assert _hits(text, "host-network", "runs-as-root", "sensitive-host-path", kind=kind) == [
        ("host-network", f"{at}.hostNetwork"),
        ("runs-as-root", f"{at}.securityContext.runAsUser"),
        ("sensitive-host-path", f'{at}.volumes["host"].hostPath.path'),
        ("sensitive-host-path", f'{at}.volumes["spare"].hostPath.path'),
    ]


def test_a_template_that_says_otherwise_is_its_own() -> None:
    text = """
    securityContext: {runAsUser: 0}
    templates:
    - {name: a, securityContext: {runAsUser: 1000}, container: {image: x}}
    """
    assert _hits(text, "runs-as-root") == []


def test_defaults_are_beneath_every_template_of_their_kind() -> None:
    text = """
    templateDefaults:
      container: {securityContext: {privileged: true, runAsUser: 0}}
      initContainers: [{name: first, image: i, securityContext: {privileged: true}}]
      securityContext: {seccompProfile: {type: Unconfined}}
    templates:
    - {name: a, container: {image: x, securityContext: {runAsUser: 1000}}}
    - {name: b, container: {image: x, securityContext: {privileged: false}}}
    - {name: c, script: {image: x, source: exit}}
    """
    defaults = "spec.templateDefaults"
    assert _hits(text, "privileged-container", "runs-as-root", "seccomp-unconfined") == [
        ("privileged-container", f"{defaults}.container.securityContext.privileged"),
        ("privileged-container", f'{defaults}.initContainers["first"].securityContext.privileged'),
        ("runs-as-root", f"{defaults}.container.securityContext.runAsUser"),
        ("seccomp-unconfined", f"{defaults}.securityContext.seccompProfile.type"),
    ]


def test_every_container_of_a_template_is_visited() -> None:
    text = """
    templates:
    - name: a
      initContainers: [{name: i, securityContext: {privileged: true}}]
      containerSet:
        volumeMounts: [{name: host, mountPath: /mnt}]
        containers: [{name: main, securityContext: {privileged: true}}, {name: other}]
      sidecars: [{name: s, securityContext: {privileged: true}}]
      volumes: [{name: host, hostPath: {path: /data}}]
    - {name: b, script: {securityContext: {privileged: true}}}
    """
    main = 'spec.templates["a"].containerSet'
    assert _hits(text, "privileged-container", "writable-host-path") == [
        ("privileged-container", f'{main}.containers["main"].securityContext.privileged'),
        ("privileged-container", 'spec.templates["a"].initContainers["i"].securityContext.privileged'),
        ("privileged-container", 'spec.templates["a"].sidecars["s"].securityContext.privileged'),
        ("privileged-container", 'spec.templates["b"].script.securityContext.privileged'),
        ("writable-host-path", f'{main}.volumeMounts["host"]'),
    ]


@pytest.mark.parametrize(
    "patch",
    [
        '{"hostPID": true, "containers": [{"name": "main", "securityContext": {"privileged": true}}]}',
        "hostPID: true\ncontainers:\n- name: main\n  securityContext:\n    privileged: true\n",
    ],
)
def test_a_patch_is_read_wherever_it_stands(patch: str) -> None:
    for place in ("spec", 'spec.templates["a"]', "spec.templateDefaults"):
        spec: Json = {"templates": [{"name": "a", "container": {"image": "x"}}], "templateDefaults": {}}
        holder = {"spec": spec, "spec.templateDefaults": spec["templateDefaults"]}.get(place, spec["templates"][0])
        holder["podSpecPatch"] = patch
        assert _hits(yaml.safe_dump(spec), "host-pid", "privileged-container") == [
            ("host-pid", f"{place}.podSpecPatch.hostPID"),
            ("privileged-container", f'{place}.podSpecPatch.containers["main"].securityContext.privileged'),
        ]


def test_a_patch_can_make_good_and_says_nothing_of_what_it_only_sizes() -> None:
    text = """
    podSpecPatch: 'containers: [{name: wait, resources: {limits: {cpu: 1}}}]'
    templates:
    - name: a
      podSpecPatch: '{"containers": [{"name": "main", "resources": {"limits": {"cpu": "1"}}}]}'
      container: {image: x, resources: {limits: {memory: 1Gi}}}
    """
    assert _hits(text, "cpu-unlimited", "memory-unlimited") == []


def test_what_stands_in_a_text_is_not_repaired_and_what_stands_beside_is() -> None:
    text = "{hostNetwork: true, podSpecPatch: 'hostPID: true', templates: [{name: a, container: {image: x}}]}"
    found = _report(_workflow(text), "host-network", "host-pid").found
    assert [(one.check, one.hit.repair is None) for one in found] == [("host-network", False), ("host-pid", True)]


@pytest.mark.parametrize("patch", ["containers: &a [{name: main}]", 7, '{"$patch": "replace", "hostPID": true}'])
def test_a_patch_that_cannot_be_read_is_said(patch: object) -> None:
    spec = {"podSpecPatch": patch, "templates": [{"name": name, "container": {"image": "x"}} for name in "ab"]}
    report = _report(_workflow(yaml.safe_dump(spec)), "host-pid")
    assert [skipped.reason.split(" is not ")[0] for skipped in report.skipped] == ["spec.podSpecPatch"], "once"


def test_a_workflow_whose_templates_stand_elsewhere_is_judged_by_what_it_says() -> None:
    text = """
    workflowTemplateRef: {name: other}
    hostNetwork: true
    podSpecPatch: '{"containers": [{"name": "main", "securityContext": {"privileged": true}}]}'
    volumes: [{name: host, hostPath: {path: /etc}}]
    """
    assert _hits(text, "host-network", "privileged-container", "sensitive-host-path") == [
        ("host-network", "spec.hostNetwork"),
        ("privileged-container", 'spec.podSpecPatch.containers["main"].securityContext.privileged'),
        ("sensitive-host-path", 'spec.volumes["host"].hostPath.path'),
    ]
    assert pods_of(_workflow("{workflowTemplateRef: {name: other}}")) == []


def test_labels_and_accounts_are_those_of_the_pods() -> None:
    text = """
    serviceAccountName: all
    automountServiceAccountToken: false
    podMetadata: {labels: {app: w, tier: x}}
    templates:
    - {name: a, container: {image: x}, metadata: {labels: {app: a}}}
    - {name: b, container: {image: x}, serviceAccountName: own}
    """
    pods = pods_of(_workflow(text))
    assert [(pod.service_account, pod.labels) for pod in pods] == [
        ("all", {"app": "a", "tier": "x"}),
        ("own", {"app": "w", "tier": "x"}),
    ]
    assert all(pod.spec["automountServiceAccountToken"] is False for pod in pods)


def test_behind_what_templates_share_are_the_images_of_all_of_them() -> None:
    text = """
    hostNetwork: true
    templates: [{name: a, container: {image: x}}, {name: b, container: {image: y}, securityContext: {runAsUser: 0}}]
    """
    images = ImageIndex(_workflow(text))
    assert images.at("spec.hostNetwork") == ("x", "y")
    assert images.at('spec.templates["b"].securityContext.runAsUser') == ("y",)


@pytest.mark.parametrize(
    "spec",
    [
        {"templates": 1, "templateDefaults": [], "volumes": {}},
        {"templates": [1, {"container": [], "initContainers": {}, "sidecars": [1], "containerSet": 2}]},
        {"templates": [{"name": "a", "container": {}}], "volumes": [1, {"name": 2}], "podMetadata": []},
    ],
)
def test_odd_shapes_are_no_error(spec: Json) -> None:
    raw = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": {"name": "w"}, "spec": spec}
    report = Auditor(_CATALOGUE, read_policies([], _CATALOGUE), World()).audit(Resource(raw, Origin("file", "a.yaml")))
    assert not report.faults
