"""What is registered follows from the catalogue and the policies; the rights follow from the catalogue."""

from pathlib import Path
from typing import Any

import yaml

from iocaudit.core.guard import NOT_THE_API_SERVERS_OWN
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.engine.policy_reader import read_policies
from iocaudit.engine.policy_set import PolicySet
from iocaudit.engine.presets import Preset
from iocaudit.install.rbac import bindings, cluster_roles, namespaced_roles
from iocaudit.install.webhook_configuration import WebhookTarget, configuration

MANIFESTS = Path(__file__).parents[3] / "manifests"
CATALOGUE = builtin_catalogue()
TARGET = WebhookTarget("iocaudit", "iocaudit-admission")
Json = dict[str, Any]


def webhooks(policies: PolicySet | None = None, **more: Any) -> dict[str, Json]:
    found = configuration(CATALOGUE, policies or PolicySet(CATALOGUE, preset=Preset.LOCKDOWN), TARGET, b"pem", **more)
    return {webhook["name"].partition(".")[0]: webhook for webhook in found["webhooks"]}


def pairs(webhook: Json) -> set[tuple[str, str, str]]:
    return {
        (group, resource, operation)
        for rule in webhook["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for operation in rule["operations"]
    }


def test_three_webhooks_and_how_they_fail() -> None:
    found = webhooks()
    assert {name: (w["failurePolicy"], w["timeoutSeconds"]) for name, w in found.items()} == {
        "deny": ("Fail", 3),
        "observe": ("Ignore", 2),
        "system": ("Ignore", 2),
    }
    for webhook in found.values():
        assert webhook["matchPolicy"] == "Equivalent"
        assert webhook["sideEffects"] == "NoneOnDryRun"
        assert [one["expression"] for one in webhook["matchConditions"]] == [NOT_THE_API_SERVERS_OWN]
        assert webhook["clientConfig"]["service"]["name"] == "iocaudit-admission"


def test_no_request_is_asked_about_twice() -> None:
    found = webhooks()
    assert pairs(found["deny"]).isdisjoint(pairs(found["observe"]))
    assert ("", "pods", "CREATE") in pairs(found["deny"])
    assert ("", "pods/exec", "CONNECT") in pairs(found["observe"])
    inside = set(found["system"]["namespaceSelector"]["matchExpressions"][0]["values"])
    outside = set(found["deny"]["namespaceSelector"]["matchExpressions"][0]["values"])
    assert inside == outside == {"kube-system", "iocaudit"}
    assert {rule["scope"] for rule in found["system"]["rules"]} == {"Namespaced"}


def test_never_tokens_leases_or_events() -> None:
    resources = {resource for webhook in webhooks().values() for _, resource, _ in pairs(webhook)}
    assert resources.isdisjoint({"serviceaccounts/token", "leases", "events", "*", "*/*"})


def test_network_plugins_namespace_is_left_to_the_system_webhook() -> None:
    found = webhooks(exclude=("calico-system",))
    assert "calico-system" in found["deny"]["namespaceSelector"]["matchExpressions"][0]["values"]
    assert "calico-system" in found["system"]["namespaceSelector"]["matchExpressions"][0]["values"]


def test_what_a_policy_denies_moves_to_the_deny_webhook() -> None:
    policy = {"metadata": {"name": "p"}, "spec": {"checks": [{"ids": ["exec-session"], "mode": "deny"}]}}
    found = webhooks(read_policies([policy], CATALOGUE))
    assert ("", "pods/exec", "CONNECT") in pairs(found["deny"])
    assert ("", "pods/exec", "CONNECT") not in pairs(found["observe"])


def policy(name: str, check: Json, **spec: Any) -> Json:
    return {"metadata": {"name": name}, "spec": {"checks": [check], **spec}}


QUIET = policy("quiet", {"profiles": ["default", "strict"], "mode": "warn"})


def named(*namespaces: str) -> PolicySet:
    """Nothing is denied but privileged containers in some namespaces."""
    check = {"ids": ["privileged-container", "cluster-admin-binding"], "mode": "deny"}
    match = {"namespaces": [*namespaces], "clusterScoped": True}
    return read_policies([QUIET, policy("named", check, priority=1, match=match)], CATALOGUE)


def test_policies_are_seen_as_they_are_made_changed_and_removed() -> None:
    for policies in (PolicySet(CATALOGUE), read_policies([QUIET], CATALOGUE), named("shop")):
        observed = pairs(webhooks(policies)["observe"])
        asked = {operation for _, resource, operation in observed if resource == "auditpolicies"}
        assert asked == {"CREATE", "UPDATE", "DELETE"}
        assert ("iocaudit.io", "iocwaivers", "CREATE") in observed


def test_exact_names_of_the_namespaces_that_are_denied_in_are_all_that_is_selected() -> None:
    found = webhooks(named("shop", "bar", "kube-system"))
    deny, observe = found["deny"], found["observe"]
    assert deny["namespaceSelector"] == {
        "matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["bar", "shop"]}]
    }
    # Of others the rest is told by the one that fails open, which leaves out what the first is asked about.
    wide = {rule["scope"] for rule in deny["rules"]}
    assert wide == {"Cluster", "Namespaced"}
    assert ("", "pods", "CREATE") in pairs(observe) & pairs(deny)
    assert ("rbac.authorization.k8s.io", "clusterrolebindings", "CREATE") in pairs(deny) - pairs(observe)
    (_, condition) = observe["matchConditions"]
    assert "'CREATE /pods'" in condition["expression"]
    assert "['bar', 'shop']" in condition["expression"]
    assert len(deny["matchConditions"]) == 1


def test_globs_and_labels_select_all_but_the_exempt() -> None:
    check = {"ids": ["privileged-container"], "mode": "deny"}
    for match in ({"namespaces": ["shop-*"]}, {"namespaceSelector": {"matchLabels": {"a": "b"}}}):
        found = webhooks(read_policies([QUIET, policy("p", check, priority=1, match=match)], CATALOGUE))
        assert found["deny"]["namespaceSelector"]["matchExpressions"][0]["operator"] == "NotIn"


def test_where_nothing_is_denied_nothing_fails_closed() -> None:
    found = webhooks(read_policies([QUIET], CATALOGUE))
    assert set(found) == {"observe", "system"}
    assert ("", "pods", "CREATE") in pairs(found["observe"])


def test_what_may_complete_a_denied_hit_is_asked_about_too() -> None:
    others = {"groups": ["rbac", "volumes"], "mode": "audit"}
    for check, kinds in (
        ("cluster-admin-binding", {"clusterroles", "roles", "clusterrolebindings", "rolebindings"}),
        ("sensitive-host-path", {"persistentvolumes", "persistentvolumeclaims", "pods"}),
    ):
        spec = {
            "match": {"clusterScoped": True, "namespaces": ["*"]},
            "checks": [{"ids": [check], "mode": "deny"}, others],
        }
        found = webhooks(read_policies([{"metadata": {"name": "p"}, "spec": spec}], CATALOGUE))
        for operation in ("CREATE", "UPDATE"):
            registered = {name for _, name, one in pairs(found["deny"]) if one == operation}
            assert kinds <= registered


def test_by_url_for_a_local_control_plane() -> None:
    target = WebhookTarget("iocaudit", "x", url="https://127.0.0.1:8443/")
    assert target.client_config("/validate", b"pem")["url"] == "https://127.0.0.1:8443/validate"
    assert target.address == ("127.0.0.1", 8443)


def test_no_right_to_secrets_or_wildcards() -> None:
    for role in cluster_roles(CATALOGUE):
        for rule in role["rules"]:
            assert "secrets" not in rule["resources"]
            assert "*" not in (*rule["resources"], *rule["verbs"], *rule["apiGroups"])


def test_committed_rights_are_the_generated_ones() -> None:
    committed = list(yaml.safe_load_all((MANIFESTS / "base" / "rbac.yaml").read_text(encoding="utf-8")))
    assert committed == [*cluster_roles(CATALOGUE), *bindings("iocaudit"), *namespaced_roles("iocaudit")]


def test_cluster_kinds_have_the_schema_of_their_namespaced_twins() -> None:
    def schema(name: str) -> Json:
        crd = yaml.safe_load((MANIFESTS / "crds" / f"{name}.yaml").read_text(encoding="utf-8"))
        found: Json = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
        return found

    assert schema("iocfindings") == schema("clusteriocfindings")
