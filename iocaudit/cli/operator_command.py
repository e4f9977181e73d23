"""``iocaudit operator``."""

from datetime import timedelta
from pathlib import Path

import click


@click.command("operator")
@click.option("--kubeconfig", type=click.Path(path_type=Path))
@click.option("--context")
@click.option("--namespace", envvar="POD_NAMESPACE", default="iocaudit-system", show_default=True, help="Our own.")
@click.option("--profile", type=click.Choice(["default", "strict"]), default="default", show_default=True)
@click.option("--period", default=600.0, show_default=True, help="Seconds between full sweeps.")
@click.option("--retention-hours", default=168.0, show_default=True, help="How long Resolved findings are kept.")
@click.option("--health-host", default="")
@click.option("--health-port", default=8081, show_default=True)
@click.option("--metrics-host", default="")
@click.option("--metrics-port", default=9090, show_default=True)
def command(
    kubeconfig: Path | None,
    context: str | None,
    namespace: str,
    profile: str,
    period: float,
    retention_hours: float,
    health_host: str,
    health_port: int,
    metrics_host: str,
    metrics_port: int,
) -> int:
    """Run the operator: audit what is in the cluster, and keep auditing it."""
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
            health_host=health_host,
            health_port=health_port,
            metrics_host=metrics_host,
            metrics_port=metrics_port,
        )
    )
    return 0
