"""Machine outputs hold every value as it is, and nothing that a terminal acts on or does not show."""

import json
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from iocaudit.sinks.escape import json_text
from tests.unit.sinks.samples import outputs, sample

_ACTED_ON = {"Cc", "Cf", "Zl", "Zp"}
"""Controls, what formats text (bidirectional controls are among these), and separators of lines."""
_UNSEEN = "\x7f\x85\x9b\u061c\u200b\u200e\u202e\u2028\u2066\u2069\ufeff"


@given(st.text(st.characters(codec="utf-8")))
@example(_UNSEEN)
def test_the_values_of_a_document_stay(value: str) -> None:
    text = json.dumps({value: [value]}, ensure_ascii=False)
    assert json.loads(json_text(text)) == {value: [value]}
    assert not set(_UNSEEN) & set(json_text(text))


@pytest.mark.parametrize("name", ["report.json", "report.sarif", "junit.xml"])
def test_no_machine_output_has_a_control_in_it(name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    report, reading = sample(tmp_path_factory.mktemp("sample"), f"a{_UNSEEN}é")
    text = outputs(report, reading)[name]
    assert [c for c in text if unicodedata.category(c) in _ACTED_ON and c not in "\n\t"] == []
    if name == "report.json":
        names = {finding["subject"]["name"] for finding in json.loads(text)["findings"]}
        assert names == {f"a{_UNSEEN}é"}
