"""Run kubectl, and say what it printed where it fails."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from devcluster.errors import KubectlError


def run(
    program: Path,
    arguments: Sequence[str],
    environment: Mapping[str, str],
    *,
    input: str | None = None,
    check: bool = True,
    timeout: float = 60.0,
) -> subprocess.CompletedProcess[str]:
    """Raises KubectlError when it fails (unless ``check`` is False) or hangs."""
    try:
        result = subprocess.run(
            [str(program), *arguments],
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            env=environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise KubectlError(f"kubectl {' '.join(arguments)}: no answer within {timeout:.0f} s") from error
    if check and result.returncode != 0:
        raise KubectlError(f"kubectl {' '.join(arguments)}: {result.stderr.strip()}")
    return result
