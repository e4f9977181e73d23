"""Every credential found in the configuration files of real projects was looked at by a person.

``credentials.toml`` holds a verdict for each, under a fingerprint of its place and kind: no text of any file. A hit
that is not in it fails the test until somebody has looked at it.
"""

import tomllib
from collections import Counter
from pathlib import Path

from iocaudit.core.identity import fingerprint
from iocaudit.scanning.scan import ScanOptions, scan_files
from tests.acceptance import labelled

_VERDICTS: dict[str, str] = tomllib.loads((labelled.HERE / "credentials.toml").read_text("utf-8"))["verdicts"]
_CHECKS = ("secret-in-configmap", "secret-in-env")


def test_every_credential_was_reviewed_and_next_to_none_is_false() -> None:
    folder = labelled.folder("IOCAUDIT_REALWORLD", "../shared/realworld")
    scan = scan_files([str(folder)], labelled.CATALOGUE, ScanOptions(profile="strict"))
    verdicts: Counter[str] = Counter()
    unseen = []
    for one in scan.report.found:
        if one.check not in _CHECKS:
            continue
        file = str(Path(one.origin.file or "").relative_to(folder))
        place = fingerprint("credential", file, one.subject.kind, one.subject.name, one.hit.path, one.hit.evidence)
        verdict = _VERDICTS.get(place)
        verdicts[verdict or "unseen"] += 1
        if verdict is None:
            unseen.append(f'"{place}" = ""  # {file} {one.hit.path}: {one.hit.evidence}')
    assert not unseen, "look at these, and add them with their verdict:\n" + "\n".join(unseen)
    assert verdicts["false"] * 1000 <= scan.files
    assert verdicts["literal"] == list(_VERDICTS.values()).count("literal"), "one that was found is found no more"
