"""``iocaudit incident`` on files: shows, exports, verifies, and says what is wrong."""

import json
from pathlib import Path

import pytest

from iocaudit.incidents.book import StrandSpan
from iocaudit.incidents.evidence_chain import canonical, file_of, heads
from iocaudit.incidents.evidence_store import EvidenceStore
from iocaudit.incidents.strand import StrandKey
from iocaudit.records.incident import incident_content
from tests.support.incidents import BEGIN, record
from tests.support.running import run

NAME = record().name
RECORDS = [canonical({"at": f"2026-11-30T10:00:0{n}Z", "message": f"step {n}", "source": "audit"}) for n in range(3)]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "evidence.jsonl"
    path.write_bytes(file_of(NAME, incident_content(record()), RECORDS))
    return path


def test_a_file_is_verified_by_itself_and_against_the_head(file: Path) -> None:
    code, printed, said = run("incident", "verify", str(file))
    assert (code, said) == (0, "")
    assert f"3 records of {NAME} are as they were written; without --cluster" in printed
    *_, (count, head) = heads(NAME, RECORDS)
    assert f"head {head}" in printed
    assert run("incident", "verify", str(file), f"--head={head}", f"--count={count}")[0] == 0
    code, _, said = run("incident", "verify", str(file), f"--head={'0' * 64}", f"--count={count}")
    assert code == 2
    assert "the chain was rebuilt" in said
    assert run("incident", "verify", str(file), f"--head={head}")[0] == 2
    assert run("incident", "verify", str(file), "--context=x")[0] == 2


def test_a_changed_file_is_named_with_its_record(file: Path) -> None:
    file.write_bytes(file.read_bytes().replace(b"step 1", b"step 9"))
    for command in ("verify", "show"):
        code, printed, said = run("incident", command, str(file))
        assert (code, printed) == (2, "")
        assert f"{file}: the records do not give the head" in said
        assert "Traceback" not in said


@pytest.mark.parametrize("output", ["table", "markdown", "html"])
def test_a_file_is_shown_with_its_records(file: Path, output: str) -> None:
    code, printed, said = run("incident", "show", str(file), "-o", output)
    assert (code, said) == (0, "")
    for words in (NAME, "step 2", "mallory", "kubectl"):
        assert words in printed


def test_a_file_is_shown_as_data(file: Path) -> None:
    found = json.loads(run("incident", "show", str(file), "-o", "json")[1])
    assert found["incident"]["severity"] == "high"
    assert [one["message"] for one in found["records"]] == ["step 0", "step 1", "step 2"]


def test_evidence_is_exported_from_the_folder_of_the_receivers(tmp_path: Path) -> None:
    store = EvidenceStore(tmp_path)
    key = StrandKey("a", "x", "shop", "Pod/p")
    store.add(key, BEGIN, "1", {"message": "seen"})
    store.flush()
    store.take_up(NAME, [StrandSpan(key, BEGIN, BEGIN)])
    store.describe(NAME, incident_content(record()))
    store.close()
    target = tmp_path / "out.jsonl"
    assert run("incident", "export", NAME, f"--data={tmp_path}", f"--output={target}") == (0, "", "")
    assert run("incident", "verify", str(target))[0] == 0
    code, printed, _ = run("incident", "export", NAME, f"--data={tmp_path}")
    assert (code, printed.encode()) == (0, target.read_bytes())
    code, _, said = run("incident", "export", "incident-x", f"--data={tmp_path}")
    assert code == 2
    assert "no evidence of 'incident-x'" in said


def test_a_folder_without_evidence_says_so(tmp_path: Path) -> None:
    code, _, said = run("incident", "export", NAME, f"--data={tmp_path}")
    assert code == 2
    assert "evidence.db: cannot be opened" in said


def test_a_name_that_is_nowhere_is_said_without_a_traceback(tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text("apiVersion: v1\nkind: Config\nclusters: []\n")
    code, _, said = run("incident", "show", "incident-x", f"--kubeconfig={config}")
    assert code == 2
    assert "Traceback" not in said
