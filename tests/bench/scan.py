"""The scan against PyYAML's CSafeLoader merely loading the same files, in CPU seconds of whole processes."""

from __future__ import annotations

import compileall
import os
import resource
import shutil
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


def _scan(*arguments: str) -> float:
    return cpu_seconds([sys.executable, "-m", "iocaudit.cli", "scan", *arguments])


def _growth_row(title: str, seconds: list[tuple[int, float]], unit: str) -> Row:
    """What one more of something costs between the last two sizes, against the first two: 1 is linear."""
    (one, first), (some, second), (many, last) = seconds
    ratio = ((last - second) / (many - some)) / ((second - first) / (some - one))
    sizes = ", ".join(f"{count:,}: {spent:.2f} s" for count, spent in seconds)
    return (title, sizes, f"growth of the first two {unit}", f"{ratio:.2f}", "<= 1.3")


def growth_rows(folder: Path) -> Iterator[Row]:
    """Overlays of one repository, and containers of one object: the cost of one more must not grow."""
    with tempfile.TemporaryDirectory() as scratch:
        copies = []
        for count in (1, 4, 16):
            for number in range(count):
                shutil.copytree(folder / "argo-cd", Path(scratch, f"cluster-{number:02}"), dirs_exist_ok=True)
            copies.append((count, _scan("--jobs", "1", scratch)))
    yield _growth_row("scan of n copies of argo-cd", copies, "sizes")
    with tempfile.TemporaryDirectory() as scratch:
        containers = []
        for count in (1_000, 10_000, 40_000):
            file = Path(scratch, "pod.yaml")
            names = "".join(f"  - {{name: c{number}, image: b}}\n" for number in range(count))
            file.write_text(f"apiVersion: v1\nkind: Pod\nmetadata: {{name: a}}\nspec:\n  containers:\n{names}")
            containers.append((count, _scan(str(file))))
    yield _growth_row("scan of n containers in one pod", containers, "sizes")


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
