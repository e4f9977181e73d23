"""``iocaudit receivers``."""

from pathlib import Path

import click

_SENDERS = "YAML file that binds each sender's certificate or token to sources and namespaces."


@click.command("receivers")
@click.option(
    "--certificates",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder with tls.crt, tls.key and ca.crt; read again whenever they change.",
)
@click.option("--senders", type=click.Path(path_type=Path), required=True, help=_SENDERS)
@click.option(
    "--data", type=click.Path(path_type=Path), required=True, help="Folder of the write-ahead file, on a kept volume."
)
@click.option("--operator-url", metavar="URL", required=True, help="Where the operator listens: https://HOST:PORT.")
@click.option(
    "--client-ca",
    type=click.Path(path_type=Path),
    help="Authority of the senders' certificates; without it --port is not opened.",
)
@click.option(
    "--audit-log",
    type=click.Path(path_type=Path),
    help="Follow this audit log file of the API server, across rotation.",
)
@click.option("--host", default="", help="Address to listen on (all by default).")
@click.option("--port", default=8445, show_default=True, help="For senders with a client certificate.")
@click.option("--token-port", type=int, help="For senders with a bearer token; without it there are none.")
@click.option("--health-port", default=8081, show_default=True)
@click.option("--metrics-port", default=9090, show_default=True)
@click.option("--kubeconfig", type=click.Path(path_type=Path))
@click.option("--context")
@click.option("--drain-seconds", default=10.0, show_default=True)
@click.option("--max-mebibytes", type=click.IntRange(min=32), default=1024, show_default=True, help="Of what waits.")
def command(
    certificates: Path,
    senders: Path,
    data: Path,
    operator_url: str,
    client_ca: Path | None,
    audit_log: Path | None,
    host: str,
    port: int,
    token_port: int | None,
    health_port: int,
    metrics_port: int,
    kubeconfig: Path | None,
    context: str | None,
    drain_seconds: float,
    max_mebibytes: int,
) -> int:
    """Receive signals of Falco, Alertmanager and the API server's audit log, and count what they show.

    Senders post to /falco, /alertmanager and /audit. What is acknowledged with 200 stands on the disk, and reaches the
    operator, which writes it as findings of type runtime.
    """
    if client_ca is None and token_port is None and audit_log is None:
        raise click.UsageError("nobody could send anything: give --client-ca, --token-port or --audit-log")
    from iocaudit.receivers.main import main
    from iocaudit.receivers.options import ReceiverOptions

    main(
        ReceiverOptions(
            certificates=certificates,
            senders=senders,
            data=data,
            operator_url=operator_url,
            client_ca=client_ca,
            audit_log=audit_log,
            host=host,
            port=port,
            token_port=token_port,
            health_port=health_port,
            metrics_port=metrics_port,
            kubeconfig=kubeconfig,
            context=context,
            drain_seconds=drain_seconds,
            most_bytes=max_mebibytes << 20,
        )
    )
    return 0
