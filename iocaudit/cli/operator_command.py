"""``iocaudit operator``."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import click

from iocaudit.cli.engine_flags import engine_flags, engine_options
from iocaudit.core.own_names import ADMISSION, NAMESPACE

_LONGEST = "How long an IocWaiver may hold; a longer one is refused. Give the webhook the same value."


@click.command("operator")
@click.option("--kubeconfig", type=click.Path(path_type=Path))
@click.option("--context")
@click.option("--namespace", envvar="POD_NAMESPACE", default=NAMESPACE, show_default=True, help="Our own.")
@click.option("--profile", type=click.Choice(["default", "strict"]), default="default", show_default=True)
@click.option("--period", default=600.0, show_default=True, help="Seconds between full sweeps.")
@click.option("--retention-hours", default=168.0, show_default=True, help="How long Resolved findings are kept.")
@click.option("--waiver-max-days", type=click.IntRange(min=1), default=90, show_default=True, help=_LONGEST)
@click.option("--health-host", default="")
@click.option("--health-port", default=8081, show_default=True)
@click.option("--metrics-host", default="")
@click.option("--metrics-port", default=9090, show_default=True)
@click.option("--attempts-host", default="", help="Where webhook replicas post denied attempts.")
@click.option("--attempts-port", default=8444, show_default=True)
@click.option(
    "--manage-webhook/--no-manage-webhook",
    default=True,
    show_default=True,
    help="Issue the webhook's certificate and register it once it answers.",
)
@click.option(
    "--receivers", is_flag=True, help="Issue a certificate for the receivers of signals (Secret iocaudit-receivers)."
)
@click.option("--webhook-service", default=ADMISSION, show_default=True)
@click.option("--webhook-url", help="Register the webhook by URL, not by Service (outside a cluster).")
@click.option(
    "--certificate-folder",
    type=click.Path(path_type=Path),
    help="Write the webhook's certificate into this folder too (outside a cluster). With --no-manage-webhook: take "
    "it from there (tls.crt, tls.key, ca.crt) to receive denied attempts; ca.crt must sign no other certificates.",
)
@click.option(
    "--exclude-namespace",
    "excluded",
    multiple=True,
    help="Namespaces that the deny webhook leaves out, such as the network plugin's.",
)
@engine_flags(loads=True)
def command(
    kubeconfig: Path | None,
    context: str | None,
    namespace: str,
    profile: str,
    period: float,
    retention_hours: float,
    waiver_max_days: int,
    health_host: str,
    health_port: int,
    metrics_host: str,
    metrics_port: int,
    attempts_host: str,
    attempts_port: int,
    manage_webhook: bool,
    receivers: bool,
    webhook_service: str,
    webhook_url: str | None,
    certificate_folder: Path | None,
    excluded: tuple[str, ...],
    **engines: Any,
) -> int:
    """Run the operator: audit what is in the cluster, and keep auditing it."""
    evaluated = engine_options(**engines)
    from iocaudit.controller.main import main
    from iocaudit.controller.options import OperatorOptions

    main(
        OperatorOptions(
            kubeconfig=kubeconfig,
            context=context,
            namespace=namespace,
            profile=profile,
            period=period,
            retention=timedelta(hours=retention_hours),
            longest_waiver=timedelta(days=waiver_max_days),
            health_host=health_host,
            health_port=health_port,
            metrics_host=metrics_host,
            metrics_port=metrics_port,
            attempts_host=attempts_host,
            attempts_port=attempts_port,
            manage_webhook=manage_webhook,
            receivers=receivers,
            webhook_service=webhook_service,
            webhook_url=webhook_url,
            certificate_folder=certificate_folder,
            exclude_namespaces=excluded,
            engines=evaluated,
        )
    )
    return 0
