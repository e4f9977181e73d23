"""Secrets in files can be looked up, and their values cannot get out."""

from collections.abc import Iterator

from iocaudit.core.check import check
from iocaudit.core.hit import Hit
from iocaudit.core.kinds import SECRET, SERVICE_ACCOUNT
from iocaudit.core.resource import Resource
from iocaudit.core.severity import IoC, Severity
from iocaudit.core.world import World
from iocaudit.engine.catalogue import Catalogue
from iocaudit.scanning.reading import Reader, Scan
from iocaudit.scanning.subjects import AuditSubject

VALUE = "aHVudGVyMg=="
SECRETS = f"""\
apiVersion: v1
kind: Secret
metadata:
  name: token
  annotations:
    kubernetes.io/service-account.name: robot
    kubectl.kubernetes.io/last-applied-configuration: '{{"data": {{"a": "{VALUE}"}}}}'
data: {{a: {VALUE}}}
stringData: {{b: {VALUE}}}
---
apiVersion: v1
kind: SecretList
items:
- {{metadata: {{name: other}}, data: [{VALUE}]}}
"""


@check(
    "tells-secrets",
    severity=Severity.LOW,
    iocs=(IoC.USER_ACTIVITY,),
    group="test",
    looks_at=(SERVICE_ACCOUNT,),
    in_files=(SECRET,),
)
def tells_secrets(resource: Resource, world: World) -> Iterator[Hit]:
    """Print all there is of Secrets."""
    for secret in world.all(SECRET, near=resource):
        yield Hit("metadata.name", f"{secret.raw}", "")


def test_a_check_sees_secrets_in_files_without_their_values() -> None:
    catalogue = Catalogue([tells_secrets])
    came = Scan()
    reader = Reader(catalogue, "default")
    waiting = reader.take(SECRETS.encode(), "a.yaml", came)
    said = [str(entry.resource.raw) for entry in waiting.entries if isinstance(entry, AuditSubject)]
    assert [secret.name for secret in reader.world.all(SECRET)] == ["token", "other"]
    assert len(said) == 2
    assert "robot" in said[0]
    assert "'a': ''" in said[0]
    assert not any(VALUE in text for text in said)


def test_nobody_reads_secrets_from_a_cluster_for_it() -> None:
    catalogue = Catalogue([tells_secrets])
    assert SECRET not in catalogue.world_kinds
    assert SECRET not in catalogue.audited_kinds
    assert SECRET not in catalogue.admission_world_kinds
