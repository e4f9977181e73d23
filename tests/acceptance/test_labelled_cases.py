"""The labelled cases of the checks that exist come out right."""

from tests.acceptance import labelled


def test_every_row_in_scope_is_right() -> None:
    rows = [row for row in labelled.rows() if row.in_scope]
    assert len(rows) > 500, "the rows of the first catalogue are missing"
    wrong = []
    for row in rows:
        report = labelled.report_of(row)
        assert not report.faults, (row.id, report.faults)
        known = row.id in labelled.EXCEPTIONS or row.id in labelled.OVERRULED
        if not known and not labelled.is_right(row, report):
            wrong.append(f"{row.id}: {row.raw['check']} should be {row.raw['expect']}")
    assert not wrong, "\n".join(wrong)


def test_exceptions_are_few_and_still_needed() -> None:
    rows = {row.id: row for row in labelled.rows() if row.in_scope}
    assert len(labelled.EXCEPTIONS) <= len(rows) // 100
    assert len(labelled.OVERRULED) <= len(rows) // 50
    for name, reason in (labelled.EXCEPTIONS | labelled.OVERRULED).items():
        assert len(reason) > 20
        assert not labelled.is_right(rows[name], labelled.report_of(rows[name])), f"{name} is right: drop it"


def test_every_manifest_is_audited_without_a_fault() -> None:
    faults = []
    for row in labelled.rows():
        if row.raw["input"] == "manifest":
            faults += [(row.id, fault) for fault in labelled.report_of(row).faults]
    assert not faults
