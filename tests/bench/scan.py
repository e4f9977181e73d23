"""The scan against PyYAML's CSafeLoader merely loading the same files, in CPU seconds of whole processes."""

from __future__ import annotations

import compileall
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

Row = tuple[str, str, str, str, str]

_LOAD = """
import sys, yaml
from pathlib import Path
for path in sorted(Path(sys.argv[1]).rglob("*")):
    if path.suffix in (".yaml", ".yml", ".json"):
        try:
            list(yaml.load_all(path.read_bytes(), Loader=yaml.CSafeLoader))
        except yaml.YAMLError:
            pass
"""
_POD = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: a, image: b}]}\n"


def cpu_seconds(command: Sequence[str]) -> float:
    """User and system time of one run of a command, its children included."""
    # As installed: pip compiles what it installs, a clone under PYTHONDONTWRITEBYTECODE would compile at each start.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime - before.ru_utime) + (after.ru_stime - before.ru_stime)


def scan_rows(folder: Path) -> Iterator[Row]:
    for package in ("iocaudit", "checks"):
        compileall.compile_dir(Path(__file__).parents[2] / package, quiet=1)
    for title, path, target, runs in (("argo-cd", folder / "argo-cd", 0.15, 3), ("all of it", folder, 0.25, 2)):
        ours, theirs = [], []
        for _ in range(runs):
            ours.append(cpu_seconds([sys.executable, "-m", "iocaudit.cli", "scan", str(path)]))
            theirs.append(cpu_seconds([sys.executable, "-c", _LOAD, str(path)]))
        ratio = median(a / b for a, b in zip(ours, theirs, strict=True))
        yield (
            f"scan of {title}",
            f"{median(ours):.2f} s",
            f"CSafeLoader {median(theirs):.2f} s",
            f"{ratio:.3f}",
            f"<= {target}",
        )
    with tempfile.TemporaryDirectory() as scratch:
        single = os.path.join(scratch, "pod.yaml")
        Path(single).write_text(_POD)
        ours = [cpu_seconds([sys.executable, "-m", "iocaudit.cli", "scan", single]) for _ in range(7)]
        bare = [cpu_seconds([sys.executable, "-c", "pass"]) for _ in range(7)]
    limit = 5 * median(bare) + 0.04
    yield (
        "scan of one small file",
        f"{median(ours) * 1000:.0f} ms",
        f"python -c pass {median(bare) * 1000:.0f} ms",
        f"{median(ours) / median(bare):.1f}",
        f"<= {limit * 1000:.0f} ms",
    )
