"""Which checks are translated, why the others are not, and how large an object may be."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from iocaudit.core.severity import Severity
from iocaudit.install.vap.rule import DeniedHits, NotExpressibleError
from iocaudit.install.vap.translations import TRANSLATIONS, reason, translated
from tests.support.exported_cel import ExportedCel
from tests.support.exporting import CATALOGUE, exported

Json = dict[str, Any]
PARAMETERS: dict[str, Json] = {
    "untrusted-registry": {"trusted": [f"registry-{at}.example.com/" for at in range(50)], "denied": ["quay.io/bad/"]},
    "host-path-mount": {"allowed": [f"/srv/{at}" for at in range(50)]},
    "unmasked-proc": {"userNamespaces": False},
}
CONTEXT: Json = {
    "allowPrivilegeEscalation": False,
    "privileged": False,
    "procMount": "Default",
    "runAsNonRoot": True,
    "runAsUser": 1000,
    "capabilities": {"add": ["CHOWN"], "drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
    "appArmorProfile": {"type": "RuntimeDefault"},
    "seLinuxOptions": {"type": "container_t", "level": "s0:c1,c2"},
}
IMAGE = "registry-{}.example.com/team/{:030}:1.2.3"


def container(at: int, **more: Any) -> Json:
    return {"name": f"c{at}", "image": IMAGE.format(at % 50, at), "securityContext": CONTEXT, **more}


def host_paths(count: int) -> list[Json]:
    return [{"name": f"h{at}", "hostPath": {"path": f"/srv/{at % 50}/{at:050}"}} for at in range(count)]


LARGE: dict[str, tuple[Json, Json]] = {
    "containers": ({"containers": [container(at) for at in range(3000)]}, {}),
    "host paths": ({"containers": [container(0)], "volumes": host_paths(3000)}, {}),
    "mounts": (
        {
            "containers": [
                container(
                    0,
                    volumeMounts=[
                        *({"name": f"h{at}", "mountPath": f"/h{at}", "readOnly": True} for at in range(100)),
                        *({"name": f"e{at}", "mountPath": f"/e{at}"} for at in range(5000)),
                    ],
                )
            ],
            "volumes": [*host_paths(100), *({"name": f"e{at}", "emptyDir": {}} for at in range(5000))],
        },
        {},
    ),
    "capabilities": (
        {"containers": [container(0) | {"securityContext": {**CONTEXT, "capabilities": {"add": ["KILL"] * 5000}}}]},
        {},
    ),
    "ports": ({"containers": [container(0, ports=[{"containerPort": 1 + at % 60_000} for at in range(5000)])]}, {}),
    "groups and sysctls": (
        {
            "containers": [container(0)],
            "securityContext": {
                "supplementalGroups": list(range(1, 50_000)),
                "sysctls": [{"name": "net/ipv4/tcp_syncookies", "value": "1"}] * 10_000,
            },
        },
        {},
    ),
    "annotations": (
        {"containers": [container(0)]},
        {f"container.apparmor.security.beta.kubernetes.io/c{at}": "runtime/default" for at in range(3000)}
        | {"security.alpha.kubernetes.io/sysctls": ",".join(["kernel.shm_rmid_forced=1"] * 3000)},
    ),
    "long texts": (
        {
            "containers": [container(0)],
            "volumes": [{"name": "h", "hostPath": {"path": "/srv/1" + "/x" * 40_000}}],
        },
        {"note": "x" * 200_000},
    ),
}
"""Harmless pods of a size that nobody needs, by what is large: its spec, and its annotations."""
VOLUMES = ("host-path-mount", "sensitive-host-path", "runtime-socket-mount", "cloud-credentials-mount")
LOOKS_AT = {
    "containers": tuple(TRANSLATIONS),
    "host paths": (*VOLUMES, "writable-host-path"),
    "mounts": (*VOLUMES[:2], "writable-host-path"),
    "capabilities": ("capability-beyond-baseline", "dangerous-capability"),
    "ports": ("host-port",),
    "groups and sysctls": ("runs-as-root", "unsafe-sysctl"),
    "annotations": ("apparmor-unconfined", "seccomp-unconfined", "unsafe-sysctl"),
    "long texts": tuple(TRANSLATIONS),
}
"""The checks that look at what is large."""


def a_pod(spec: Json, annotations: Json) -> Json:
    metadata = {"name": "large", "namespace": "shop", "annotations": annotations}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def bad_pod(check: str, padding: tuple[Json, Json]) -> Json:
    """The documented bad example of a check, with harmless things before what is bad."""
    found = CATALOGUE.find(check)
    assert found is not None
    raw: Json = yaml.safe_load(found.doc.bad)
    spec, annotations = copy.deepcopy(padding)
    for name, value in spec.items():
        there = raw["spec"].get(name)
        if isinstance(value, list):
            raw["spec"][name] = [*value, *(there or [])]
        else:
            raw["spec"][name] = {**value, **(there or {})}
    raw["metadata"]["annotations"] = {**annotations, **raw["metadata"].get("annotations", {})}
    return raw


@pytest.fixture(scope="module")
def judge() -> Iterator[ExportedCel]:
    made = ExportedCel()
    yield made
    made.close()


def test_what_is_translated_is_a_check_on_pods_that_needs_nothing_else() -> None:
    for name in TRANSLATIONS:
        check = CATALOGUE.find(name)
        assert check is not None
        assert check.on_pods
        assert not check.needs


def test_reasons() -> None:
    said = {check.id: reason(check) for check in CATALOGUE if check.id not in TRANSLATIONS}
    assert said["wildcard-rule"] == "it is not about pods"
    assert said["memory-unlimited"] == "it looks up other objects"
    assert said["secret-in-env"] == "it has no translation to CEL"
    check = CATALOGUE.find("secret-in-env")
    assert check is not None
    with pytest.raises(NotExpressibleError, match="it has no translation"):
        translated(check, DeniedHits(frozenset({Severity.HIGH}), {}))


def test_lists_longer_than_an_expression_may_be_are_told() -> None:
    trusted = [f"registry-{at}.example.com/{'x' * 100}/" for at in range(1000)]
    rule = {"ids": ["untrusted-registry"], "mode": "deny", "parameters": {"trusted": trusted}}
    found = exported({"checks": [rule]})
    assert found.objects == []
    assert found.told[0].endswith("its lists are longer than an expression may be")


@pytest.mark.parametrize("what", LARGE)
def test_large_objects_are_judged_by_what_is_in_them(judge: ExportedCel, what: str) -> None:
    for check in LOOKS_AT[what]:
        rule: Json = {"ids": [check], "mode": "deny", "parameters": PARAMETERS.get(check, {})}
        rules = judge.load(exported({"checks": [rule]}).objects)
        harmless = judge.ask(rules, a_pod(*LARGE[what]))
        assert set(harmless.values()) == {()}, (check, what, str(harmless)[:500])
        (said,) = judge.ask(rules, bad_pod(check, LARGE[what])).values()
        assert said != (), (check, what)


@pytest.mark.parametrize(
    ("check", "what"),
    [
        ("untrusted-registry", "containers"),
        ("sensitive-host-path", "host paths"),
        ("writable-host-path", "mounts"),
        ("unsafe-sysctl", "groups and sysctls"),
    ],
)
def test_large_objects_can_be_changed(judge: ExportedCel, check: str, what: str) -> None:
    """Good as it was: what is made bad is denied. Bad as it was: anything goes."""
    rule: Json = {"ids": [check], "mode": "deny", "parameters": PARAMETERS.get(check, {})}
    rules = judge.load(exported({"checks": [rule]}).objects)
    spec, annotations = LARGE[what]
    padding = ({**spec, "containers": spec["containers"][:1000]}, annotations)
    good, bad = a_pod(*padding), bad_pod(check, padding)
    assert list(judge.ask(rules, good, good).values()) == [()]
    assert list(judge.ask(rules, bad, bad).values()) == [()]
    assert list(judge.ask(rules, good, bad).values()) == [()]
    assert list(judge.ask(rules, bad, good).values()) != [()]


def test_registries_may_be_as_many_as_a_policy_takes(judge: ExportedCel) -> None:
    trusted = [f"registry-{at}.example.com/{'team-' * 10}{at}" for at in range(500)]
    trusted += [f"registry-{at}.example.com/" for at in range(500)]
    rule = {"ids": ["untrusted-registry"], "mode": "deny", "parameters": {"trusted": trusted, "denied": trusted[:500]}}
    rules = judge.load(exported({"checks": [rule]}).objects)
    spec = {"containers": [container(at) for at in range(1000)]}
    assert list(judge.ask(rules, a_pod(spec, {})).values()) == [()]
    spec["containers"].append({"name": "bad", "image": "registry-500.example.com/x"})
    (said,) = judge.ask(rules, a_pod(spec, {})).values()
    assert "registry-500.example.com/x" in str(said)
