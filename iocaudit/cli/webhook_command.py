"""``iocaudit webhook``."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import click

from iocaudit.cli.engine_flags import engine_flags, engine_options
from iocaudit.core.own_names import NAMESPACE

_CLIENT_CA = (
    "Require client certificates of this CA: without it the API server cannot be distinguished from other callers."
)
_LONGEST = "How long an IocWaiver may hold; a longer one is refused. Give the operator the same value."


@click.command("webhook")
@click.option(
    "--certificates",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder with tls.crt and tls.key; read again whenever they change.",
)
@click.option("--host", default="", help="Address to listen on (all by default).")
@click.option("--port", default=8443, show_default=True)
@click.option("--health-port", default=8081, show_default=True)
@click.option("--metrics-port", default=9090, show_default=True)
@click.option("--client-ca", type=click.Path(path_type=Path), help=_CLIENT_CA)
@click.option("--kubeconfig", type=click.Path(path_type=Path))
@click.option("--context")
@click.option("--drain-seconds", default=10.0, show_default=True)
@click.option("--profile", type=click.Choice(["default", "strict"]), default="default", show_default=True)
@click.option("--waiver-max-days", type=click.IntRange(min=1), default=90, show_default=True, help=_LONGEST)
@click.option("--namespace", envvar="POD_NAMESPACE", default=NAMESPACE, show_default=True, help="Our own.")
@click.option("--attempts-url", metavar="URL", help="Post denied attempts to the operator there: https://HOST:PORT.")
@engine_flags(loads=False)
def command(
    certificates: Path,
    host: str,
    port: int,
    health_port: int,
    metrics_port: int,
    client_ca: Path | None,
    kubeconfig: Path | None,
    context: str | None,
    drain_seconds: float,
    profile: str,
    waiver_max_days: int,
    namespace: str,
    attempts_url: str | None,
    **engines: Any,
) -> int:
    """Run the validating admission webhook."""
    evaluated = engine_options(**engines)
    from admission.main import main
    from admission.options import WebhookOptions

    main(
        WebhookOptions(
            certificates=certificates,
            host=host,
            port=port,
            health_port=health_port,
            metrics_port=metrics_port,
            client_ca=client_ca,
            kubeconfig=kubeconfig,
            context=context,
            drain_seconds=drain_seconds,
            profile=profile,
            attempts_url=attempts_url,
            longest_waiver=timedelta(days=waiver_max_days),
            namespace=namespace,
            engines=evaluated,
        )
    )
    return 0
