"""The API server in memory keeps what it promises; `tests/cluster/test_api_contract.py` asks the same of a real one."""

import pytest

from tests.support.api import FakeApi
from tests.support.contract import CONTRACT, Contract


@pytest.mark.parametrize("promise", CONTRACT, ids=lambda one: one.__name__)
def test_the_api_server_in_memory(promise: Contract) -> None:
    promise(FakeApi("shop"), "shop")
