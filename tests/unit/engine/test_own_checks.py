"""Checks of other packages: found by their entry points, like the product's own, and refused with their names."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from iocaudit.core.check import OWN_PREFIX
from iocaudit.engine.catalogue import builtin_catalogue, indexed_catalogue, installed_catalogue
from iocaudit.engine.own_checks import OwnCheckError, own_checks
from iocaudit.install.rbac import cluster_roles, rights_of_own_checks
from tests.support.running import run

BUILTIN = builtin_catalogue()
CHECK = '''
from iocaudit.own_checks import *
@check({id!r}, severity=Severity.LOW, iocs=(IoC.RESOURCE_SPIKE,), group="acme", looks_at=WORKLOADS{more})
def {name}({takes}):
    """A workload is there.

    Bad:

        {{apiVersion: v1, kind: Pod, metadata: {{name: a}}, spec: {{}}}}

    Fix: Take it away.
    """
    yield Hit("metadata.name", "is there")
'''
Install = Callable[..., Path]


def declared(id: str = "x-acme-one", more: str = "", takes: str = "resource", name: str = "one") -> str:
    return CHECK.format(id=id, more=f", {more}" if more else "", takes=takes, name=name)


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Puts a distribution of one module into a folder of the path."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(tmp_path))

    def put(
        text: str, *, value: str = "", name: str = "acme", module: str = "", group: str = "iocaudit.checks"
    ) -> Path:
        module = module or f"own_{name}_{tmp_path.name.replace('-', '_')}"
        (tmp_path / f"{module}.py").write_text(textwrap.dedent(text))
        folder = tmp_path / f"{name}_checks-1.2.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}-checks\nVersion: 1.2\n")
        (folder / "entry_points.txt").write_text(f"[{group}]\n{name} = {module}{value}\n")
        return tmp_path

    yield put
    for module in set(sys.modules) - before:
        if module.startswith("own_"):
            del sys.modules[module]


def refused() -> str:
    """What stops the start."""
    with pytest.raises(OwnCheckError) as error:
        own_checks(BUILTIN.names)
    return str(error.value)


def test_without_any_package_nothing_is_loaded() -> None:
    assert own_checks(BUILTIN.names) == []
    assert [check.id for check in installed_catalogue()] == [check.id for check in BUILTIN]


def test_a_check_of_a_package_is_one_of_the_catalogue(install: Install) -> None:
    install(declared())
    for catalogue in (installed_catalogue(), indexed_catalogue()):
        assert {check.id for check in catalogue} - {check.id for check in BUILTIN} == {"x-acme-one"}
        assert "acme" in catalogue.groups
    assert builtin_catalogue().find("x-acme-one") is None, "what is generated from the catalogue is the product's"


def test_every_door_of_the_command_line_knows_it(install: Install, tmp_path: Path) -> None:
    install(declared())
    pod = "{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {containers: [{name: c, image: c}]}}"
    assert "x-acme-one" in run("checks")[1]
    said = run("explain", "x-acme-one")[1]
    assert "A workload is there" in said
    assert "docs/checks/x-acme-one" not in said, "no such page is published"
    code, said, _ = run("scan", "-", "-o", "sarif", "--check", "x-acme-one", stdin=pod)
    assert '"ruleId": "x-acme-one"' in said
    assert "own-checks.md" in said
    policy = tmp_path / "policy.yaml"
    policy.write_text(
        "{apiVersion: iocaudit.io/v1alpha1, kind: AuditPolicy, metadata: {name: p}, "
        "spec: {checks: [{groups: [acme], mode: deny}, {ids: [x-acme-one], severity: critical}]}}"
    )
    code, said, _ = run("scan", "-", "--policy", str(policy), "--check", "x-acme-one", stdin=pod)
    assert (code, "critical" in said) == (1, True)
    assert "x-acme-one" in run("policy", "explain", "-n", "shop", "--check", "x-acme-one")[1]


def test_a_list_and_a_single_check_may_be_named(install: Install) -> None:
    install(f"{declared()}\nchecks = [one]\n", value=":checks")
    install(declared("x-other", name="two"), name="other", value=":two")
    assert [check.id for check in own_checks(BUILTIN.names)] == ["x-acme-one", "x-other"]


BROKEN = {
    "import": ("import no_such_module", "cannot be imported: ModuleNotFoundError: No module named 'no_such_module'"),
    "syntax": ("def (", "cannot be imported: SyntaxError"),
    "raises": ("1 / 0", "cannot be imported: ZeroDivisionError"),
    "exits": ("import sys; sys.exit(0)", "cannot be imported: SystemExit"),
    "no check": ("x = 1", "holds no check"),
    "no prefix": (declared("acme-one"), "has to begin with x-"),
    "built-in id": (declared("host-pid"), "the id 'host-pid' is taken by the product"),
    "built-in alias": (declared(more="aliases=('host-pid',)"), "the id 'host-pid' is taken by the product"),
    "twice": (declared() + declared(name="two"), "the id 'x-acme-one' is taken by package acme-checks 1.2"),
    "own alias": (declared(more="aliases=('x-acme-one',)"), "one of its aliases is its id"),
    "bad id": (declared("x-Acme"), "the id must be lower-case words"),
    "secrets": (declared(more="needs=(kind('Secret'),)", takes="resource, world"), "needing Secrets is refused"),
    "no secrets either": (declared().replace("WORKLOADS", "(kind('Secret'),)"), "needing Secrets is refused"),
    "unknown kind": (
        declared().replace("WORKLOADS", "(Kind('a.io', 'v1', 'A', 'as'),)"),
        "is not a kind that iocaudit",
    ),
    "kind by name": (declared().replace("WORKLOADS", "(kind('Pdo'),)"), "Pdo is not a kind that iocaudit reads"),
    "controls": (declared(more="controls={'pss': 'nonsense'}"), "'nonsense' is not a framework or a control"),
    "implies": (declared(more="implies={Place.POD: ('no-such-check',)}"), "which is not the id of a check"),
    "schema": (
        declared(more="parameters=(Parameter('a', {'type': 'no'}, 'x', 1),)", takes="resource, params"),
        "its schema is not a JSON schema",
    ),
    "group": (declared().replace('"acme"', '"Acme!"'), "its group 'Acme!' is not"),
    "severity": (declared().replace("Severity.LOW", "3"), "severity is a Severity"),
    "types": (declared().replace("WORKLOADS", "7"), "TypeError"),
    "request": (declared(takes="resource, request"), "it takes the request, so it must be declared admission_only"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_package_stops_the_start_with_its_name(install: Install, name: str) -> None:
    text, said = BROKEN[name]
    install(text)
    told = refused()
    assert said in told
    assert "package acme-checks 1.2, entry point acme = own_acme_" in told
    assert told.endswith("mend these packages, or uninstall them")


@pytest.mark.parametrize(
    "words",
    [
        ("scan", "-"),
        ("checks",),
        ("explain", "host-pid"),
        ("manifests",),
        ("policy", "explain", "-n", "a"),
        ("webhook", "--certificates=/no/such"),
        ("operator",),
    ],
    ids=" ".join,
)
def test_no_command_goes_on_without_it(install: Install, words: tuple[str, ...]) -> None:
    install("import no_such_module")
    code, said, errors = run(*words, stdin="{apiVersion: v1, kind: Pod, metadata: {name: a}}")
    assert (code, said) == (2, "")
    assert errors.startswith("iocaudit: package acme-checks 1.2, entry point acme")
    assert "Traceback" not in errors


def test_all_broken_packages_are_named_at_once(install: Install) -> None:
    install("1 / 0")
    install("import no_such_module", name="other")
    told = refused()
    assert "acme-checks" in told
    assert "other-checks" in told


def test_two_packages_cannot_share_an_id(install: Install) -> None:
    install(declared())
    install(declared(name="two"), name="other")
    assert "is taken by package acme-checks 1.2" in refused()


def test_a_value_that_is_not_a_module_is_refused(install: Install) -> None:
    install(f"{declared()}\nchecks = [one, 5]\nnumber = 7\n", value=":checks")
    assert "a list in which not all is a check" in refused()


def test_no_id_of_the_product_begins_like_those_of_others() -> None:
    assert not [name for name in BUILTIN.names if name.startswith(OWN_PREFIX)]


def test_privileges_follow_and_the_products_own_stay_as_they_are(install: Install) -> None:
    assert rights_of_own_checks(BUILTIN, "iocaudit") == []
    install(declared(more="needs=(kind('ResourceQuota'),)", takes="resource, world"))
    catalogue = installed_catalogue()
    role, binding = rights_of_own_checks(catalogue, "here")
    assert role["metadata"]["name"] == "iocaudit-admission-own-checks"
    assert role["rules"] == [{"apiGroups": [""], "resources": ["resourcequotas"], "verbs": ["get", "list", "watch"]}]
    assert binding["roleRef"]["name"] == "iocaudit-admission-own-checks"
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "iocaudit-admission", "namespace": "here"}]
    said = run("manifests")[1]
    assert "name: iocaudit-admission-own-checks" in said
    assert cluster_roles(BUILTIN) == cluster_roles(builtin_catalogue())
