"""The examples that the product was asked for by name, one test each."""

import pytest

from tests.support.auditing import messages

TRUSTED = {"trusted": ["hooli.com/"]}


def pod(rest: str, image: str = "hooli.com/web:1", namespace: str = "shop") -> str:
    return f"""
apiVersion: v1
kind: Pod
metadata: {{name: web, namespace: {namespace}, labels: {{app: web}}}}
spec:
  containers: [{{name: app, image: "{image}"{rest}
---
"""


def test_etc_of_the_host_mounted_at_mnt_etc() -> None:
    mount = ", volumeMounts: [{name: e, mountPath: /mnt/etc}]}]\n  volumes: [{name: e, hostPath: {path: /etc}}]"
    (said,) = messages("sensitive-host-path", pod(mount))
    assert 'volume "e" exposes host path /etc at /mnt/etc in container "app"' in said


@pytest.mark.parametrize(
    ("image", "trusted"),
    [
        ("hooli.com/shop/web:1", True),
        ("hooli.com.evil.io/shop/web:1", False),
        ("hooli.community/web:1", False),
        ("evil.io/hooli.com/web:1", False),
        ("nginx:1", False),
    ],
)
def test_an_image_must_be_below_hooli_com(image: str, trusted: bool) -> None:
    assert (messages("untrusted-registry", pod("}]", image), parameters=TRUSTED) == []) is trusted


LEGACY = """
apiVersion: traefik.containo.us/v1alpha1
kind: Middleware
metadata: {name: calm, namespace: shop}
spec: {rateLimit: {average: 30, burst: 50}}
---
apiVersion: traefik.containo.us/v1alpha1
kind: IngressRoute
metadata: {name: web, namespace: shop}
spec: {routes: [{match: Host(`a.example`), middlewares: [{name: calm}], services: [{name: web, port: 80}]}]}
---
"""
TRAEFIK_3 = """
apiVersion: traefik.io/v1alpha1
kind: IngressRoute
metadata: {name: new, namespace: shop}
spec: {routes: [{match: Host(`b.example`), services: [{name: web, port: 80}]}]}
"""


def test_a_legacy_middleware_of_thirty_and_fifty_limits_a_legacy_route() -> None:
    assert messages("no-rate-limit", LEGACY) == []
    assert messages("ineffective-rate-limit", LEGACY) == []


def test_the_same_does_nothing_where_traefik_3_is_in_use() -> None:
    (said,) = messages("ineffective-rate-limit", LEGACY + TRAEFIK_3)
    assert "Middleware shop/calm" in said
    assert "which Traefik 3" in said


DEFAULT_DENY = """
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Namespace
metadata: {name: calico-system}
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: deny-app-policy}
spec:
  namespaceSelector: kubernetes.io/metadata.name not in {"kube-system", "calico-system", "calico-apiserver"}
  types: [Ingress, Egress]
  egress:
  - action: Allow
    protocol: UDP
    destination: {selector: 'k8s-app == "kube-dns"', ports: [53]}
  - action: Allow
    protocol: TCP
    destination: {selector: 'k8s-app == "kube-dns"', ports: [53]}
"""


@pytest.mark.parametrize(("namespace", "covered"), [("shop", True), ("calico-system", False)])
@pytest.mark.parametrize("check", ["no-ingress-policy", "no-egress-policy"])
def test_a_global_default_deny_covers_what_it_selects(check: str, namespace: str, covered: bool) -> None:
    assert (messages(check, pod("}]", namespace=namespace) + DEFAULT_DENY) == []) is covered


def test_a_global_default_deny_that_lets_names_be_looked_up_is_clean() -> None:
    text = pod("}]") + DEFAULT_DENY
    assert messages("dns-egress-blocked", text) == []
    assert messages("metadata-service-reachable", text) == []
    assert messages("policy-allows-everything", text) == []


@pytest.mark.parametrize("check", ["wildcard-rule", "escalation-verb", "exec-permission", "workload-creation"])
def test_a_role_that_reads_pods_is_clean(check: str) -> None:
    role = """
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: pod-reader, namespace: shop}
rules: [{apiGroups: [""], resources: [pods], verbs: [get, watch, list]}]
"""
    assert messages(check, role) == []


def test_an_rbac_definition_is_read_as_its_bindings() -> None:
    text = """
apiVersion: rbacmanager.reactiveops.io/v1beta1
kind: RBACDefinition
metadata: {name: access}
rbacBindings:
- name: admins
  subjects: [{kind: User, name: jane@example.com}]
  clusterRoleBindings: [{clusterRole: cluster-admin}]
- name: readers
  subjects: [{kind: User, name: joe@example.com}]
  clusterRoleBindings: [{clusterRole: view}]
"""
    (said,) = messages("cluster-admin-binding", text)
    assert said.startswith("RBACDefinition access: gives User jane@example.com every right")
