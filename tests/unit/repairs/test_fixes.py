"""Repairs carried out on the bytes of files: what changes, what is refused, and what is put back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from iocaudit.core.json_patch import apply
from iocaudit.core.repair import put
from iocaudit.core.report import ReportedHit
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.repairs.fixes import FixedFile, fix
from iocaudit.scanning.reading import Scan
from iocaudit.scanning.repairing import RepairOutcome, repair
from iocaudit.scanning.scan import ScanOptions, scan_files
from iocaudit.sources.documents import Document, read_documents

CATALOGUE = builtin_catalogue()
POD = """\
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop}
spec:
  hostPID: true  # for the debugger
  # the only one
  containers:
    - name: app
      image: hooli.com/web:1
"""


def _found(data: bytes, *checks: str, name: str = "a.yaml") -> list[ReportedHit]:
    options = ScanOptions(profile="strict", suggest="text")
    return scan_files([name], CATALOGUE.select(set(checks)), options, texts={name: data}).report.found


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder with the file the tests speak of: its bytes come from elsewhere."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.yaml", "a.json"):
        (tmp_path / name).write_bytes(b"")
    return tmp_path


def _fixed(data: bytes, *checks: str, name: str = "a.yaml") -> FixedFile:
    found = _found(data, *checks, name=name)
    assert found
    return fix(data, name, found)


@pytest.mark.usefixtures("folder")
def test_one_line_goes_and_every_other_stays() -> None:
    fixed = _fixed(POD.encode(), "host-pid")
    assert fixed.data.decode() == POD.replace("  hostPID: true  # for the debugger\n", "")
    assert [one.check for one in fixed.done] == ["host-pid"]
    assert not fixed.refused


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_line_breaks_and_the_byte_order_mark_stay(newline: str, mark: bytes) -> None:
    text = POD.replace("\n", newline)
    fixed = _fixed(mark + text.encode(), "writable-root-filesystem")
    added = f"      securityContext:{newline}        readOnlyRootFilesystem: true{newline}"
    assert fixed.data == mark + (text + added).encode()


@pytest.mark.usefixtures("folder")
def test_a_file_without_a_last_line_break_gets_none() -> None:
    fixed = _fixed(POD.rstrip().encode(), "privilege-escalation-allowed")
    assert fixed.data.decode().endswith("      securityContext:\n        allowPrivilegeEscalation: false")


@pytest.mark.usefixtures("folder")
def test_only_the_document_of_the_hit_changes() -> None:
    other = "# first\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a: 'on', b:   \"1\"}\n"
    broken = "kind: {{ .Values.kind }}: x\n"
    text = f"{other}---\n{POD}--- # third\n{broken}---\n{POD.replace('web', 'two')}"
    fixed = _fixed(text.encode(), "host-pid")
    assert fixed.data.decode() == text.replace("  hostPID: true  # for the debugger\n", "")
    assert len(fixed.done) == 2


@pytest.mark.usefixtures("folder")
def test_the_items_of_a_list_are_told_apart() -> None:
    items = "".join("- " + line if not n else "  " + line for n, line in enumerate(POD.splitlines(keepends=True)))
    text = f"apiVersion: v1\nkind: List\nitems:\n{items}{items.replace('hostPID: true', 'hostPID: false')}"
    fixed = _fixed(text.encode(), "host-pid")
    assert fixed.data.decode() == text.replace("    hostPID: true  # for the debugger\n", "")


@pytest.mark.usefixtures("folder")
def test_json_stays_as_it_was_indented() -> None:
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {"containers": [{"name": "b"}]}}
    text = json.dumps(pod, indent=4)
    fixed = _fixed(text.encode(), "privilege-escalation-allowed", name="a.json")
    pod["spec"]["containers"][0]["securityContext"] = {"allowPrivilegeEscalation": False}  # type: ignore[index]
    assert fixed.data.decode() == json.dumps(pod, indent=4)


@pytest.mark.usefixtures("folder")
def test_json_texts_one_after_another() -> None:
    one = '{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"},"spec":{"hostPID":true,"containers":[]}}'
    fixed = _fixed(f"{one}\n{one}\n".encode(), "host-pid", name="a.json")
    assert fixed.data.decode() == f"{one}\n{one}\n".replace('"hostPID":true,', "")


@pytest.mark.usefixtures("folder")
def test_what_an_alias_shares_is_refused_and_the_rest_done() -> None:
    text = (
        "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  hostPID: true\n  containers:\n"
        "  - {name: b, image: x, securityContext: &s {privileged: true}}\n"
        "  - {name: c, image: x, securityContext: *s}\n"
    )
    fixed = _fixed(text.encode(), "host-pid", "privileged-container")
    assert fixed.data.decode() == text.replace("  hostPID: true\n", "")
    assert ["more than one place" in one.reason for one in fixed.refused] == [True, True]


@pytest.mark.usefixtures("folder")
def test_the_end_of_a_document_stays_its_end() -> None:
    text = f"{POD}...\n---\n{POD.replace('hostPID', 'hostIPC')}"
    fixed = _fixed(text.encode(), "host-ipc", "writable-root-filesystem")
    added = "      securityContext:\n        readOnlyRootFilesystem: true\n"
    last = POD.replace("  hostPID: true  # for the debugger\n", "")
    assert fixed.data.decode() == f"{POD}{added}...\n---\n{last}{added}"


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_what_is_not_utf_8_is_refused(encoding: str) -> None:
    data = POD.encode(encoding)
    fixed = _fixed(data, "host-pid")
    assert fixed.data == data
    assert "UTF-8" in fixed.refused[0].reason


@pytest.mark.usefixtures("folder")
def test_another_file_than_the_one_that_was_scanned_is_refused() -> None:
    found = _found(POD.encode(), "host-pid")
    for other in (POD.replace("web,", "other,"), "a: 1\n"):
        fixed = fix(other.encode(), "a.yaml", found)
        assert fixed.data == other.encode()
        assert "changed" in fixed.refused[0].reason


@pytest.mark.usefixtures("folder")
def test_bytes_that_are_no_text_stay_in_their_document() -> None:
    data = b"a: \xff\n---\n" + POD.encode()
    assert _fixed(data, "host-pid").data == data.replace(b"  hostPID: true  # for the debugger\n", b"")


def _repaired(data: bytes, *checks: str, unsafe: bool = True) -> RepairOutcome:
    catalogue = CATALOGUE.select(set(checks)) if checks else CATALOGUE

    def rescan(texts: object) -> Scan:
        assert isinstance(texts, dict)
        return scan_files(["-"], catalogue, ScanOptions(profile="strict"), texts=texts)

    return repair(rescan, unsafe=unsafe, forbidden={}, given={"-": data})


def test_repairs_that_bring_others_about_go_on_until_nothing_is_left() -> None:
    text = POD.replace("hostPID: true", "hostNetwork: true") + "      ports: [{containerPort: 80, hostPort: 80}]\n"
    outcome = _repaired(text.encode())
    left = {found.check for found in outcome.scan.report.found}
    assert not left & {"host-network", "host-port", "privilege-escalation-allowed"}
    assert "host-port" not in {found.check for found in outcome.first.report.found}
    assert "ports: [{containerPort: 80}]" in outcome.after["-"].decode()
    assert _repaired(outcome.after["-"]).after == {}, "a second run changes something"


def test_without_unsafe_nothing_unsafe_is_done() -> None:
    outcome = _repaired(POD.encode(), unsafe=False)
    assert outcome.after == {}
    assert outcome.unsafe > 0


def test_a_repair_that_does_not_help_is_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("checks.host_namespaces.remove", lambda: put("x", "metadata.labels.a"))
    outcome = _repaired(POD.encode(), "host-pid", "host-ipc")
    assert outcome.after == {}
    assert [one.reason for one in outcome.refused] == ["it is still found after the change"]
    assert [found.check for found in outcome.scan.report.found] == ["host-pid"]


@pytest.mark.usefixtures("folder")
def test_the_regions_of_a_suggestion_make_the_same_text_as_the_fix() -> None:
    text = f"# é\n---\n{POD}"
    for check in ("host-pid", "writable-root-filesystem", "may-run-as-root"):
        (found,) = _found(text.encode(), check)
        assert found.suggestion is not None
        lines = text.split("\n")
        starts = [sum(len(line) + 1 for line in lines[:number]) for number in range(len(lines) + 1)]
        changed = text
        for change in reversed(found.suggestion.changes):
            start = starts[change.start_line - 1] + change.start_column - 1
            end = starts[change.end_line - 1] + change.end_column - 1
            changed = changed[:start] + change.text + changed[end:]
        assert changed.encode() == fix(text.encode(), "a.yaml", [found]).data
        (document,) = [one for one in read_documents(text.encode(), "a.yaml", lambda *_: True) if _is_document(one)]
        (after,) = [one for one in read_documents(changed.encode(), "a.yaml", lambda *_: True) if _is_document(one)]
        assert isinstance(document, Document)
        assert isinstance(after, Document)
        assert after.value == apply(document.value, found.suggestion.patch)


def _is_document(outcome: object) -> bool:
    return isinstance(outcome, Document)
