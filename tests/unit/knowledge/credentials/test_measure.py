"""How well credentials are told from what is none, in generated configuration files whose truth is known.

``IOCAUDIT_CONFIGURATION_FORMATS`` names a further file of formats, ``IOCAUDIT_CONFIGURATION_SEED`` another seed.
"""

import os
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iocaudit.knowledge.credentials.credential import in_text
from tests.unit.knowledge.credentials.configurations.generator import HERE, Format, Sample, formats

LEAST = 0.98
"""Of precision, and of recall: also in the documentation of ``secret-in-configmap``."""
_FILES = [
    HERE / "formats.toml",
    HERE / "held_out.toml",
    *map(Path, filter(None, [os.environ.get("IOCAUDIT_CONFIGURATION_FORMATS")])),
]
_SEED = int(os.environ.get("IOCAUDIT_CONFIGURATION_SEED", "20"))
_SAMPLES = 120


def _judged(form: Format, seed: int, count: int = _SAMPLES) -> Iterator[tuple[Sample, int]]:
    for sample in form.samples(random.Random(f"{seed} {form.name}"), count):
        yield sample, len(list(in_text(sample.text)))


def test_there_are_formats_enough() -> None:
    assert len({form.name for file in _FILES[:1] for form in formats(file)}) >= 20
    assert len({form.name for file in _FILES[1:2] for form in formats(file)}) >= 10


@pytest.mark.parametrize("file", _FILES, ids=lambda file: file.stem)
def test_precision_and_recall(file: Path) -> None:
    counts: Counter[str] = Counter()
    wrong = []
    for form in formats(file):
        for sample, found in _judged(form, _SEED):
            right = "hit" if sample.is_credential else "quiet"
            counts[right if bool(found) == sample.is_credential else f"not {right}"] += 1
            if bool(found) != sample.is_credential:
                wrong.append(f"{form.name}: {sample.what}")
    precision = counts["hit"] / (counts["hit"] + counts["not quiet"])
    recall = counts["hit"] / (counts["hit"] + counts["not hit"])
    said = f"precision {precision:.4f}, recall {recall:.4f} of {sum(counts.values())}"
    assert min(precision, recall) >= LEAST, said + "\n" + "\n".join(sorted(set(wrong)))


@given(st.sampled_from([form for file in _FILES for form in formats(file)]), st.integers(0, 1 << 30))
def test_a_credential_is_told_once_and_never_shown(form: Format, seed: int) -> None:
    for sample, found in _judged(form, seed, 4):
        assert found <= 1, sample.text
    for sample in form.samples(random.Random(seed), 4):
        for credential in in_text(sample.text):
            assert 3 <= credential.length <= 90
            assert len(credential.name) <= 60
