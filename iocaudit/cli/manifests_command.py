"""``iocaudit manifests``: what installs the auditor, from the very files that ``kubectl apply -k`` takes."""

import json
import re
from collections.abc import Iterator
from functools import partial
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import click
import yaml

from iocaudit import __version__
from iocaudit.core.errors import IocauditError
from iocaudit.core.own_names import NAMESPACE
from iocaudit.engine.presets import Preset

_OPERATOR = "base/operator.yaml"
_ADMISSION = "base/admission.yaml"
_SERVICE = "base/services.yaml"
_IMAGE = f"ghcr.io/iocaudit/iocaudit:{__version__}"
_IMAGE_TEXT = re.compile(r"[A-Za-z0-9][\w./:@-]*")
_RESOURCE = re.compile(r"[a-z][a-z0-9]*(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
_DETECTIONS = {
    "audit-policy": "detections/audit/policy.yaml",
    "dashboard": "detections/prometheus/dashboard.json",
    "falco": "detections/falco/iocaudit_rules.yaml",
    "falco-audit": "detections/falco/iocaudit_audit_rules.yaml",
    "prometheus": "detections/prometheus/prometheus-rule.yaml",
}
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


class ManifestsError(IocauditError):
    """The certificate bundle cannot be used; names the file and what to do."""


@click.command("manifests")
@click.option(
    "--preset",
    type=click.Choice([preset.value for preset in Preset]),
    default=Preset.WARN.value,
    show_default=True,
    help="The preset of AuditPolicy iocaudit-default: what happens on a hit where no policy names its check.",
)
@click.option("--image", metavar="IMAGE", help=f"The image that the Deployments run  [default: {_IMAGE}]")
@click.option(
    "--namespace",
    metavar="NS",
    default=NAMESPACE,
    show_default=True,
    help="The namespace that everything is installed in.",
)
@click.option(
    "--rules-need",
    "needs",
    metavar="RESOURCE",
    multiple=True,
    help="Print only the right of operator and webhook to read what rules look up by needs, such as "
    "resourcequotas or teams.platform.example.com; repeatable.",
)
@click.option(
    "--receivers",
    is_flag=True,
    help="Print the receivers of signals too: make Secret iocaudit-senders first (docs/receivers.md).",
)
@click.option(
    "--ephemeral",
    is_flag=True,
    help="With --receivers: without a PersistentVolume. What the pod has not handed on is lost with it.",
)
@click.option(
    "--detections",
    type=click.Choice(sorted(_DETECTIONS)),
    help="Print only what has others report the indicators: rules for Falco or Prometheus, an audit policy, "
    "a dashboard for Grafana (docs/detections.md).",
)
@click.option("--crds", is_flag=True, help="Print only the CustomResourceDefinitions: apply them first.")
@click.option(
    "--static-webhook",
    is_flag=True,
    help="Print the ValidatingWebhookConfiguration too; you manage it and the certificates, the operator does not.",
)
@click.option(
    "--ca-bundle",
    type=click.Path(path_type=Path),
    help="With --static-webhook: PEM certificates of the CA that signed the webhook's certificate.",
)
def command(
    preset: str,
    image: str | None,
    namespace: str,
    needs: tuple[str, ...],
    receivers: bool,
    ephemeral: bool,
    detections: str | None,
    crds: bool,
    static_webhook: bool,
    ca_bundle: Path | None,
) -> int:
    """Print what installs the auditor in a cluster: CRDs, namespace, rights, Deployments, the default policy.

    kubectl looks every kind up before it applies anything, so the first install takes two commands:

    \b
      iocaudit manifests --crds | kubectl apply --server-side -f -
      iocaudit manifests | kubectl apply --server-side -f -

    With preset observe or warn nothing is denied, and no request fails where the webhook is away.
    """
    if detections is not None and (needs or receivers or crds or static_webhook):
        raise click.UsageError("--detections prints nothing else: leave out the other options")
    if static_webhook != (ca_bundle is not None):
        raise click.UsageError("--static-webhook and --ca-bundle FILE go together")
    if crds and static_webhook:
        raise click.UsageError("--crds prints nothing else: leave out --static-webhook")
    if ephemeral and not receivers:
        raise click.UsageError("--ephemeral goes with --receivers")
    if receivers and (crds or static_webhook):
        raise click.UsageError(
            "--receivers needs a certificate of the operator's: leave out --static-webhook and --crds"
        )
    if not _LABEL.fullmatch(namespace):
        raise click.UsageError(f"--namespace {namespace!r} is not the name of a namespace")
    if image is not None and not _IMAGE_TEXT.fullmatch(image):
        raise click.UsageError(f"--image {image!r} is not an image")
    for resource in needs:
        _require_resource(resource)
    if needs and (crds or static_webhook):
        raise click.UsageError("--rules-need prints nothing else: leave out --crds and --static-webhook")
    if detections is not None:
        text = _read(_DETECTIONS[detections])
        click.echo(_changed(text, preset=Preset.WARN, image=_IMAGE, namespace=namespace), nl=False)
        return 0
    if needs:
        from iocaudit.install.rbac import rights_of_rules

        click.echo("---\n".join(_yaml(one) for one in rights_of_rules(needs, namespace)), nl=False)
        return 0
    # The bundle first: nothing is printed that someone's kubectl would apply by half.
    bundle = None if ca_bundle is None else _bundle(ca_bundle)
    change = partial(_changed, preset=Preset(preset), image=image or _IMAGE, namespace=namespace)
    texts = [change(text) for text in _texts(unmanaged=bundle is not None, only="crds/" if crds else "")]
    if receivers:
        texts = [_told_of_receivers(text) for text in texts]
        texts.append(change(_receivers(ephemeral=ephemeral)))
    if not crds:
        texts += _rights_of_own_checks(namespace)
    if bundle is not None:
        texts.append(_yaml(_static_webhook(bundle, Preset(preset), namespace)))
    click.echo("---\n".join(texts), nl=False)
    return 0


def _require_resource(resource: str) -> None:
    """Raises click.UsageError where it is not the name of a resource, or one that is never read."""
    if not _RESOURCE.fullmatch(resource):
        raise click.UsageError(
            f"--rules-need {resource!r} is not the name of a resource: write services or ingresses.networking.k8s.io"
        )
    if resource == "secrets":
        raise click.UsageError("--rules-need secrets: Secrets are never read")


def _changed(text: str, *, preset: Preset, image: str, namespace: str) -> str:
    """A manifest with another preset, image or namespace than the files have: the files hold each in few places."""
    text = text.replace(f"  preset: {Preset.WARN}\n", f"  preset: {preset}\n")
    text = text.replace(f"image: {_IMAGE}\n", f"image: {image}\n")
    if namespace == NAMESPACE:
        return text
    text = re.sub(rf"\bnamespace: {NAMESPACE}$", f"namespace: {namespace}", text, flags=re.MULTILINE)
    text = re.sub(rf"^(kind: Namespace\nmetadata:\n  name:) {NAMESPACE}$", rf"\1 {namespace}", text, flags=re.MULTILINE)
    return text.replace(f".{NAMESPACE}.svc", f".{namespace}.svc")


def folder() -> Traversable:
    """The manifests: in a clone a link to the folder of that name, in a wheel a folder of the package."""
    return resources.files("iocaudit").joinpath("manifests")


def shipped() -> Iterator[tuple[str, str]]:
    """Every manifest that is installed: its path below the folder and its text, in the order of kustomize."""
    for name in yaml.safe_load(_read("kustomization.yaml"))["resources"]:
        yield name, _read(name)


def _texts(*, unmanaged: bool, only: str = "") -> Iterator[str]:
    """The manifests of the folders whose names begin with ``only``."""
    for name, text in shipped():
        if name.startswith(only):
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


def _told_of_receivers(text: str) -> str:
    """The operator issues their certificate."""
    return text.replace("        - operator\n", "        - operator\n        - --receivers\n")


def receivers_manifest() -> str:
    """What receives signals."""
    return _read("receivers/receivers.yaml")


def _receivers(*, ephemeral: bool) -> str:
    """The same; ``ephemeral`` with a volume that goes with the pod."""
    text = receivers_manifest()
    if not ephemeral:
        return text
    *others, stateful_set = text.split("---\n")
    document = yaml.safe_load(stateful_set)
    (claim,) = document["spec"].pop("volumeClaimTemplates")
    volume = {
        "name": claim["metadata"]["name"],
        "emptyDir": {"sizeLimit": claim["spec"]["resources"]["requests"]["storage"]},
    }
    document["spec"]["template"]["spec"]["volumes"].append(volume)
    return "---\n".join([*others, _yaml(document)])


def _bundle(path: Path) -> bytes:
    from cryptography import x509

    try:
        data = path.read_bytes()
    except OSError as error:
        raise ManifestsError(f"{path}: cannot read the CA bundle: {error.strerror}") from error
    try:
        certificates = x509.load_pem_x509_certificates(data)
    except ValueError as error:
        raise ManifestsError(f"{path}: not a CA bundle: give PEM certificates (BEGIN CERTIFICATE)") from error
    # Written anew: a key that lies in the same file must not end up in the cluster.
    return b"".join(_pem(certificate) for certificate in certificates)


def _pem(certificate: Any) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    pem: bytes = certificate.public_bytes(Encoding.PEM)
    return pem


def _rights_of_own_checks(namespace: str) -> list[str]:
    """What checks of other packages read beside what the product's own do; a broken one prints nothing at all."""
    from iocaudit.engine.catalogue import indexed_catalogue
    from iocaudit.install.rbac import rights_of_own_checks

    return [_yaml(one) for one in rights_of_own_checks(indexed_catalogue(), namespace)]


def _static_webhook(bundle: bytes, preset: Preset, namespace: str) -> dict[str, Any]:
    """The configuration as the operator would write it, for the Service of these manifests."""
    from iocaudit.engine.catalogue import installed_catalogue
    from iocaudit.engine.policy_set import PolicySet
    from iocaudit.install.webhook_configuration import WebhookTarget, configuration

    catalogue = installed_catalogue()
    (service, *_others) = yaml.safe_load_all(_read(_SERVICE))
    metadata = service["metadata"]
    target = WebhookTarget(namespace, metadata["name"], port=service["spec"]["ports"][0]["port"])
    return configuration(catalogue, PolicySet(catalogue, preset=preset), target, bundle)
