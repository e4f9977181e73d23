"""How the right to read a kind is named and granted."""

from iocaudit.core.kinds import INGRESS, SERVICE
from iocaudit.live.needs import grant_of, resource_of, with_grant


def test_a_kind_is_named_as_rbac_names_its_objects() -> None:
    assert resource_of(INGRESS) == "ingresses.networking.k8s.io"
    assert resource_of(SERVICE) == "services"


def test_only_what_is_forbidden_can_be_granted() -> None:
    said = with_grant(INGRESS, "forbidden: no")
    assert said == f"forbidden: no. Grant it: {grant_of(INGRESS)}"
    assert grant_of(INGRESS).startswith("iocaudit manifests --rules-need ingresses.networking.k8s.io | kubectl apply")
    assert with_grant(INGRESS, "it is not loaded yet") == "it is not loaded yet"
