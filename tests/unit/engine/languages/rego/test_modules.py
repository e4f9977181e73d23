from __future__ import annotations

from pathlib import Path

import pytest

from iocaudit.core.kinds import DEPLOYMENT, POD, SECRET
from iocaudit.core.request import Operation
from iocaudit.core.severity import IoC, Severity
from iocaudit.engine.languages.rego.modules import ModulesError, read_folder, read_modules
from iocaudit.engine.languages.rego.preparer import Preparer
from iocaudit.engine.languages.rule import RegoSource
from tests.support.rego import REGISTRY_V0, REGISTRY_V1

ANNOTATED = """\
# METADATA
# title: Images come from our registry
# description: Others are not scanned.
# custom:
#   severity: critical
#   kinds: [Pod, Deployment.apps]
#   iocs: [9]
#   fix: Push the image to our registry.
#   needs: [Namespace]
#   operations: [CREATE]
#   pod_templates: false
#   parameters: {registry: hooli.com}
package registries

import data.lib.images

deny contains msg if {
	some image in images.all
	not startswith(image, input.parameters.registry)
	msg := sprintf("image %s", [image])
}
"""
LIBRARY = """\
package lib.images

all contains image if some image in [c.image | some c in input.object.spec.containers]
"""


def test_a_module_is_a_rule_with_what_its_annotations_say(preparer: Preparer) -> None:
    rules, problems = read_modules(
        {"registries.rego": ANNOTATED, "images.rego": LIBRARY}, "ConfigMap registries", preparer
    )
    assert problems == {}
    (rule,) = rules
    assert rule.id == "rego-registries"
    assert rule.where == "ConfigMap registries, data['registries.rego']"
    assert rule.source == RegoSource(ANNOTATED, (LIBRARY,))
    assert (rule.title, rule.description) == ("Images come from our registry", "Others are not scanned.")
    assert (rule.severity, rule.fix, rule.iocs) == (
        Severity.CRITICAL,
        "Push the image to our registry.",
        (IoC.UNKNOWN_BINARY,),
    )
    assert rule.kinds == (POD, DEPLOYMENT)
    assert [str(kind) for kind in rule.needs] == ["Namespace"]
    assert rule.operations == (Operation.CREATE,)
    assert not rule.pod_templates
    assert rule.parameters == {"registry": "hooli.com"}


def test_what_is_not_said_has_defaults(preparer: Preparer) -> None:
    (rule,), _ = read_modules({"my_Images.rego": REGISTRY_V0}, "ConfigMap x", preparer)
    assert rule.id == "rego-my-images"
    assert (rule.severity, rule.pod_templates) == (Severity.HIGH, True)
    assert POD in rule.kinds
    assert SECRET not in rule.kinds


def test_annotations_of_the_set_stand_above_those_of_the_package(preparer: Preparer) -> None:
    text = """\
# METADATA
# title: of the package
# custom: {severity: low, name: other}
package x

# METADATA
# title: of the function
f(x) := x

# METADATA
# title: of the set
deny contains "x" if f(1) == 2
"""
    (rule,), problems = read_modules({"x.rego": text}, "ConfigMap x", preparer)
    assert (rule.id, rule.title, rule.severity) == ("rego-other", "of the set", Severity.LOW)
    assert problems == {}


@pytest.mark.parametrize(
    ("custom", "said"),
    [
        ("{severty: low}", "custom.severty is not known (did you mean severity?)"),
        ("{severity: worst}", "custom.severity: 'worst' is not a severity"),
        ("{kinds: Pod}", "custom.kinds has to be a list"),
        ("{kinds: [pod]}", "custom.kinds: 'pod' is not a kind"),
        ("{kinds: [Secret]}", "custom.kinds: 'Secret' is not a kind that an auditor reads"),
        ("{iocs: [11]}", "custom.iocs: 11 is not the number of an indicator (1 to 10)"),
        ("{iocs: [true]}", "custom.iocs: True is not"),
        ("{operations: [DELETE]}", "custom.operations: 'DELETE' is not one of CREATE, UPDATE"),
        ("{pod_templates: maybe}", "custom.pod_templates has to be true or false"),
        ("{parameters: [1]}", "custom.parameters has to be a map"),
        ("{name: 'A b'}", "rego-a b cannot be the id of a rule"),
        ("{fix: 3}", "custom.fix has to be text"),
    ],
)
def test_an_annotation_that_is_not_usable_is_named(preparer: Preparer, custom: str, said: str) -> None:
    text = f'\n# METADATA\n# custom: {custom}\npackage x\n\ndeny contains "x" if true\n'
    rules, problems = read_modules({"x.rego": text}, "ConfigMap x", preparer)
    assert rules == []
    assert problems["x.rego"].startswith(f"line 2: {said}")


def test_a_broken_module_costs_its_rule_and_those_that_use_it(preparer: Preparer) -> None:
    texts = {
        "good.rego": REGISTRY_V1,
        "broken.rego": "package y\n\ndeny contains msg if {\n\tmsg := foo(1)\n}\n",
        "user.rego": 'package z\n\ndeny contains "x" if data.lib.a == 1\n',
        "library.rego": "package lib\n\na := 1 if {\n",
        "note.txt": "text",
    }
    rules, problems = read_modules(texts, "ConfigMap x", preparer)
    assert [rule.id for rule in rules] == ["rego-good"]
    assert set(problems) == {"broken.rego", "user.rego", "library.rego", "note.txt"}
    assert problems["broken.rego"] == "line 4, column 9: undefined function foo"
    assert "data.lib.a" in problems["user.rego"]
    assert problems["library.rego"].startswith("line ")
    assert "ends in .rego" in problems["note.txt"]


def test_a_mistake_that_only_shows_with_the_rule_is_at_the_library(preparer: Preparer) -> None:
    texts = {
        "user.rego": 'package z\n\ndeny contains "x" if data.lib.f(1)\n',
        "library.rego": "package lib\n\nf(x) if g(x)\n",
    }
    rules, problems = read_modules(texts, "ConfigMap x", preparer)
    assert rules == []
    assert problems["library.rego"] == "line 3, column 9: undefined function g"
    assert "library" in problems["user.rego"]


def test_a_folder_names_file_line_and_column(preparer: Preparer, tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "images.rego").write_text(REGISTRY_V0)
    (tmp_path / "images_test.rego").write_text("package broken {")
    (rule,) = read_folder(tmp_path, preparer)
    assert (rule.id, rule.where) == ("rego-images", str(tmp_path / "below" / "images.rego"))
    broken = tmp_path / "broken.rego"
    broken.write_text("package y\n\ndeny := 1\n")
    (tmp_path / "latin.rego").write_bytes(b"\xff")
    with pytest.raises(ModulesError) as raised:
        read_folder(tmp_path, preparer)
    lines = str(raised.value).splitlines()
    assert lines[0].startswith(f"{broken}:3:1: deny is a single value")
    assert lines[1] == f"{tmp_path / 'latin.rego'}: it cannot be read: it is not UTF-8"


def test_two_files_of_one_name_are_refused(preparer: Preparer, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "images.rego").write_text(REGISTRY_V1)
    with pytest.raises(ModulesError, match=r"rego-images is a rule of .*a/images\.rego as well"):
        read_folder(tmp_path, preparer)


def test_a_folder_without_modules_is_a_mistake(preparer: Preparer, tmp_path: Path) -> None:
    with pytest.raises(ModulesError, match=r"no files named \*\.rego"):
        read_folder(tmp_path, preparer)
    with pytest.raises(ModulesError, match="no such folder"):
        read_folder(tmp_path / "none", preparer)
