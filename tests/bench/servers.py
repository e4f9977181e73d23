"""The two servers that the webhook's benchmark compares, each a process of its own on one core, over TLS.

``python -m tests.bench.servers ours|echo FOLDER CORE`` serves with the certificate in FOLDER until SIGTERM and
prints the port it listens on.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

import orjson
import uvicorn
from fastapi import FastAPI, Request, Response

from admission.app import ValidateApp, admission_app
from admission.metrics import AdmissionMetrics
from admission.state import State
from iocaudit.core.kinds import NAMESPACE
from iocaudit.core.resource import CLUSTER, Resource
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.serving.asgi import AsgiApp
from iocaudit.serving.certificate_source import CertificateSource
from iocaudit.serving.drain import Drain
from iocaudit.serving.garbage import settle
from iocaudit.serving.health import Readiness
from iocaudit.serving.limits import Bounds
from iocaudit.serving.listener import KEEP_ALIVE, Address, Listen, run, serve
from iocaudit.serving.metrics import LimitMetrics, new_registry


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


async def _ours(folder: Path) -> None:
    def started(addresses: Mapping[str, Address]) -> None:
        print(addresses["admission"].port, flush=True)

    drain = Drain(Readiness([]), grace=0.0, finish=1.0)
    drain.on_signals()
    listen = Listen("admission", webhook_app(), "127.0.0.1", 0, CertificateSource.from_folder(folder))
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
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {int(core)})
    if which == "ours":
        run(_ours(Path(where)))
    else:
        _echo(Path(where))
