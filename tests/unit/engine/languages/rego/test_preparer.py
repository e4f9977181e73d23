from __future__ import annotations

import itertools
import json
import subprocess
from pathlib import Path

import pytest

from iocaudit.engine.languages.evaluator import EngineError, EngineMissingError
from iocaudit.engine.languages.rego.preparer import MOST_BYTES, Preparer, root_of
from iocaudit.engine.languages.rule import RegoSource
from tests.support.rego import REGISTRY_V0, REGISTRY_V1


def prepared(preparer: Preparer, module: str, *libraries: str) -> list[str]:
    (rule,) = preparer.prepare([RegoSource(module, libraries)])
    assert not rule.faults, rule.problem
    return [one.text for one in rule.modules]


def problem(preparer: Preparer, module: str, *libraries: str) -> str:
    (rule,) = preparer.prepare([RegoSource(module, libraries)])
    assert rule.modules == ()
    return rule.problem


def test_v0_is_recognised_and_shown_in_v1(preparer: Preparer) -> None:
    old, new = preparer.prepare([RegoSource(REGISTRY_V0), RegoSource(REGISTRY_V1)])
    assert old.converted[0].startswith("package kubernetes.admission\n\ndeny contains msg if {\n")
    assert new.converted == ("",)


def test_packages_stand_below_the_digest_of_the_sources(preparer: Preparer) -> None:
    module = """\
package a.b

import data.lib
import data.lib.other as o

deny contains msg if {
	some x in data.inventory.cluster.v1.Namespace
	lib.f(o.g(x)) with input.z as data.a.b.c
	msg := $"{data.lib.text} {[y | y := data.lib["other"].y]}"
}

c := 1
"""
    libraries = ("package lib\n\nf(_) := 1\n\ntext := 2\n", "package lib.other\n\ng(x) := x\n\ny := 3\n")
    source = RegoSource(module, libraries)
    (rule,) = preparer.prepare([source])
    below = f"iocaudit.rules.{root_of(source)}.m"
    assert rule.uses_inventory
    texts = "\n".join(one.text for one in rule.modules)
    for wanted in (
        f"package {below}.a.b",
        f"import data.{below}.lib\n",
        f"import data.{below}.lib.other as o",
        "data.iocaudit.inventory.cluster.v1.Namespace",
        f"as data.{below}.a.b.c",
        f"{{data.{below}.lib.text}}",
        f"y := data.{below}.lib.other.y",
        f"sets.deny := data.{below}.a.b.deny",
    ):
        assert wanted in texts.replace('lib["other"]', "lib.other"), wanted
    assert rule.modules[-1].text.startswith(f"package iocaudit.rules.{root_of(source)}\n")


def test_libraries_come_before_what_uses_them(preparer: Preparer) -> None:
    texts = prepared(
        preparer,
        'package a\n\ndeny contains "x" if data.l1.f(1)\n',
        "package l1\n\nf(x) := data.l2.g(x)\n",
        "package l2\n\ng(x) := x\n",
    )
    assert [text.splitlines()[0].rpartition(".")[2] for text in texts[:-1]] == ["l2", "l1", "a"]


@pytest.mark.parametrize(
    ("ref", "said"),
    [
        ("data.secrets.a", "data.secrets.a is in none of the modules of this rule"),
        ("data.iocaudit.rules", "data.iocaudit.rules is in none of the modules"),
        ("data[x]", "data is used as a whole"),
        ("data.lib.typo", "data.lib.typo: package lib has no rule typo"),
        ("[y | y := data.system.x][0]", "data.system.x is in none"),
        ("{data.other: 1}", "data.other is in none"),
        ("walk(data)", "data"),
    ],
)
def test_a_reference_that_leads_out_is_an_error_at_its_line(preparer: Preparer, ref: str, said: str) -> None:
    module = f'package a\n\ndeny contains "x" if {{\n\tsome x in ["a"]\n\tcount([x, {ref}]) > 0\n}}\n'
    found = problem(preparer, module, "package lib\n\nf := 1\n")
    assert found.startswith(("line 5", "line 3")), found
    assert said in found


def test_an_import_that_leads_out_is_an_error(preparer: Preparer) -> None:
    assert "line 3, column 8: data.other is in none" in problem(
        preparer, 'package a\n\nimport data.other\n\ndeny contains "x" if other.x\n'
    )
    assert "data is used as a whole" in problem(preparer, 'package a\n\nimport data as d\n\ndeny contains "x" if d.b\n')


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ('deny := "x"', "deny is a single value: it has to be a set of messages or objects: `deny contains msg if"),
        ('deny(x) := "x"', "deny is a function"),
        ("deny[x] := 1 if x := 2", "deny is an object"),
        ('deny[x] if x := "a"', "deny is an object"),
        ("default deny := false", "deny has a default"),
        ("violation := [] if true", "violation is a single value"),
        ("deny.a contains 1", "deny is an object of sets"),
        ("allow := true", "the module has neither `deny contains msg if"),
        ("warn contains 1", "the module has neither"),
    ],
)
def test_a_rule_is_a_set(preparer: Preparer, rules: str, said: str) -> None:
    found = problem(preparer, f"package a\n\n{rules}\n")
    assert said in found
    assert found.startswith(("line 3, column 1: ", "line 1, column 1: "))


@pytest.mark.parametrize(
    ("module", "said"),
    [
        ("", "module"),
        ("package", "line 1"),
        ("packge a", "line 1, column 1: package expected"),
        ('package a\n\ndeny[msg] {\n  msg := "a"\n  foo(msg)\n}\n', "line 5, column 3: undefined function foo"),
        ('package a\n\ndeny[msg] {\n  msg := "a"\n', "line "),
        (
            'package a\n\nimport data.inventory\n\ndeny contains "x" if true\n',
            "line 3, column 1: import data.inventory unused",
        ),
        ('package a\n\ndeny contains "x" if {\n\ty := 1\n}\n', "line 4, column 2: assigned var y unused"),
        ('package a\n\ndeny contains "x" if http.send({})\n', "line 3, column 22: undefined function http.send"),
        ('package a\n\ndeny contains "x" if opa.runtime().env\n', "undefined function opa.runtime"),
        ('package a\n\ndeny[x] { net.lookup_ip_addr("a"); x := "y" }\n', "undefined function net.lookup_ip_addr"),
        ('package a\n\ndeny contains "x" if deny\n', "recursive"),
        ("package iocaudit.inventory\n\ndeny contains 1\n", "package iocaudit.inventory is taken"),
    ],
)
def test_mistakes_are_named_at_the_author_s_lines(preparer: Preparer, module: str, said: str) -> None:
    assert said in problem(preparer, module)


def test_packages_that_use_each_other_are_refused(preparer: Preparer) -> None:
    found = problem(
        preparer,
        'package a\n\nf(x) := x\n\ndeny contains "x" if data.b.g(1)\n',
        "package b\n\ng(x) := data.a.f(x)\n",
    )
    assert "packages" in found
    assert "use each other: put them in one module" in found


def test_what_v1_lacks_is_written_in_its_words(preparer: Preparer) -> None:
    module = """\
package a

deny[msg] {
  any([false, input.a])
  not all({input.a, true})
  re_match("a+", input.b)
  x := set_diff({1, 2}, {2})
  net.cidr_overlap("10.0.0.0/8", "10.0.0.1")
  msg := sprintf("%v", [x])
}
"""
    text = prepared(preparer, module)[0]
    for wanted in ("true in [false, input.a]", "all_of_v0(", "regex.match(", "{1, 2} - {2}", "net.cidr_contains("):
        assert wanted in text


def test_comments_between_the_bodies_of_a_rule_do_not_break_it(preparer: Preparer) -> None:
    bodies = [f'{{\n    # comment\n    input.x == {i}\n    not input.y\n    msg := "{i}"\n}}' for i in range(3)]
    text = prepared(preparer, f"package a\n\ndeny[msg] {' '.join(bodies)}\n")[0]
    assert text.count("deny contains msg if {") == 3


def test_text_that_is_too_large_or_not_unicode_is_an_error(preparer: Preparer) -> None:
    assert f"may have {MOST_BYTES} bytes" in problem(preparer, "#" * (MOST_BYTES + 1))
    assert problem(preparer, 'package a\n\ndeny contains "\ud800" if true if\n')
    assert problem(preparer, "package a\n\n" + "(" * 200_000)


def program(path: Path, body: str) -> Path:
    path.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def test_a_module_that_takes_for_ever_is_broken(tmp_path: Path) -> None:
    preparer = Preparer(program(tmp_path / "busy", "while :; do :; done"), seconds=1)
    for _ in range(20):
        try:
            (found,) = preparer.inspect([REGISTRY_V1])
        except EngineError:
            continue
        break
    assert "takes longer than 1 s" in str(found.faults[0])


def test_a_module_that_the_machine_had_no_time_for_is_tried_again(tmp_path: Path, opa_program: Path) -> None:
    waiting = program(tmp_path / "opa", "exec sleep 60")
    preparer = Preparer(waiting, seconds=0.3)
    with pytest.raises(EngineError, match=r"did not get to compile rules within 0\.3 s"):
        preparer.inspect([REGISTRY_V1])
    program(waiting, f"exec {opa_program} prepare")
    preparer._seconds = 60
    assert not preparer.inspect([REGISTRY_V1])[0].faults


def test_many_at_once_are_each_themselves(preparer: Preparer) -> None:
    sources = [RegoSource(REGISTRY_V1), RegoSource("broken"), RegoSource(REGISTRY_V0), RegoSource(REGISTRY_V1)]
    found = preparer.prepare(sources)
    assert [bool(one.faults) for one in found] == [False, True, False, False]
    assert found[0] == found[3]
    assert len({one.root for one in found}) == 3


def test_each_letter_and_owner_makes_another_root() -> None:
    sources = [RegoSource("a"), RegoSource("b"), RegoSource("a", ("",)), RegoSource("a", ("b",)), RegoSource("ab")]
    roots = [root_of(*pair) for pair in itertools.product(sources, ("", "a"))]
    assert len(set(roots)) == len(roots)


def test_a_missing_program_is_said() -> None:
    with pytest.raises(EngineMissingError, match="install it so"):
        Preparer(None, "install it so").prepare([RegoSource("x")])
    with pytest.raises(EngineError, match="cannot be run"):
        Preparer(Path("/nowhere/iocaudit-opa")).inspect(["x"])


def test_inspection_says_what_a_module_is(preparer: Preparer) -> None:
    rule, library, broken = preparer.inspect(
        [
            'package a.b\n\nimport data.lib as l\n\nviolation contains "x" if l.f == data.m.n\n',
            "package lib\n\nf := 1\n",
            "x",
        ]
    )
    assert (rule.package, rule.is_rule) == ("a.b", True)
    assert {"lib", "lib.f", "m.n"} == set(rule.uses)
    assert (library.package, library.is_rule, library.uses) == ("lib", False, ())
    assert broken.faults


def aliases(length: int) -> str:
    """Annotations of a few kilobytes that say many megabytes."""
    lists = [f"#   a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 50)}]" for n in (1, 2)]
    return "\n".join(["# METADATA", "# custom:", f"#   a0: &a0 {'x' * length}", *lists, "package a", "", DENY])


def nested(depth: int) -> str:
    """A text that grows with the square of its depth once each line is indented."""
    return "\n".join(["package a", "", "x := " + "[\n" * depth + "1" + "\n]" * depth, "", DENY])


DENY = 'deny contains "x" if input.x\n'


@pytest.mark.parametrize(
    ("text", "said"), [(aliases(20_000), "the annotations have more than"), (nested(1000), "nest less")]
)
def test_little_text_does_not_make_a_large_answer(opa_program: Path, preparer: Preparer, text: str, said: str) -> None:
    rule = {"root": f"r{'0' * 40}", "module": "package a\n\n" + DENY, "libraries": []}
    question = {"modules": [text], "rules": [{**rule, "module": text}, {**rule, "libraries": [text]}]}
    ended = subprocess.run(
        [opa_program, "prepare"], input=json.dumps(question).encode(), capture_output=True, check=True, timeout=120
    )
    assert len(ended.stdout) < 10 * len(text) + 10_000
    assert said in problem(preparer, text)


def test_a_name_that_the_inventory_has_is_taken(preparer: Preparer) -> None:
    own = f"package iocaudit\n\ninventory := 1\n\n{DENY}"
    assert "is taken" in problem(preparer, own + "\ny := data.iocaudit.inventory\n")
    assert prepared(preparer, own)
