import re

import pytest

from devcluster import binaries, manifest
from devcluster.errors import ManifestError
from devcluster.manifest import GO_MODULE
from iocaudit.engine.languages.toolchain.go import needed_go

GOOD = """
[[tool]]
name = "kubectl"
version = "1.36.3"
minimum = "1.30.0"
from = "go"
module = "k8s.io/kubernetes"
package = "k8s.io/kubernetes/cmd/kubectl"
probe = ["version", "--client"]
ldflags = ["-s", "-X version=v{version}", "-X minor={minor}"]
"""


def test_the_committed_manifest_names_every_program_that_is_used() -> None:
    tools = manifest.load()
    assert set(tools) == {*binaries.NAMES, "go"}


def test_the_committed_manifest_and_the_go_module_agree() -> None:
    go_mod = (GO_MODULE / "go.mod").read_text(encoding="utf-8")
    go_sum = (GO_MODULE / "go.sum").read_text(encoding="utf-8")
    imports = (GO_MODULE / "tools.go").read_text(encoding="utf-8")
    for tool in manifest.load().values():
        if tool.source == "go":
            assert re.search(rf"^\s+{re.escape(tool.module)} v{tool.version}$", go_mod, re.MULTILINE)
            assert f"{tool.module} v{tool.version} h1:" in go_sum
            assert f'_ "{tool.package}"' in imports
    assert manifest.load()["go"].version >= needed_go(GO_MODULE)


def test_every_staging_module_is_replaced_by_the_release_that_belongs_to_it() -> None:
    go_mod = (GO_MODULE / "go.mod").read_text(encoding="utf-8")
    version = manifest.load()["kube-apiserver"].version
    replaced = re.findall(r"^\s+(k8s\.io/\S+) => (\S+) (\S+)$", go_mod, re.MULTILINE)
    assert len(replaced) > 20
    assert {new for _, new, _ in replaced} == {old for old, _, _ in replaced}
    assert {released for _, _, released in replaced} == {f"v0.{version.minor}.{version.patch}"}


def test_linker_flags_carry_the_version() -> None:
    tool = manifest.parse(GOOD)["kubectl"]
    assert tool.linker_flags() == "-s -X version=v1.36.3 -X minor=36"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('name = "kubectl"', 'name = ""', "tool : name must be a string"),
        ('version = "1.36.3"', 'version = "1.36"', "kubectl: version must be three numbers"),
        ('version = "1.36.3"', "version = 1.36", "kubectl: version must be a string"),
        ('minimum = "1.30.0"', 'minimum = "1.40.0"', "kubectl: version 1.36.3 is below minimum 1.40.0"),
        ('from = "go"', 'from = "brew"', "kubectl: from must be one of go, pypi, not 'brew'"),
        ('module = "k8s.io/kubernetes"\n', "", "kubectl: module must be a string"),
        ('probe = ["version", "--client"]', 'probe = "version"', "kubectl: probe must be a list of strings"),
        ("[[tool]]", "[[tool", "not valid TOML"),
    ],
)
def test_a_broken_manifest_names_tool_and_field(old: str, new: str, message: str) -> None:
    with pytest.raises(ManifestError, match=re.escape(message)):
        manifest.parse(GOOD.replace(old, new, 1))


def test_a_tool_listed_twice_is_refused() -> None:
    with pytest.raises(ManifestError, match="kubectl is listed twice"):
        manifest.parse(GOOD + GOOD)
