"""The servers that the webhook's benchmarks compare, each a process of its own on one core, over TLS.

``python -m tests.bench.servers ours|rules|echo FOLDER CORE`` serves with the certificate in FOLDER until SIGTERM and
prints the port it listens on. CORE is ``any`` for all of them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import uvicorn
from fastapi import FastAPI, Request, Response

from admission.app import ValidateApp, admission_app
from admission.metrics import AdmissionMetrics
from admission.rule_edge import RuleEdge
from admission.state import State
from iocaudit.core.kinds import NAMESPACE
from iocaudit.core.resource import CLUSTER, Resource
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.engine.languages.embedded import EMBEDDED
from iocaudit.engine.languages.rule import Language
from iocaudit.live.engines import Engines
from iocaudit.serving.asgi import AsgiApp
from iocaudit.serving.certificate_source import CertificateSource
from iocaudit.serving.drain import Drain
from iocaudit.serving.garbage import settle
from iocaudit.serving.health import Readiness
from iocaudit.serving.limits import Bounds
from iocaudit.serving.listener import KEEP_ALIVE, ListenAddress, ListenerSpec, run, serve
from iocaudit.serving.metrics import LimitMetrics, new_registry

RULES = 20
"""How many rules in Rego the webhook of the benchmark has."""


def webhook_app() -> AsgiApp:
    """The product's app with all its checks on, in a world in which every kind is loaded."""
    state = State(builtin_catalogue())
    for kind in state.kinds:
        state.replace(kind, [])
    shop = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}
    state.replace(NAMESPACE, [Resource(shop, CLUSTER)])
    registry = new_registry("bench")
    validate = ValidateApp(lambda: state.auditor, AdmissionMetrics(registry))
    settle()
    return admission_app(validate, Bounds(), LimitMetrics(registry))


def rules_app(rules: int) -> AsgiApp:
    """The same with that many rules in Rego, on an OPA that it starts."""
    engines = Engines({Language.REGO: EMBEDDED[Language.REGO]})
    state = State(builtin_catalogue(), engines=engines)
    for kind in state.kinds:
        state.replace(kind, [])
    shop = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}
    state.replace(NAMESPACE, [Resource(shop, CLUSTER)])
    state.put(Resource(policy_of_rules(rules), CLUSTER))
    if len(state.auditor.policies.declared) != rules:
        raise RuntimeError(f"the rules are not in force: {state.invalid}")
    registry = new_registry("bench")
    validate = ValidateApp(lambda: state.auditor, AdmissionMetrics(registry), rules=RuleEdge(engines, state.superseded))
    settle()
    return admission_app(validate, Bounds(), LimitMetrics(registry))


def policy_of_rules(count: int) -> dict[str, Any]:
    """An AuditPolicy with that many rules about pods, none of which is violated by the benchmark's pod."""
    rules = [
        {"name": f"bench-{number}", "kinds": ["Pod"], "mode": "deny", "rego": {"module": _MODULE % number}}
        for number in range(count)
    ]
    return {
        "apiVersion": "iocaudit.io/v1alpha1",
        "kind": "AuditPolicy",
        "metadata": {"name": "bench"},
        "spec": {"rules": rules},
    }


_MODULE = """package kubernetes.admission

deny contains msg if {
	some container in input.request.object.spec.containers
	not startswith(container.image, "hooli.com/")
	msg := sprintf("%%v: rule %d", [container.image])
}

deny contains msg if {
	some container in input.request.object.spec.containers
	not container.resources.limits.memory
	msg := sprintf("%%v has no limit of memory", [container.name])
}
"""


def echo_app() -> AsgiApp:
    """The yardstick: FastAPI, the body parsed by orjson, an answer of the same shape."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    @app.post("/validate")
    async def validate(request: Request) -> Response:
        asked = orjson.loads(await request.body())
        response = {"uid": asked["request"]["uid"], "allowed": True}
        answer = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}
        return Response(orjson.dumps(answer), media_type="application/json")

    return app


async def _ours(folder: Path, app: AsgiApp) -> None:
    def started(addresses: Mapping[str, ListenAddress]) -> None:
        print(addresses["admission"].port, flush=True)

    drain = Drain(Readiness([]), grace=0.0, finish=1.0)
    drain.on_signals()
    listen = ListenerSpec("admission", app, "127.0.0.1", 0, CertificateSource.from_folder(folder))
    await serve([listen], drain, started=started)


class _Announcing(uvicorn.Server):
    async def startup(self, sockets: object = None) -> None:
        await super().startup()
        print(self.servers[0].sockets[0].getsockname()[1], flush=True)


def _echo(folder: Path) -> None:
    config = uvicorn.Config(
        echo_app(),
        host="127.0.0.1",
        port=0,
        http="httptools",
        loop="uvloop",
        lifespan="off",
        log_config=None,
        access_log=False,
        timeout_keep_alive=KEEP_ALIVE,
        ssl_certfile=str(folder / "tls.crt"),
        ssl_keyfile=str(folder / "tls.key"),
    )
    _Announcing(config).run()


if __name__ == "__main__":
    which, where, core = sys.argv[1:]
    if hasattr(os, "sched_setaffinity") and core != "any":
        os.sched_setaffinity(0, {int(core)})
    if which == "ours":
        run(_ours(Path(where), webhook_app()))
    elif which == "rules":
        run(_ours(Path(where), rules_app(RULES)))
    else:
        _echo(Path(where))
