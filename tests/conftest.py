"""Settings for every test: property tests are deterministic and bounded, and what was too slow once is tried again."""

import pytest
from hypothesis import HealthCheck, settings

from tests.support.again import EXIT_STATUS
from tests.support.bounded import repeated

settings.register_profile(
    "ci", derandomize=True, deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("ci")


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> None:
    pyfuncitem.obj = repeated(pyfuncitem.obj)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if session.config.cache is not None:
        session.config.cache.set(EXIT_STATUS, int(exitstatus))
