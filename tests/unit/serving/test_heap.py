"""What was freed goes back to the system."""

import subprocess
import sys

_MEASURE = """
import resource
from pathlib import Path
from iocaudit.serving.heap import give_back, keep_large_blocks_apart

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() // 2**20

keep_large_blocks_apart()
before = resident()
large = [bytearray(b"x" * 200_000) for _ in range(500)]
small = [bytearray(b"x" * 20_000) for _ in range(2_000)]
held = resident()
last = bytearray(b"x" * 20_000)  # above all the others: without being told to, the library keeps what is below
del large, small
give_back()
print(held - before, resident() - before)
"""


def test_memory_of_what_is_gone_is_given_back() -> None:
    done = subprocess.run([sys.executable, "-c", _MEASURE], capture_output=True, text=True, check=True)
    held, left = map(int, done.stdout.split())
    assert held > 100
    assert left < 20
