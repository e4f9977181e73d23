"""The image without a container engine: its steps are done into folders, and the program runs from the result.

Proven: the steps work in order with what .dockerignore lets through; what is installed is what the lock pins; the
program needs no shell, no package of the base image beyond Python's own libraries, no user name, and no file that
it could write. Not proven: anything about the base image itself. Its Python is another one than the one that runs
these tests; that the lock can be installed under it without a compiler is asked of the package index instead.
"""

import json
import os
import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from iocaudit.engine.languages.sources import shipped
from iocaudit.engine.languages.toolchain.go import needed_go
from iocaudit.engine.languages.toolchain.version import Version
from tests.packaging.dockerfile import ROOT, USER, Stage, context, instructions

LOCK = ROOT / "requirements.lock"
BAD_POD = """\
apiVersion: v1
kind: Pod
metadata: {name: bad}
spec: {containers: [{name: app, image: "app:1", securityContext: {privileged: true}}]}
"""


def start(image: Stage, *argv: str, text: str = "", code: int = 0) -> str:
    """What the container prints, started as a cluster does: arguments behind the entry point, the root read-only."""
    return run(image, *image.entrypoint, *(argv or image.command), text=text, code=code)


def run(image: Stage, *argv: str, text: str = "", code: int = 0) -> str:
    return image.root.run(
        argv, environment=image.environment, folder=image.folder, user=USER, read_only=True, text=text, code=code
    )


def python(image: Stage, program: str) -> str:
    return run(image, "/venv/bin/python", "-c", program).strip()


def locked() -> dict[str, str]:
    """Name, as the index normalises it, to the pin with its hashes."""
    text = LOCK.read_text(encoding="utf-8")
    return {pin[1]: pin[0] for pin in re.finditer(r"^([a-z0-9-]+)==.*\\\n(?:    --hash.*\n)+", text, re.MULTILINE)}


def bases() -> list[str]:
    """The image of each stage."""
    return [step.rest.split()[0] for step in instructions() if step.word == "FROM"]


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_without_arguments_it_says_what_it_can_do(image: Stage) -> None:
    assert "Usage: iocaudit" in start(image)


def test_scans_without_a_place_to_write(image: Stage) -> None:
    assert "privileged-container" in start(image, "scan", "-", text=BAD_POD, code=1)
    assert start(image, "scan", "-o", "sarif", "-", text=BAD_POD, code=1).startswith("{")


def test_prints_the_manifests_of_this_version(image: Stage) -> None:
    printed = list(yaml.safe_load_all(start(image, "manifests")))
    names = yaml.safe_load((ROOT / "manifests/kustomization.yaml").read_text(encoding="utf-8"))["resources"]
    files = [(ROOT / "manifests" / name).read_text(encoding="utf-8") for name in names]
    assert printed == [document for text in files for document in yaml.safe_load_all(text) if document]


def test_knows_its_checks_and_their_documents(image: Stage) -> None:
    assert "privileged-container" in start(image, "checks")
    assert "privileged: true" in start(image, "explain", "privileged-container")


@pytest.mark.parametrize("process", ["webhook", "operator"])
def test_processes_load_all_that_they_need(image: Stage, process: str) -> None:
    door = {"webhook": "admission.main", "operator": "iocaudit.controller.main"}[process]
    assert python(image, f"import {door}; print('loaded')") == "loaded"
    assert "Usage: iocaudit" in start(image, process, "--help")


def test_it_has_what_evaluates_rules(image: Stage) -> None:
    """Compiled from the sources that lie beside the program that uses it."""
    listed = json.loads(start(image, "engines", "-o", "json"))["engines"]
    assert [(one["program"], one["where"], one["state"]) for one in listed] == [
        (engine.program, f"PATH: /usr/local/bin/{engine.program}", "in use") for engine in shipped()
    ]


def test_the_go_of_the_image_is_new_enough() -> None:
    (base,) = {name for name in bases() if name.startswith("golang:")}
    version = Version.find(base)
    assert version is not None
    assert all(version >= needed_go(engine.sources) for engine in shipped())


def test_is_the_user_of_the_manifests_and_may_write_nothing(image: Stage) -> None:
    assert image.user == "65532:65532"
    program = """
import os, stat
refused = 0
for folder, _, _ in os.walk("/"):
    try:
        os.close(os.open(os.path.join(folder, "new"), os.O_CREAT | os.O_WRONLY))
    except OSError:
        refused += 1
    else:
        print("wrote into", folder)
print(os.getuid(), os.getgid(), refused > 100)
"""
    # Only root may become another user; without it the user of the tests stands for the image's.
    user = "65532 65532" if os.getuid() == 0 else "0 0"
    assert python(image, program) == f"{user} True"


def test_there_is_no_program_but_python_and_what_evaluates_rules(image: Stage) -> None:
    program = """
import os
for folder in os.environ["PATH"].split(":"):
    if os.path.isdir(folder):
        print(*sorted(os.listdir(folder)))
"""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    engines = [engine.program for engine in shipped()]
    assert python(image, program).split() == sorted([*engines, "pip", "python", "python3", version])


def test_holds_of_the_lock_what_the_program_needs_and_nothing_else(image: Stage) -> None:
    program = "from importlib.metadata import distributions as d\nfor x in d(): print(x.name.lower(), x.version)"
    installed = dict(line.split() for line in python(image, program).splitlines())
    assert installed.pop("iocaudit")
    assert len(installed) > 20
    pinned = {name: re.split("[= ;]+", pin)[1] for name, pin in locked().items()}
    assert {name: pinned.get(normal(name)) for name in installed} == installed
    assert not {"pip", "setuptools", "pytest", "mypy", "ruff"} & installed.keys()


def test_lock_needs_no_compiler_under_the_images_python(stages: list[Stage], tmp_path: Path) -> None:
    wheels = [path.name for path in (stages[0].root.path / "wheels").iterdir()]
    # The others are the same file for every Python and machine.
    bound = {normal(name.split("-")[0]) for name in wheels if not name.endswith("-none-any.whl")}
    assert {"orjson", "uvloop", "cryptography"} <= bound
    wanted = tmp_path / "requirements.txt"
    wanted.write_text("".join(locked()[name] for name in sorted(bound)), encoding="utf-8")
    (base,) = {name for name in bases() if name.startswith("python:")}
    version = re.fullmatch(r"python:(3\.\d+)-slim-bookworm", base)
    assert version
    # Debian 12 has glibc 2.36.
    kinds = ("manylinux_2_34", "manylinux_2_28", "manylinux_2_17", "manylinux2014")
    platforms = [f"--platform={kind}_{platform.machine()}" for kind in kinds]
    command = [sys.executable, "-m", "pip", "--quiet", "download", "--no-deps", "--require-hashes"]
    command += ["--only-binary=:all:", f"--python-version={version[1]}", "--implementation=cp", *platforms]
    done = subprocess.run(
        [*command, "--dest", str(tmp_path), "--requirement", str(wanted)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert len(list(tmp_path.glob("*.whl"))) == len(bound)


def test_is_built_in_stages_from_named_versions() -> None:
    names = [step.rest.split()[1:] for step in instructions() if step.word == "FROM"]
    assert names == [["AS", "build"], ["AS", "programs"], []]
    build, programs, image = bases()
    assert build == image
    assert re.fullmatch(r"python:3\.\d+-slim-\w+", image)
    assert re.fullmatch(r"golang:1\.\d+-\w+", programs)
    assert "ADD" not in {step.word for step in instructions()}


def test_every_base_can_be_pinned_at_once() -> None:
    """By its digest, with one argument: a stage that names its own image would stay on a tag."""
    named = re.findall(r"^FROM (\S+)", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    assert named == ["${BASE}", "${GO_BASE}", "${BASE}"]


def test_last_stage_runs_nothing_and_no_step_needs_a_shell() -> None:
    words = [step.word for step in instructions()]
    assert "RUN" not in words[len(words) - words[::-1].index("FROM") :]
    for step in instructions():
        if step.word in ("RUN", "CMD", "ENTRYPOINT"):
            assert step.argv()


def test_runs_as_the_manifests_say(image: Stage) -> None:
    for process in ("admission", "operator"):
        text = (ROOT / f"manifests/base/{process}.yaml").read_text(encoding="utf-8")
        spec = yaml.safe_load(text)["spec"]["template"]["spec"]
        user = spec["securityContext"]
        assert image.user == f"{user['runAsUser']}:{user['runAsGroup']}"
        assert "command" not in spec["containers"][0]
        assert spec["containers"][0]["args"][0] in ("webhook", "operator")


def test_builder_sees_what_is_copied_and_no_more() -> None:
    copied = {
        source
        for step in instructions()
        if step.word == "COPY" and "--from" not in step.rest
        for source in step.rest.split()[:-1]
    }
    seen = context()
    assert all(any(Path(source).is_relative_to(one) for one in seen) for source in copied)
    assert seen <= copied
    assert all((ROOT / source).exists() for source in copied)
