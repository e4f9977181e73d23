"""The order in which objects come decides nothing: whatever completes a grant or a mount is judged as the whole."""

import pytest

from iocaudit.install.rbac import bindings, cluster_roles
from iocaudit.knowledge.rbac.defaults import default_cluster_roles
from tests.support.ordered import (
    EVERYTHING,
    NAMED_WEBHOOK,
    PODS,
    READ,
    SECRETS,
    aggregate,
    binding,
    claim,
    pod,
    role,
    rule,
    volume,
)
from tests.unit.admission.playing import CATALOGUE, Json, Play

# -- roles -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rules", [SECRETS, rule("create", "serviceaccounts/token"), PODS, EVERYTHING])
def test_a_bound_role_is_not_filled(rules: Json) -> None:
    play = Play()
    assert play.write(role("r")).allowed
    assert play.write(binding("b", "r", "User:mallory")).allowed
    verdict = play.write(role("r", rules))
    assert not verdict.allowed
    found = verdict.denials[-1]
    assert str(found.subject) == "ClusterRole r"
    assert found.message.startswith("ClusterRole r: completes ClusterRoleBinding b, which ")
    assert "User mallory" in found.message
    assert found.message.endswith("(rules)")


def test_a_role_is_not_created_for_a_binding_that_waits_for_it() -> None:
    play = Play()
    assert play.write(binding("b", "r", "User:mallory")).allowed
    assert not play.write(role("r", SECRETS)).allowed
    assert play.write(role("r", READ)).allowed


def test_a_role_is_as_bad_as_its_bindings() -> None:
    play = Play()
    play.put(binding("b", "r", "User:mallory", namespace="shop"))
    verdict = play.write(role("r", SECRETS))
    assert verdict.allowed, "in one namespace Secrets are high"
    assert [found.check for found in verdict.warnings].count("secret-access") == 1, "the role itself is warned of"


def test_a_binding_in_a_system_namespace_denies_nothing_as_it_would_not_itself() -> None:
    play = Play()
    play.put(binding("b", "r", "User:mallory", namespace="kube-system"))
    verdict = play.write(role("r", SECRETS))
    assert verdict.allowed
    assert [found.check for found in verdict.spared["system"]] == ["secret-access"]


@pytest.mark.parametrize("namespace", ["kube-public", "kube-node-lease"])
def test_elsewhere_in_the_system_it_is_denied_as_the_binding_would_be(namespace: str) -> None:
    play, anonymous = Play(), "Group:system:unauthenticated"
    play.put(binding("b", "r", anonymous, namespace=namespace, role_kind="Role"))
    filled = role("r", rule("create", "configmaps"), namespace=namespace)
    assert not play.ask(filled).allowed
    play.put(filled)
    assert not play.ask(binding("c", "r", anonymous, namespace=namespace, role_kind="Role")).allowed


def test_a_role_in_a_namespace_concerns_the_bindings_there() -> None:
    play = Play({"checks": [{"ids": ["secret-access"], "mode": "deny"}], "match": {"namespaces": ["shop"]}})
    play.put(binding("b", "r", "User:mallory", namespace="other", role_kind="Role"))
    assert play.write(role("r", READ, namespace="shop")).allowed
    assert not play.write(role("r", SECRETS, namespace="shop")).allowed, "the Role itself, as the policy has it"
    assert play.write(role("r", SECRETS, namespace="other")).allowed


def test_the_policy_of_the_bindings_namespace_decides() -> None:
    denying = {"checks": [{"ids": ["secret-access"], "mode": "deny"}], "match": {"namespaces": ["shop"]}}
    for namespace, allowed in (("shop", False), ("other", True)):
        play = Play(denying)
        play.put(binding("b", "r", "User:mallory", namespace=namespace))
        assert play.write(role("r", SECRETS)).allowed is allowed


def test_only_what_is_added_to_a_role_is_judged() -> None:
    play = Play()
    play.put(role("r", SECRETS))
    play.put(binding("b", "r", "User:mallory"))
    assert play.ask(role("r", SECRETS, READ)).allowed
    assert play.ask(role("r", rule("get", "secrets"))).allowed, "less than before"
    assert play.ask(role("r", rule("list", "secrets"), rule("get", "secrets"))).allowed, "the same in other words"
    assert play.ask(role("r", SECRETS, labels={"team": "shop"})).allowed
    assert not play.ask(role("r", SECRETS, rule("create", "secrets"))).allowed
    assert not play.ask(role("r", SECRETS, PODS)).allowed


def test_a_grant_of_named_secrets_does_not_grow_to_all() -> None:
    play = Play()
    play.put(role("r", rule("get", "secrets", resourceNames=["one"])))
    play.put(binding("b", "r", "User:mallory"))
    assert play.ask(role("r", rule("get", "secrets", resourceNames=["one", "two"]))).allowed
    assert not play.ask(role("r", rule("get", "secrets"))).allowed


def test_power_of_cluster_admin_by_several_rules_together() -> None:
    play = Play()
    play.put(role("r", rule("get,list,watch,create,update", "*", "*")))
    play.put(binding("b", "r", "User:mallory"))
    verdict = play.ask(role("r", rule("get,list,watch,create,update", "*", "*"), rule("patch,delete", "*", "*")))
    assert "cluster-admin-binding" in {found.check for found in verdict.denials}


def test_a_role_that_comes_again_is_a_new_one() -> None:
    play = Play()
    play.put(role("r", SECRETS))
    play.put(binding("b", "r", "User:mallory"))
    play.remove(role("r"))
    assert not play.write(role("r", SECRETS)).allowed


def test_the_copy_of_the_webhook_need_not_be_the_last() -> None:
    play = Play()
    play.put(role("r", SECRETS))
    play.put(binding("b", "r", "User:mallory"))
    assert not play.ask(role("r", SECRETS), old=role("r", READ)).allowed, "it is the old object that counts"


def test_a_grant_to_everybody_grows() -> None:
    play = Play()
    play.put(role("r", READ))
    play.put(binding("b", "r", "Group:system:unauthenticated"))
    verdict = play.ask(role("r", READ, rule("create", "things", "example.com")))
    assert {found.check for found in verdict.denials} == {"anonymous-binding"}


def test_a_default_role_of_everybody_grows() -> None:
    play = Play()
    verdict = play.ask(role("system:public-info-viewer", SECRETS))
    assert "anonymous-binding" in {found.check for found in verdict.denials}
    assert any("system:unauthenticated" in found.message for found in verdict.denials)


_BINDERS = "rbac.authorization.k8s.io"
_BIND = rule("bind", "clusterroles", _BINDERS, resourceNames=["later"])
_MINT = rule("create", "serviceaccounts/token", resourceNames=["agent"])


def test_a_role_that_somebody_may_bind_by_its_name_is_judged_by_that() -> None:
    play = Play()
    assert play.write(role("r", _BIND)).allowed
    assert play.write(binding("b", "r", "User:mallory")).allowed
    assert play.ask(role("later", READ)).allowed
    verdict = play.ask(role("later", SECRETS))
    assert {found.check for found in verdict.denials} == {"escalation-verb"}
    play.put(role("later", SECRETS))
    assert not play.ask(binding("c", "r", "User:eve")).allowed, "in the other order as well"


def test_a_grant_that_names_an_account_is_judged_when_that_gets_to_the_cluster() -> None:
    policy = {"checks": [{"ids": ["cluster-admin-binding", "workload-creation"], "mode": "audit"}]}
    play = Play(policy | {"match": {"clusterScoped": True, "namespaces": ["*"]}})
    play.put(role("r", _MINT))
    play.put(binding("b", "r", "User:mallory", namespace="shop"))
    verdict = play.ask(binding("root", "cluster-admin", "ServiceAccount:shop/agent"))
    assert "token-minting" in {found.check for found in verdict.denials}
    assert "token-minting" not in {
        found.check for found in play.ask(binding("root", "cluster-admin", "ServiceAccount:shop/other")).denials
    }


def test_a_chain_of_accounts_is_judged_when_its_last_link_comes() -> None:
    policy = {"checks": [{"ids": ["cluster-admin-binding"], "mode": "audit"}]}
    play = Play(policy | {"match": {"clusterScoped": True, "namespaces": ["*"]}})
    play.put(role("r", PODS))
    play.put(binding("b", "r", "User:mallory", namespace="shop"))
    play.put(binding("c", "r", "ServiceAccount:shop/agent", namespace="ops"))
    verdict = play.ask(binding("root", "cluster-admin", "ServiceAccount:ops/robot"))
    assert any("RoleBinding shop/b" in found.message for found in verdict.denials), [f.message for f in verdict.denials]


# -- aggregation ------------------------------------------------------------------------------------------------


def aggregated(*, own: Json | None = None) -> Play:
    """A bound role that aggregates what is labelled ``into-a``."""
    play = Play()
    play.put(aggregate("a", "into-a"))
    play.put(binding("b", "a", "User:mallory"))
    if own is not None:
        play.put(own)
    return play


def test_a_labelled_role_completes_what_aggregates_it() -> None:
    verdict = aggregated().write(role("part", SECRETS, labels={"into-a": "true"}))
    assert not verdict.allowed
    assert "completes ClusterRoleBinding b" in verdict.denials[0].message


def test_a_label_completes_it_too() -> None:
    play = aggregated(own=role("part", SECRETS))
    verdict = play.write(role("part", SECRETS, labels={"into-a": "true"}))
    assert not verdict.allowed
    assert verdict.denials[0].hit.path == "metadata.labels"


def test_the_rules_of_a_labelled_role_complete_it_too() -> None:
    play = aggregated(own=role("part", READ, labels={"into-a": "true"}))
    assert not play.write(role("part", READ, SECRETS, labels={"into-a": "true"})).allowed


def test_a_selector_completes_it_too() -> None:
    play = Play()
    play.put(role("part", SECRETS, labels={"into-a": "true"}))
    play.put(role("a"))
    play.put(binding("b", "a", "User:mallory"))
    verdict = play.write(aggregate("a", "into-a"))
    assert not verdict.allowed
    assert verdict.denials[0].hit.path == "aggregationRule"


def test_aggregates_of_aggregates() -> None:
    play = aggregated(own=aggregate("middle", "into-middle", labels={"into-a": "true"}))
    assert not play.write(role("part", SECRETS, labels={"into-middle": "true"})).allowed


@pytest.mark.parametrize("operator", [{"operator": "DoesNotExist"}, {"operator": "NotIn", "values": ["true"]}])
@pytest.mark.parametrize("labels", [None, {"other": "true"}])
def test_a_role_without_a_label_completes_what_aggregates_by_its_absence(operator: Json, labels: Json | None) -> None:
    play = Play()
    born_with = "kubernetes.io/bootstrapping"
    for one in default_cluster_roles():
        play.put(role(one.name, *one.raw.get("rules", []), labels={born_with: "rbac-defaults"}))
    selectors = [{"matchExpressions": [{"key": born_with, "operator": "DoesNotExist"}, {"key": "apart", **operator}]}]
    play.put(role("a", aggregationRule={"clusterRoleSelectors": selectors}))
    play.put(binding("b", "a", "User:mallory"))
    assert play.write(role("part", SECRETS, labels={"apart": "true"})).allowed
    assert not play.write(role("part", SECRETS, labels=labels)).allowed, "it loses the label that kept it apart"
    assert not play.write(role("new", SECRETS, labels=labels)).allowed


def test_what_widens_a_role_that_is_made_for_people() -> None:
    play = Play()
    play.put(binding("b", "view", "User:mallory", namespace="shop"))
    label = {"rbac.authorization.k8s.io/aggregate-to-view": "true"}
    assert play.write(role("crds", rule("get,list", "things", "example.com"), labels=label)).allowed
    more = role("more", rule("impersonate", "serviceaccounts"), labels=label)
    assert not any("completes RoleBinding shop/b" in found.message for found in play.ask(more).denials)
    play.put(binding("root", "cluster-admin", "ServiceAccount:shop/agent"))
    assert any("completes RoleBinding shop/b" in found.message for found in play.ask(more).denials)


CONTROLLERS = ("system:serviceaccount:kube-system:clusterrole-aggregation-controller", "system:kube-controller-manager")


@pytest.mark.parametrize("username", CONTROLLERS)
def test_the_aggregation_controller_is_never_denied(username: str) -> None:
    play = aggregated()
    filled = aggregate("a", "into-a") | {
        "rules": [SECRETS, rule("escalate", "clusterroles", "rbac.authorization.k8s.io")]
    }
    assert not play.ask(filled).allowed, "whoever else writes the rules is judged for them"
    verdict = play.ask(filled, username)
    assert verdict.allowed
    assert "escalation-verb" in {found.check for found in verdict.spared["aggregation"]}


@pytest.mark.parametrize("username", CONTROLLERS)
def test_in_its_name_nothing_else_is_changed(username: str) -> None:
    play = aggregated(own=role("plain"))
    play.put(binding("c", "plain", "User:mallory"))
    assert not play.ask(role("plain", SECRETS), username).allowed, "it aggregates nothing"
    play.put(role("part", SECRETS, labels={"into-c": "true"}))
    assert not play.ask(aggregate("a", "into-c") | {"rules": [SECRETS]}, username).allowed
    assert not play.ask(role("new", EVERYTHING), username).allowed


def test_our_own_install_completes_itself_and_nothing_else() -> None:
    ours = [
        raw for raw in cluster_roles(CATALOGUE) + bindings("iocaudit") if raw["metadata"]["name"] == "iocaudit-operator"
    ]
    roles = [raw for raw in ours if raw["kind"] == "ClusterRole"]
    bound = [raw for raw in ours if raw["kind"] == "ClusterRoleBinding"]
    play = Play()
    assert all(play.write(raw).allowed for raw in (*bound, *roles))
    play.put({**roles[0], "rules": roles[0]["rules"][:1]})
    assert play.ask(roles[0]).allowed, "an upgrade"
    play.put(binding("b", "iocaudit-operator", "User:mallory"))
    assert "completes ClusterRoleBinding b" in play.ask(roles[0]).denials[0].message


# -- ways to a powerful ServiceAccount -----------------------------------------------------------------------------


def test_a_binding_completes_the_grant_to_run_pods_beside_its_account() -> None:
    play = Play()
    assert play.write(role("ci", PODS, namespace="shop")).allowed
    assert play.write(role("hook", NAMED_WEBHOOK)).allowed
    verdict = play.write(binding("hook", "hook", "ServiceAccount:shop/agent"))
    assert {found.check for found in verdict.denials} == {"workload-creation"}
    assert "completes Role shop/ci" in verdict.denials[0].message


# -- volumes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["hostPath", "local"])
@pytest.mark.parametrize("reserved", ["", "shop/c"])
def test_a_volume_that_comes_last_is_denied(kind: str, reserved: str) -> None:
    play = Play()
    assert play.write(pod("p", "c")).allowed
    assert play.write(claim("c", storageClassName="")).allowed
    verdict = play.write(volume("v", reserved, kind=kind))
    assert "host-path-volume" in {found.check for found in verdict.denials}


def test_a_volume_for_the_system_is_medium_until_it_is_for_another() -> None:
    play = Play()
    verdict = play.write(volume("v", "kube-system/c"))
    assert verdict.allowed
    assert [found.severity.label for found in verdict.observed] == ["medium"]
    assert not play.write(volume("v", "shop/c")).allowed
    assert not play.write(volume("v")).allowed


@pytest.mark.parametrize(
    "asked",
    [
        {"volumeName": "v", "storageClassName": ""},
        {"storageClassName": "slow"},
        {"storageClassName": "slow", "selector": {"matchLabels": {"disk": "big"}}},
    ],
)
def test_a_claim_that_takes_a_volume_from_before_is_denied(asked: Json) -> None:
    play = Play()
    there = volume("v", storageClassName=asked["storageClassName"])
    there["metadata"]["labels"] = {"disk": "big"}
    play.put(there)
    assert play.write(pod("p", "c")).allowed
    verdict = play.write(claim("c", **asked))
    assert {found.check for found in verdict.denials} == {"sensitive-host-path"}
    assert str(verdict.denials[0].subject) == "PersistentVolumeClaim shop/c"
    assert "claim c means PersistentVolume v, which exposes host path /etc" in verdict.denials[0].message
    assert play.write(claim("c", storageClassName="fast")).allowed
    assert not play.write(claim("c", volumeName="v", storageClassName="")).allowed, "nor by an update"


def test_a_claim_without_a_class_takes_a_volume_without() -> None:
    play = Play()
    play.put(volume("v"))
    assert not play.write(claim("c")).allowed


def test_the_annotation_of_the_class_counts() -> None:
    play = Play()
    beta = {"annotations": {"volume.beta.kubernetes.io/storage-class": "slow"}}
    there, asked = volume("v", storageClassName="slow"), claim("c")
    asked["metadata"] |= beta
    play.put(there)
    assert not play.write(asked).allowed


def test_a_claim_that_is_allowed_its_path() -> None:
    rules = [{"ids": ["sensitive-host-path"], "mode": "deny", "parameters": {"allowed": ["/etc/kubernetes/pki"]}}]
    play = Play({"checks": rules, "match": {"namespaces": ["shop"]}})
    play.put(volume("v", path="/etc/kubernetes/pki"))
    assert play.write(claim("c", volumeName="v")).allowed
    assert not play.write(claim("c", "other", volumeName="v")).allowed


# -- what is there before by a template --------------------------------------------------------------------------


@pytest.mark.parametrize("looked_up", [False, True])
def test_what_other_objects_make_of_a_template_is_not_spared(looked_up: bool) -> None:
    play = Play()
    spec = pod("p", "c")["spec"]
    if not looked_up:
        spec["volumes"] = [{"name": "v", "hostPath": {"path": "/etc"}}]
    owner = {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {"name": "web", "namespace": "shop", "uid": "u"},
        "spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": spec},
        },
        "status": {"replicas": 2, "readyReplicas": 1},
    }
    reference = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "u", "controller": True}
    metadata = {"name": "web-1", "namespace": "shop", "labels": {"app": "web"}, "ownerReferences": [reference]}
    made = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
    play.put(volume("v", "shop/c"))
    verdict = play.ask(made, "system:serviceaccount:kube-system:replicaset-controller", owners=[owner])
    assert verdict.allowed is not looked_up
    named = verdict.denials if looked_up else verdict.spared["existing"]
    assert {found.check for found in named} >= {"sensitive-host-path"}
