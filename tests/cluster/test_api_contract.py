"""A real API server answers as the one in memory does, on which the unit tests of everything else rely."""

from collections.abc import Iterator

import pytest

from devcluster.controlplane import ControlPlane
from iocaudit.cluster.client import Client
from tests.cluster.installing import install_crds
from tests.support.contract import CONTRACT, Contract


@pytest.fixture(scope="module")
def client(control_plane: ControlPlane) -> Iterator[Client]:
    install_crds(control_plane, None)
    found = Client.connect(control_plane.kubeconfig)
    yield found
    found.close()


@pytest.mark.parametrize("promise", CONTRACT, ids=lambda one: one.__name__)
def test_a_real_api_server(promise: Contract, client: Client, namespace: str) -> None:
    promise(client, namespace)
