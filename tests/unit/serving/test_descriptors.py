"""The limit of open files is raised, and connections never take the last ones."""

import resource
import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from iocaudit.serving.descriptors import RESERVE, shared_out

_RAISE = "from iocaudit.serving.descriptors import raise_limit; print(raise_limit())"


def test_the_soft_limit_is_raised_to_the_hard_one() -> None:
    def lower() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (300, 1000))

    done = subprocess.run([sys.executable, "-c", _RAISE], preexec_fn=lower, capture_output=True, text=True, check=True)
    assert int(done.stdout) == 1000


@given(st.lists(st.integers(1, 5000), min_size=1, max_size=4), st.integers(64, 100_000))
def test_all_together_leave_what_everything_else_needs(wanted: list[int], limit: int) -> None:
    shared = shared_out(wanted, limit)
    assert all(1 <= given <= asked for given, asked in zip(shared, wanted, strict=True))
    assert sum(shared) <= max(limit - RESERVE, limit // 2) + len(wanted)
    if sum(wanted) <= limit - RESERVE:
        assert shared == wanted
