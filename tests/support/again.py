"""What failed in the last `make test`, run once more with nothing beside it.

A machine with two cores that runs two parts at a time may stand still for longer than a test of real processes waits.
Each failed test is therefore run again, alone. What fails again fails; what passes is named as unstable, for somebody
to mend. Many failures at once are no such accident, and nothing is repeated.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

EXIT_STATUS = "iocaudit/exitstatus"
MOST_FAILURES = 6
_PASSED, _FAILED = 0, 1
_FOLDERS = {"test-cases": "acceptance"}


class NotRepeatedError(Exception):
    """Why the failures of a part stand as they are."""


def main(parts: Sequence[str]) -> int:
    """Repeat what failed in these parts of `make test`; the exit code is 0 where all of it passes now."""
    unstable: list[str] = []
    for part in parts:
        try:
            unstable += _passing_now(part)
        except NotRepeatedError as error:
            print(f"{part}: {error}", file=sys.stderr)
            return 1
    for test in unstable:
        print(f"unstable: failed, then passed when run alone: {test}", file=sys.stderr)
    return 0


def failures(cache: Path) -> list[str]:
    """The tests that failed in the run that left this cache. Raises NotRepeatedError where that does not say enough."""
    try:
        status = json.loads((cache / "v" / EXIT_STATUS).read_text())
    except (OSError, ValueError):
        raise NotRepeatedError("the run did not come to its end") from None
    if status == _PASSED:
        return []
    if status != _FAILED:
        raise NotRepeatedError(f"the run ended with status {status}, not with failed tests")
    failed = list(json.loads((cache / "v/cache/lastfailed").read_text()))
    if len(failed) > MOST_FAILURES:
        raise NotRepeatedError(f"{len(failed)} tests failed, more than the {MOST_FAILURES} that are repeated")
    return failed


def _passing_now(part: str) -> list[str]:
    cache = Path(".pytest_cache") / part
    failed = failures(cache)
    if failed:
        command = [sys.executable, "-m", "pytest", "-q", "-o", f"cache_dir={cache}", "--last-failed"]
        command += ["--last-failed-no-failures=none", f"tests/{_FOLDERS.get(part, part)}"]
        if subprocess.run(command, check=False).returncode != _PASSED:
            raise NotRepeatedError("failed again")
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
