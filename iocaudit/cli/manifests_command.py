"""``iocaudit manifests``: what installs the auditor, from the very files that ``kubectl apply -k`` takes."""

import json
from collections.abc import Iterator
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import click
import yaml

from iocaudit.core.errors import IocauditError

_OPERATOR = "base/operator.yaml"
_ADMISSION = "base/admission.yaml"
_SERVICE = "base/services.yaml"


class ManifestsError(IocauditError):
    """The certificate bundle cannot be used; names the file and what to do."""


@click.command("manifests")
@click.option(
    "--static-webhook",
    is_flag=True,
    help="Print the ValidatingWebhookConfiguration too, and leave it and the certificates to you, not to the operator.",
)
@click.option(
    "--ca-bundle",
    type=click.Path(path_type=Path),
    help="With --static-webhook: PEM certificates of the CA that signed the webhook's certificate.",
)
def command(static_webhook: bool, ca_bundle: Path | None) -> int:
    """Print what installs the auditor in a cluster: CRDs, namespace, rights, Deployments."""
    if static_webhook != (ca_bundle is not None):
        raise click.UsageError("--static-webhook and --ca-bundle FILE go together")
    # The bundle first: nothing is printed that somebody's kubectl would apply by half.
    bundle = None if ca_bundle is None else _bundle(ca_bundle)
    texts = list(_texts(unmanaged=bundle is not None))
    if bundle is not None:
        texts.append(_yaml(_static_webhook(bundle)))
    click.echo("---\n".join(texts), nl=False)
    return 0


def folder() -> Traversable:
    """The manifests: in a clone a link to the folder of that name, in a wheel a folder of the package."""
    return resources.files("iocaudit").joinpath("manifests")


def _texts(*, unmanaged: bool) -> Iterator[str]:
    for name in yaml.safe_load(_read("kustomization.yaml"))["resources"]:
        text = _read(name)
        yield _unmanaged(name, text) if unmanaged and name in (_OPERATOR, _ADMISSION) else text


def _read(name: str) -> str:
    return folder().joinpath(*name.split("/")).read_text(encoding="utf-8")


def _yaml(document: dict[str, Any]) -> str:
    # By way of JSON: an operation is an enum, which YAML's safe dumper refuses.
    return yaml.safe_dump(json.loads(json.dumps(document)), sort_keys=False)


def _unmanaged(name: str, text: str) -> str:
    """A Deployment for those who manage configuration and certificates themselves.

    The operator is told to leave the configuration alone, or it would overwrite it. It then has no certificate to
    receive denied attempts with, so the webhook is not told to post any.
    """
    deployment = yaml.safe_load(text)
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    if name == _OPERATOR:
        container["args"].append("--no-manage-webhook")
    else:
        container["args"] = [arg for arg in container["args"] if not arg.startswith("--attempts-url=")]
    return _yaml(deployment)


def _bundle(path: Path) -> bytes:
    from cryptography import x509

    try:
        data = path.read_bytes()
    except OSError as error:
        raise ManifestsError(f"{path}: cannot read the CA bundle: {error.strerror}") from None
    try:
        certificates = x509.load_pem_x509_certificates(data)
    except ValueError:
        raise ManifestsError(f"{path}: not a CA bundle: give PEM certificates (BEGIN CERTIFICATE)") from None
    # Written anew: a key that lies in the same file must not end up in the cluster.
    return b"".join(_pem(certificate) for certificate in certificates)


def _pem(certificate: Any) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    pem: bytes = certificate.public_bytes(Encoding.PEM)
    return pem


def _static_webhook(bundle: bytes) -> dict[str, Any]:
    """The configuration as the operator would write it, for the Service of these manifests."""
    from iocaudit.engine.catalogue import builtin_catalogue
    from iocaudit.engine.policy import PolicySet
    from iocaudit.install.webhook_configuration import Target, configuration

    catalogue = builtin_catalogue()
    (service, *_others) = yaml.safe_load_all(_read(_SERVICE))
    metadata = service["metadata"]
    target = Target(metadata["namespace"], metadata["name"], port=service["spec"]["ports"][0]["port"])
    return configuration(catalogue, PolicySet(catalogue), target, bundle)
