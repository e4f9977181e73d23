"""What a declaration's mapping to controls means."""

import re

import pytest

from iocaudit.core.check import Check
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.knowledge.controls import ATTACK, CIS, CIS_EDITIONS, FRAMEWORKS, MS, NSA, OWASP, Framework, controls_of

CATALOGUE = builtin_catalogue()
PATTERNS = {
    "pss": r"(baseline|restricted)/[A-Za-z_]+",
    "cis": r"5\.[1-7](\.\d+)?",
    "attack": r"T\d{4}(\.\d{3})?",
    "ms": r"MS-TA9\d{3}",
    "owasp": r"K(0[1-9]|10)",
    "nsa": r"[A-Z][A-Za-z -]+",
}


def cis(**mapping: str) -> dict[str | None, list[tuple[str, str]]]:
    found: dict[str | None, list[tuple[str, str]]] = {}
    for control in controls_of({key.replace("_", "-", 1).replace("_", "."): value for key, value in mapping.items()}):
        found.setdefault(control.edition, []).append((control.id, control.title))
    return found


def test_earlier_numbers_of_cis_follow_from_the_newest() -> None:
    assert {edition: numbers[0][0] for edition, numbers in cis(cis_1_12="5.2.11").items()} == {
        "1.12": "5.2.11", "1.11": "5.2.12", "1.10": "5.2.12", "1.9": "5.2.12",
    }  # fmt: skip
    assert {edition: numbers[0] for edition, numbers in cis(cis_1_12="5.6.2").items()} == {
        "1.12": ("5.6.2", "seccomp profile"),
        "1.11": ("5.6.2", "seccomp profile"),
        "1.10": ("5.7.2", "seccomp profile"),
        "1.9": ("5.7.2", "seccomp profile"),
    }
    assert cis(cis_1_12="5.2.8, 5.2.9")["1.9"] == [
        ("5.2.8", "capability NET_RAW"), ("5.2.10", "capabilities assigned"),
    ]  # fmt: skip
    assert {edition: numbers[0][0] for edition, numbers in cis(cis_1_12="5.1.10").items()} == dict.fromkeys(
        CIS_EDITIONS, "5.1.10"
    )


def test_a_number_that_is_given_for_an_edition_counts() -> None:
    found = cis(cis_1_12="5.2.9", cis_1_11="5.2.9")
    assert found["1.11"] == [("5.2.9", "added capabilities")]
    assert found["1.10"] == [("5.2.10", "capabilities assigned")]


@pytest.mark.parametrize("mapping", [{"cis": "5.1.1"}, {"pci": "1"}, {"attack": "T0000"}, {"owasp": "K01,K02"}])
def test_an_unknown_framework_or_control_is_refused(mapping: dict[str, str]) -> None:
    with pytest.raises(KeyError):
        list(controls_of(mapping))


def test_links_are_by_identifier() -> None:
    by_id = {control.id: control.link for control in controls_of({"attack": "T1552.007", "pss": "baseline/privileged"})}
    assert by_id["T1552.007"] == "https://attack.mitre.org/techniques/T1552/007/"
    assert by_id["baseline/privileged"] is not None
    assert by_id["baseline/privileged"].endswith("#baseline")


@pytest.mark.parametrize("framework", FRAMEWORKS, ids=lambda framework: framework.key)
def test_every_control_of_a_framework_has_its_form(framework: Framework) -> None:
    assert framework.titles
    assert [control for control in framework.titles if not re.fullmatch(PATTERNS[framework.key], control)] == []
    assert all(framework.titles.values())


@pytest.mark.parametrize("check", list(CATALOGUE), ids=lambda check: check.id)
def test_every_check_is_mapped(check: Check) -> None:
    frameworks = {control.framework for control in controls_of(check.controls)}
    assert {OWASP, NSA} <= frameworks
    if check.id != "dns-egress-blocked":  # it is about what breaks, not about an attack
        assert ATTACK in frameworks
    if check.group == "rbac":
        assert {CIS, MS} <= frameworks
