"""A rule file that Falco would refuse, or load with a warning, is refused with its place."""

from pathlib import Path

import pytest

from devcluster.detections.rule_file import RuleFileError, problems, read_rules

ENGINE = "- required_engine_version: 0.57.0\n"
PLUGIN = "- required_plugin_versions: [{name: container, version: 0.4.0}]\n"
RULE = """\
- rule: A rule
  desc: What it is that this rule sees
  condition: {condition}
  output: "seen | {output}"
  priority: WARNING
  source: syscall
  tags: [ioc-1]
"""


def file(folder: Path, text: str) -> Path:
    path = folder / "rules.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def rule(condition: str = "evt.type=execve", output: str = "%proc.name") -> str:
    return RULE.format(condition=condition, output=output)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", "rules.yaml: not valid YAML"),
        ("{}", "a rule file is a list"),
        (rule().replace("WARNING", "HIGH"), "entry 1: 'HIGH' is not one of"),
        (rule() + "  severity: high\n", "entry 1: Additional properties are not allowed ('severity'"),
        (rule().replace("  source: syscall\n", ""), "entry 1: 'source' is a required property"),
        (rule() + rule(), "rule 'A rule' stands there twice"),
        (rule("evt.type="), "rule 'A rule': condition, character 10: expected a value"),
    ],
)
def test_not_read(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(RuleFileError) as refused:
        read_rules(file(tmp_path, text))
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (ENGINE + rule(), []),
        (rule(), ["required_engine_version must be given, and at most 0.57.0"]),
        (ENGINE.replace("57", "63") + rule(), ["required_engine_version must be given, and at most 0.57.0"]),
        (ENGINE + rule("proc.name=a"), ["rule 'A rule': no evt.type in the condition: Falco would try every event"]),
        (ENGINE + rule("evt.type=execve and evt.dir=<"), ["field evt.dir says nothing since Falco 0.42.0"]),
        (ENGINE + rule("evt.type=execve and container.id=a"), ["field container.id is not one of"]),
        (ENGINE + PLUGIN + rule("evt.type=execve and container.id=a"), []),
        (ENGINE + rule(output="%proc.nme"), ["field proc.nme is not one of"]),
        (ENGINE + rule(output="%evt.arg"), ["field evt.arg needs an argument"]),
        (ENGINE + rule(output="%evt.arg.flags %evt.arg[flags] %proc.aname[2]"), []),
        (ENGINE + rule(output="%proc.name[2]"), ["field proc.name takes no argument"]),
        (ENGINE + rule("evt.type=execve and mine"), ["macro mine is not declared"]),
        (ENGINE + rule("evt.type in mine"), ["list mine is not declared"]),
        (ENGINE + "- list: mine\n  items: [a]\n" + rule(), ["mine is not used"]),
        (ENGINE + "- macro: mine\n  condition: mine\n" + rule("evt.type=a and mine"), ["macro mine calls itself"]),
        (ENGINE + PLUGIN.replace("0.4.0", "0.9.0") + rule(), ["plugin container 0.9.0 is not one whose fields"]),
    ],
)
def test_found_in_a_file_that_is_read(tmp_path: Path, text: str, said: list[str]) -> None:
    found = problems(read_rules(file(tmp_path, text)))
    assert len(found) == len(said), found
    assert all(part in one for part, one in zip(said, found, strict=True))


def test_lists_within_lists(tmp_path: Path) -> None:
    lists = "- list: inner\n  items: [a, '\"b c\"']\n- list: outer\n  items: [inner, 7]\n"
    found = read_rules(file(tmp_path, ENGINE + lists + rule("evt.type in (outer)")))
    assert found.values(("outer", "x")) == ("a", "b c", "7", "x")
    assert problems(found) == []
